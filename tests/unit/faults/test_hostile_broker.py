"""The hostile broker's MQTT, spoken with clients that nobody here wrote; and each of its faults, seen by one of them."""

import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.faults import mqtt5
from tests.faults.broker import HONEST, NAMES, Delivery, HostileBroker, Mood, Verdict, drawn
from tests.faults.mqtt5 import Malformed, Prop, Publish, Reader
from tests.support.parts import program, require
from tests.support.station import wait_for

LIMIT_S = 10.0
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        int(Prop.EXPIRY): st.integers(0, 2**32 - 1),
        int(Prop.RESPONSE_TOPIC): st.binary(max_size=9),
        int(Prop.CORRELATION): st.binary(max_size=9),
        int(Prop.USER): st.lists(st.tuples(st.binary(max_size=3), st.binary(max_size=3)), min_size=1),
    },
)


class Client:
    """A paho client, connected."""

    def __init__(self, port: int, name: str, *, will: str | None = None) -> None:
        self.heard: list[paho.MQTTMessage] = []
        self.codes: dict[int, int] = {}
        self._subscribed = threading.Event()
        self.lost = threading.Event()
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        self.paho.on_message = lambda _client, _data, message: self.heard.append(message)
        self.paho.on_subscribe = lambda *_: self._subscribed.set()
        self.paho.on_publish = self._published
        self.paho.on_disconnect = lambda *_: self.lost.set()
        if will is not None:
            self.paho.will_set(will, b"gone", qos=1)
        self.paho.connect("127.0.0.1", port)
        self.paho.loop_start()

    def _published(self, _client: object, _data: object, mid: int, reason: Any, _more: object) -> None:
        self.codes[mid] = reason.value

    def subscribe(self, topic: str) -> None:
        self._subscribed.clear()
        self.paho.subscribe(topic, qos=1)
        assert self._subscribed.wait(LIMIT_S)

    def publish(self, topic: str, payload: bytes, **more: Any) -> int:
        """The reason of its PUBACK."""
        mid = self.paho.publish(topic, payload, qos=1, **more).mid
        wait_for(lambda: mid in self.codes, within_s=LIMIT_S, what="PUBACK")
        return self.codes[mid]

    def payloads(self) -> list[bytes]:
        return [bytes(message.payload) for message in self.heard]

    def leave(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


@pytest.fixture
def broker() -> Iterator[HostileBroker]:
    with HostileBroker(seed=1) as made:
        yield made


@pytest.fixture
def join(broker: HostileBroker) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(name: str, **options: Any) -> Client:
        made.append(Client(broker.port, name, **options))
        return made[-1]

    yield make
    for client in made:
        client.leave()


@pytest.fixture
def pair(join: Callable[..., Client]) -> tuple[Client, Client]:
    """One who speaks and one who hears everything."""
    ear = join("ear")
    ear.subscribe("#")
    return join("mouth"), ear


MESSAGES = st.builds(
    Publish,
    topic=TEXT,
    payload=st.binary(max_size=300),
    qos=st.just(1),
    retain=st.booleans(),
    dup=st.booleans(),
    mid=st.integers(1, 65_535),
    properties=PROPERTIES,
)


@given(MESSAGES, st.integers(1, 7))
def test_what_is_written_is_read_whatever_pieces_it_comes_in(message: Publish, size: int) -> None:
    messages = [message, replace(message, qos=0, mid=0)]
    raw = b"".join(each.packet().encode() for each in messages)
    reader = Reader()
    found = [packet for at in range(0, len(raw), size) for packet in reader.feed(raw[at : at + size])]
    assert [mqtt5.read_publish(packet) for packet in found] == messages


@given(st.binary(max_size=200))
def test_any_bytes_are_packets_or_malformed(raw: bytes) -> None:
    try:
        for packet in Reader().feed(raw):
            for read in (mqtt5.read_publish, mqtt5.read_connect, mqtt5.read_subscribe, mqtt5.read_puback):
                try:
                    read(packet)
                except Malformed:
                    continue
    except Malformed:
        return


@pytest.mark.parametrize(
    ("wanted", "topic", "taken"),
    [
        ("a/b", "a/b", True), ("a/+", "a/b", True), ("a/#", "a", True), ("a/#", "a/b/c", True), ("#", "a", True),
        ("a/b", "a", False), ("a", "a/b", False), ("a/+", "a/b/c", False), ("+/b", "a/c", False),
    ],
)  # fmt: skip
def test_filters_match_as_in_the_standard(wanted: str, topic: str, *, taken: bool) -> None:
    assert mqtt5.matches(wanted, topic) is taken


def test_paho_reads_every_property_as_it_was_sent(pair: tuple[Client, Client]) -> None:
    mouth, ear = pair
    sent = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    sent.ResponseTopic, sent.CorrelationData, sent.MessageExpiryInterval = "answers", b"\1\2", 5
    sent.UserProperty = [("a", "1"), ("a", "2")]
    assert mouth.publish("x/y", b"hello", properties=sent) == 0
    wait_for(lambda: ear.heard)
    (message,) = ear.heard
    found: Any = message.properties
    assert (message.topic, message.payload, message.qos, message.retain) == ("x/y", b"hello", 1, False)
    assert (found.ResponseTopic, found.CorrelationData, found.MessageExpiryInterval) == (
        "answers",
        b"\1\2",
        5,
    )
    assert found.UserProperty == [("a", "1"), ("a", "2")]


def test_a_will_is_published_for_who_is_cut_off_and_not_for_who_leaves(
    broker: HostileBroker, join: Callable[..., Client]
) -> None:
    ear = join("ear")
    ear.subscribe("wills/+")
    polite, lost = join("polite", will="wills/polite"), join("lost", will="wills/lost")
    wait_for(lambda: {"polite", "lost"} <= set(broker.clients))
    polite.leave()
    broker.kick("lost")
    wait_for(lambda: ear.heard)
    assert lost.lost.wait(LIMIT_S)
    assert [message.topic for message in ear.heard] == ["wills/lost"]


def test_mosquittos_own_tools_talk_to_it(broker: HostileBroker) -> None:
    require(program("mosquitto_pub"), "no mosquitto_pub; on Debian: apt-get install mosquitto-clients")
    where = ["-V", "5", "-h", "127.0.0.1", "-p", str(broker.port)]
    ear = subprocess.Popen(
        ["mosquitto_sub", *where, "-i", "ear", "-t", "a/+", "-q", "1", "-C", "2", "-F", "%t %p %q %r %R"],
        stdout=subprocess.PIPE,
    )
    wait_for(lambda: "ear" in broker.clients)
    wait_for(lambda: broker._clients["ear"].filters)
    for number in range(2):
        words = ["mosquitto_pub", *where, "-t", f"a/{number}", "-m", "m", "-q", "1", "-r"]
        subprocess.run([*words, "-D", "publish", "response-topic", "z"], check=True, timeout=LIMIT_S)
    said, _ = ear.communicate(timeout=LIMIT_S)
    assert [line.split() for line in said.decode().splitlines()] == [
        ["a/0", "m", "1", "1", "z"],
        ["a/1", "m", "1", "1", "z"],
    ]


@pytest.mark.parametrize(
    ("mood", "reason", "heard"),
    [
        pytest.param(HONEST, 0, [b"1", b"2"], id="honest"),
        pytest.param(Mood(drop=1), 0, [], id="drop"),
        pytest.param(Mood(deny=1), 0x10, [b"1", b"2"], id="deny"),
        pytest.param(Mood(retain=1), 0, [b"1", b"2"], id="retain"),
        pytest.param(Mood(replay=1, late_s=0), 0, [b"1", b"2", b"1"], id="replay"),
    ],
)
def test_each_mood_does_what_it_says(
    broker: HostileBroker, pair: tuple[Client, Client], mood: Mood, reason: int, heard: list[bytes]
) -> None:
    mouth, ear = pair
    broker.mood = mood
    assert [mouth.publish("x/y", body) for body in (b"1", b"2")] == [reason, reason]
    broker.mood = HONEST
    mouth.publish("end", b"")
    wait_for(lambda: ear.heard and ear.heard[-1].topic == "end")
    assert ear.payloads()[:-1] == heard
    assert all(message.retain is bool(mood.retain) for message in ear.heard[:-1])


def test_doubles_flips_swaps_and_overtaking(broker: HostileBroker, pair: tuple[Client, Client]) -> None:
    mouth, ear = pair
    broker.mood = Mood(double=1)
    mouth.publish("x", b"1")
    wait_for(lambda: len(ear.heard) >= 2)
    broker.mood = Mood(corrupt=1)
    mouth.publish("c", b"\0")
    wait_for(lambda: ear.heard[-1].topic == "c")
    assert ear.payloads()[-1] in {bytes([1 << bit]) for bit in range(8)}
    broker.mood = Mood(swap=1)
    mouth.publish("yz/v1/s/up/a", b"first")
    mouth.publish("yz/v1/s/up/b", b"second")
    wait_for(lambda: ear.heard[-1].topic == "yz/v1/s/up/b")
    assert ear.payloads()[-1] == b"first"
    broker.mood = HONEST
    broker.script = lambda _client, message: (
        Verdict([Delivery(message, after_s=0.2)]) if message.payload == b"slow" else None
    )
    mouth.publish("late", b"slow")
    mouth.publish("late", b"fast")
    wait_for(lambda: len([one for one in ear.heard if one.topic == "late"]) == 2)
    assert ear.payloads()[-2:] == [b"fast", b"slow"]


def test_it_kicks_and_goes_deaf_and_says_nothing(broker: HostileBroker, join: Callable[..., Client]) -> None:
    mouth, ear = join("mouth"), join("ear")
    ear.subscribe("#")
    broker.deaf = True
    assert mouth.publish("x", b"into the void") == 0
    broker.deaf = False
    broker.mood = Mood(silent=1)
    mid = mouth.paho.publish("x", b"silent", qos=1).mid
    wait_for(lambda: ear.heard)
    assert (ear.payloads(), mid in mouth.codes) == ([b"silent"], False)
    broker.mood = Mood(kick=1)
    mouth.paho.publish("x", b"kicked", qos=0)
    assert mouth.lost.wait(LIMIT_S)


def test_the_same_seed_is_the_same_malice() -> None:
    def moods(seed: int) -> list[Mood]:
        chance = random.Random(seed)  # noqa: S311 (to be repeated)
        return [drawn(chance) for _ in range(9)]

    assert moods(5) == moods(5)
    assert moods(5) != moods(6)
    assert len(set(moods(5))) > 5
    assert all(0 <= getattr(mood, name) <= 0.6 for mood in moods(5) for name in NAMES)
