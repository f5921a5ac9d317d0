"""The bridge's connection to a broker that does not keep its promises."""

import os
from pathlib import Path

import pytest

from cloud_hub.bridge import mqtt
from cloud_hub.ingest.decoding import Arrival
from cloud_hub.settings import BrokerSettings
from firmware_config.topics import Topic
from tests.faults.broker import HostileBroker, Mood
from tests.faults.mqtt5 import Publish
from tests.support.station import wait_for

STATION = "st-test0001"


def test_a_broker_that_owes_an_acknowledgement_is_left_and_joined_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "LOOK_S", 0.05)
    monkeypatch.setattr(mqtt, "OWED_S", 0.2)
    with HostileBroker() as broker:
        link = mqtt.Link(
            BrokerSettings(host="127.0.0.1", port=broker.port, tls=False),
            beside=lambda path: Path(os.devnull) / path,
            deliver=lambda _: None,
            nobody_listens=lambda _: None,
        )
        link.start()
        assert link.wait_connected(10)
        assert link.publish(Topic.REQUEST, STATION, b"one") is not None
        wait_for(lambda: len(broker.heard("/down/req")) == 1, what="the first message")
        assert link.connections == 1, "acknowledged, so nothing is owed"
        broker.mood = Mood(silent=1.0)
        assert link.publish(Topic.REQUEST, STATION, b"two") is not None
        wait_for(lambda: link.connections == 2, what="a new connection")
        link.stop()


def test_what_breaks_the_reading_thread_costs_one_connection() -> None:
    came: list[Arrival] = []

    def deliver(arrival: Arrival) -> None:
        came.append(arrival)
        if len(came) == 1:
            raise ValueError("what nobody thought of")

    with HostileBroker() as broker:
        link = mqtt.Link(
            BrokerSettings(host="127.0.0.1", port=broker.port, tls=False),
            beside=lambda path: Path(os.devnull) / path,
            deliver=deliver,
            nobody_listens=lambda _: None,
        )
        link.start()
        assert link.wait_connected(10)
        broker.deliver(Publish(Topic.HEARTBEAT.of(STATION), b"one"))
        wait_for(lambda: link.connections == 2, what="a new connection")
        broker.deliver(Publish(Topic.HEARTBEAT.of(STATION), b"two"))
        wait_for(lambda: len(came) == 2, what="the next message")
        link.stop()
