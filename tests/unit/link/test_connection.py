"""One connection against a broker that sends what no broker may."""

from collections.abc import Iterator

import pytest

from firmware_config.topics import Topic
from station_agent.link.access import Access
from station_agent.link.client import Raw
from station_agent.link.connection import Connection
from tests.faults import mqtt5
from tests.faults.broker import HostileBroker, Mood
from tests.faults.mqtt5 import Kind, Packet, Publish
from tests.support.station import wait_for

STATION = "st-test0001"
CLIENT = f"{STATION}-data"
POISON = b"poison"
POISON = b"poison"


class Ends:
    """A broker, a connection to it, and what arrived."""

    def __init__(self, broker: HostileBroker) -> None:
        self.broker = broker
        self.arrived: list[Raw] = []
        self.went: list[bool] = []
        self.line = Connection(
            client_id=CLIENT,
            access=Access(
                host="127.0.0.1", port=broker.port, keepalive_s=20, username=None, password=None, tls=None
            ),
            station=STATION,
            topics=(Topic.ACK,),
            went=self.went.append,
            arrived=self._arrived,
        )

    def _arrived(self, raw: Raw) -> None:
        if raw.payload == POISON:
            raise ValueError("what nobody thought of")
        self.arrived.append(raw)


@pytest.fixture
def ends() -> Iterator[Ends]:
    with HostileBroker() as broker:
        made = Ends(broker)
        made.line.start()
        wait_for(lambda: made.line.up, what="a connection")
        yield made
        made.line.stop()


def test_a_topic_that_is_no_text_is_nobodys_and_ends_nothing(ends: Ends) -> None:
    odd = Packet(Kind.PUBLISH << 4, mqtt5.write_blob(b"\xff\xfe") + b"\0odd").encode()
    ends.broker.send(CLIENT, odd)
    ends.broker.deliver(Publish(Topic.ACK.of(STATION), b"good"))
    wait_for(lambda: len(ends.arrived) == 2, what="both messages")
    assert [(raw.topic, raw.payload) for raw in ends.arrived] == [
        ("\ufffd", b"odd"),
        (Topic.ACK.of(STATION), b"good"),
    ]
    assert ends.went == [True]


def test_what_breaks_the_reading_thread_costs_one_connection_and_no_minutes(ends: Ends) -> None:
    ends.broker.deliver(Publish(Topic.ACK.of(STATION), POISON))
    wait_for(lambda: ends.went == [True, False, True], what="a new connection")
    ends.broker.deliver(Publish(Topic.ACK.of(STATION), b"good"))
    wait_for(lambda: [raw.payload for raw in ends.arrived] == [b"good"], what="the message")


def test_what_the_broker_never_acknowledges_is_owed_and_a_new_connection_owes_nothing(ends: Ends) -> None:
    assert ends.line.publish(Topic.EVENT, b"one") is not None
    wait_for(lambda: ends.line.owed_s() == 0, what="its acknowledgement")
    ends.broker.mood = Mood(silent=1.0)
    assert ends.line.publish(Topic.EVENT, b"two") is not None
    wait_for(lambda: len(ends.broker.heard("/up/event")) == 2, what="what is never acknowledged")
    ends.broker.mood = Mood()
    later = ends.line.publish(Topic.EVENT, b"three")
    assert later is not None
    later.wait_for_publish(10)
    assert ends.line.owed_s() > 0, "a later acknowledgement pays for no earlier one"
    ends.line.rebuild()
    wait_for(lambda: ends.went == [True, False, True], what="a new connection")
    assert ends.line.owed_s() == 0
