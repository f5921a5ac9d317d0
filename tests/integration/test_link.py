"""The link against real brokers. The test plays the hub with a plain MQTT client."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware_config.signing import Signer, Verifier, encode_public
from firmware_config.station import load_station
from firmware_config.topics import HUB_SUBSCRIPTION, Topic, parse
from firmware_config.vocabulary import DoorState, EventKind, Outcome
from firmware_config.wire import (
    Ack,
    Ask,
    Birth,
    Challenge,
    DoorStatus,
    Erase,
    EventBatch,
    Go,
    Heartbeat,
    Message,
    OccupancyStatus,
    Order,
    Reply,
    Result,
    TelemetryBatch,
    decode,
    encode,
    kind_of,
)
from station_agent import facts
from station_agent.clock import Stamp, SystemClock
from station_agent.link import lanes
from station_agent.link.link import Link
from station_agent.link.presence import Status
from station_agent.people.copying import NoCopies
from station_agent.store.roster import RosterStore
from station_agent.store.store import Store
from tests.support.broker import Broker, MakeBroker, make_broker
from tests.support.station import wait_for
from tests.support.stations import new_hub_key, write_station

__all__ = ["make_broker"]

STATION = "st-test0001"
CMD = "c" * 32
T = TypeVar("T")

BODIES: dict[Topic, type[Message]] = {
    Topic.BIRTH: Birth,
    Topic.HEARTBEAT: Heartbeat,
    Topic.CHALLENGE: Challenge,
    Topic.RESULT: Result,
    Topic.REPLY: Reply,
    Topic.EVENT: EventBatch,
    Topic.TELEMETRY: TelemetryBatch,
}


class SyncedClock(SystemClock):
    """The machine's clock, declared to be right, so that the age of orders counts."""

    def stamp(self) -> Stamp:
        now = super().stamp()
        return Stamp(boot_id=now.boot_id, mono_ms=now.mono_ms, wall_ms=now.wall_ms, trust="synced")


class Hub:
    """A plain MQTT client that verifies what comes up and signs what goes down."""

    def __init__(self, port: int, signer: Signer, station_key: str) -> None:
        self.signer = signer
        self._verifier = Verifier.of(station_key)
        self.heard: queue.Queue[Message] = queue.Queue()
        self.kept: list[Message] = []
        self.acks = True
        subscribed = threading.Event()
        self.client = Client(
            CallbackAPIVersion.VERSION2, client_id="hub", protocol=MQTTProtocolVersion.MQTTv5
        )
        self.client.username_pw_set("hub", "hub-secret")
        self.client.on_connect = lambda client, *_: client.subscribe(HUB_SUBSCRIPTION, qos=1)
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.on_message = lambda _client, _data, message: self._heard(message)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert subscribed.wait(10)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _heard(self, message: MQTTMessage) -> None:
        place = parse(message.topic)
        assert place is not None
        body = BODIES[place[1]]
        payload = bytes(message.payload)
        if place[1] is not Topic.TELEMETRY:
            payload = self._verifier.open(payload, kind=next(k for k in KINDS if KINDS[k] is body))
        self.heard.put(decode(payload, body, station=place[0]))

    def wait_for(
        self, kind: type[T], wanted: Callable[[T], bool] = lambda _: True, within_s: float = 20.0
    ) -> T:
        """The next message of a kind that is as wanted; others are kept in ``kept``."""
        deadline = time.monotonic() + within_s
        while True:
            message = self.heard.get(timeout=max(0.01, deadline - time.monotonic()))
            self.kept.append(message)
            if isinstance(message, kind) and wanted(message):
                return message

    def say(self, topic: Topic, body: Message, *, signer: Signer | None = None, **how: Any) -> None:
        self.raw(topic, (signer or self.signer).seal(kind_of(body), body), **how)

    def raw(
        self, topic: Topic, payload: bytes, *, retain: bool = False, properties: Properties | None = None
    ) -> None:
        self.client.publish(
            topic.of(STATION), payload, qos=1, retain=retain, properties=properties
        ).wait_for_publish(10)

    def acknowledge(self, batch: EventBatch | TelemetryBatch | Result) -> None:
        match batch:
            case EventBatch():
                ack = Ack(station=STATION, install_id=batch.install_id, events=[e.seq for e in batch.items])
            case TelemetryBatch():
                ack = Ack(station=STATION, install_id=batch.install_id, readings=[r.seq for r in batch.items])
            case Result():
                ack = Ack(station=STATION, install_id=batch.install_id, results=[batch.cmd_id])
        self.say(Topic.ACK, ack)


KINDS: dict[str, type[Message]] = {
    "birth": Birth,
    "heartbeat": Heartbeat,
    "order.chal": Challenge,
    "order.res": Result,
    "reply": Reply,
    "event": EventBatch,
}


@dataclass
class World:
    """One station's link and store, and the hub on the other side of a real broker."""

    folder: Path
    broker: Broker
    signer: Signer
    station_file: Path
    station_signer: Signer
    clock: SystemClock = field(default_factory=SyncedClock)
    inbox: "queue.Queue[facts.Fact]" = field(default_factory=queue.Queue)
    door: DoorState = DoorState.LOCKED
    erased: list[Erase] = field(default_factory=list)
    roster: RosterStore = field(init=False)
    link: Link = field(init=False)
    store: Store = field(init=False)
    hub: Hub = field(init=False)

    def call_hub(self) -> Hub:
        self.hub = Hub(self.broker.port, self.signer, encode_public(self.station_signer.public))
        return self.hub

    def boot(self) -> None:
        self.store = Store(self.folder / "data", station=STATION, stamp=self.clock.stamp())
        keys = Verifier.of(encode_public(self.signer.public))
        self.roster = RosterStore(self.folder / "data" / "roster.bin", verifier=keys, station=STATION)
        self.link = Link(
            station=load_station(self.station_file),
            signer=self.station_signer,
            store=self.store,
            roster=self.roster,
            erase=self.erased.append,
            clock=self.clock,
            put=self.inbox.put,
            status=self._status,
            copies=NoCopies(),
        )
        self.link.start()

    def halt(self) -> None:
        self.link.stop()
        self.store.close()

    def fact(self, kind: type[T]) -> T:
        fact = self.inbox.get(timeout=10)
        assert isinstance(fact, kind), fact
        return fact

    def order(self, **changes: Any) -> Order:
        order = Order(
            station=STATION,
            cmd_id=CMD,
            door="main",
            verb="unlock",
            pulse_ms=5000,
            issued_ms=self.clock.stamp().wall_ms,
        )
        return msgspec.structs.replace(order, **changes)

    def _status(self) -> Status:
        door = DoorStatus(id="main", state=self.door, relay=False, contact_open=False)
        return Status(
            doors=[door],
            occupancy=OccupancyStatus(estimate=0, low=0, high=0, capacity=4),
            cameras={"entry": "ok"},
        )


@pytest.fixture
def world(make_broker: MakeBroker, tmp_path: Path) -> Iterator[World]:
    broker = make_broker({STATION: "secret", "hub": "hub-secret"})
    signer, public = new_hub_key(tmp_path)
    path, station_signer = write_station(
        tmp_path / "station", station=STATION, hub_public=public, port=broker.port
    )
    world = World(
        folder=tmp_path, broker=broker, signer=signer, station_file=path, station_signer=station_signer
    )
    hub = world.call_hub()
    world.boot()
    hub.wait_for(Birth)
    yield world
    world.halt()
    world.hub.close()


def test_a_change_of_state_does_not_wait_for_the_next_heartbeat(world: World) -> None:
    world.halt()
    text = world.station_file.read_text(encoding="utf-8")
    world.station_file.write_text(text.replace("heartbeat_s = 0.5", "heartbeat_s = 30.0"), encoding="utf-8")
    world.boot()
    world.hub.wait_for(Heartbeat, lambda beat: beat.interval_s == 30)
    world.door = DoorState.FORCED
    world.link.changed()
    told = world.hub.wait_for(Heartbeat, lambda beat: beat.doors[0].state is DoorState.FORCED, within_s=15)
    assert told.interval_s == 30


def test_the_station_announces_itself_and_holds_its_lease(world: World) -> None:
    first, second = (world.hub.wait_for(Heartbeat) for _ in range(2))
    birth = next(message for message in world.hub.kept if isinstance(message, Birth))
    assert (birth.online, birth.boot_id, birth.conn_no) == (True, world.clock.boot_id, 1)
    assert birth.install_id == world.store.install_id
    assert birth.lock_kinds == {"main": "fail_secure"}
    assert {sensor.name for sensor in birth.sensors} == {"temperature", "co2"}
    assert (first.conn_no, first.interval_s, first.rejected) == (1, 0.5, {})
    assert second.mono_ms > first.mono_ms
    world.hub.say(Topic.REQUEST, Ask(station=STATION, what="rebirth"))
    assert world.hub.wait_for(Birth).conn_no == 1


def test_an_order_goes_down_and_its_challenge_comes_up(world: World) -> None:
    order = world.order()
    world.hub.say(Topic.REQUEST, order)
    assert world.fact(facts.OrderArrived).order == order
    challenge = Challenge(
        station=STATION,
        cmd_id=CMD,
        door="main",
        verb="unlock",
        pulse_ms=5000,
        boot_id=world.clock.boot_id,
        nonce="d" * 32,
    )
    world.link.send_challenge(challenge)
    assert world.hub.wait_for(Challenge) == challenge
    go = Go(
        station=STATION,
        cmd_id=CMD,
        door="main",
        verb="unlock",
        pulse_ms=5000,
        issued_ms=order.issued_ms,
        boot_id=challenge.boot_id,
        nonce=challenge.nonce,
    )
    world.hub.say(Topic.GO, go)
    assert world.fact(facts.GoArrived).go == go


def test_a_question_about_an_order_is_passed_on_and_answered(world: World) -> None:
    world.hub.say(Topic.REQUEST, Ask(station=STATION, what="result", cmd_id=CMD))
    assert world.fact(facts.ResultAsked).cmd_id == CMD
    reply = Reply(station=STATION, cmd_id=CMD, install_id=world.store.install_id, boot_id=world.clock.boot_id)
    world.link.send_reply(reply)
    assert world.hub.wait_for(Reply) == reply


def with_properties(**values: Any) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def test_what_is_no_order_of_our_hub_becomes_no_order_and_is_counted(world: World, tmp_path: Path) -> None:
    hub, stranger = world.hub, new_hub_key(tmp_path / "elsewhere")[0]
    now_ms = world.clock.stamp().wall_ms
    hub.say(Topic.REQUEST, world.order(), signer=stranger)
    hub.say(Topic.REQUEST, world.order(station="st-other0001"))
    hub.say(Topic.REQUEST, world.order(issued_ms=now_ms - 11_000))
    hub.say(Topic.REQUEST, world.order(), properties=with_properties(ResponseTopic="elsewhere"))
    hub.say(Topic.REQUEST, world.order(), properties=with_properties(CorrelationData=b"e" * 32))
    hub.say(Topic.GO, world.order())
    hub.raw(Topic.REQUEST, encode(world.order()))
    hub.raw(Topic.REQUEST, b"\x00\xff" * 100)
    hub.raw(Topic.CONFIG, b"{}")
    last = world.order(cmd_id="f" * 32)
    hub.say(Topic.REQUEST, last)
    reasons: set[str] = set()
    while not isinstance(fact := world.inbox.get(timeout=10), facts.OrderArrived):
        assert isinstance(fact, facts.OrderRefused), fact
        reasons.add(fact.reason)
    assert fact.order == last
    assert reasons == {
        "unknown_key",
        "wrong_station",
        "stale",
        "response_topic",
        "correlation",
        "wrong_kind",
        "malformed",
    }
    counted = hub.wait_for(Heartbeat, lambda beat: beat.rejected.get("malformed") == 2).rejected
    assert set(counted) >= reasons


def test_an_order_that_the_broker_retained_is_not_taken_up_at_reconnecting(world: World) -> None:
    world.link.set_network(up=False)
    world.hub.wait_for(Birth, lambda birth: not birth.online)
    world.hub.say(Topic.REQUEST, world.order(), retain=True)
    world.link.set_network(up=True)
    world.hub.wait_for(Birth, lambda birth: birth.online)
    fresh = world.order(cmd_id="f" * 32)
    world.hub.say(Topic.REQUEST, fresh)
    while isinstance(fact := world.inbox.get(timeout=10), facts.OrderRefused):
        assert (
            fact.reason == "retained"
        )  # a broker that ignores "send nothing retained" is caught by the flag
    assert isinstance(fact, facts.OrderArrived)
    assert fact.order == fresh


def test_an_order_sent_while_the_station_was_away_never_arrives(world: World) -> None:
    world.link.set_network(up=False)
    world.hub.wait_for(Birth, lambda birth: not birth.online)
    world.hub.say(Topic.REQUEST, world.order())
    world.link.set_network(up=True)
    world.hub.wait_for(Birth, lambda birth: birth.online)
    fresh = world.order(cmd_id="f" * 32)
    world.hub.say(Topic.REQUEST, fresh)
    assert world.fact(facts.OrderArrived).order == fresh


def test_an_oversized_payload_never_becomes_a_fact(world: World) -> None:
    world.hub.raw(Topic.REQUEST, b"x" * 70_000)
    world.hub.wait_for(Heartbeat)  # the link has survived, or come back
    deadline = time.monotonic() + 20
    while not world.link.online:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    world.hub.say(Topic.REQUEST, world.order())
    while isinstance(fact := world.inbox.get(timeout=10), facts.OrderRefused):
        assert fact.reason == "too_large"
    assert isinstance(fact, facts.OrderArrived)


def test_events_readings_and_results_leave_only_on_the_hubs_word(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "RESEND_S", 0.2)
    stamp = world.clock.stamp()
    world.store.put_event(EventKind.DOOR_OPENED, {"door": "main"}, stamp)
    world.store.put_reading("co2", 420.0, stamp)
    world.store.put_result(
        Result(
            station=STATION,
            cmd_id=CMD,
            install_id=world.store.install_id,
            boot_id=stamp.boot_id,
            mono_ms=stamp.mono_ms,
            wall_ms=stamp.wall_ms,
            clock=stamp.trust,
            outcome=Outcome.OPENED,
        )
    )
    kinds: tuple[type[EventBatch | TelemetryBatch | Result], ...] = (EventBatch, TelemetryBatch, Result)
    seen = {kind: world.hub.wait_for(kind) for kind in kinds}
    for kind in kinds:
        assert key(world.hub.wait_for(kind)) == key(seen[kind]), "sent again without an acknowledgement"
    for kind in kinds:
        world.hub.acknowledge(seen[kind])
    world.hub.wait_for(Heartbeat, lambda beat: beat.backlog == 0)
    deadline = time.monotonic() + 10
    while world.store.telemetry.readings(1):
        assert time.monotonic() < deadline


def key(message: EventBatch | TelemetryBatch | Result) -> object:
    return message.cmd_id if isinstance(message, Result) else [item.seq for item in message.items]


def test_every_event_arrives_across_a_broker_restart_and_a_store_reopening(world: World) -> None:
    def put(numbers: range) -> None:
        for number in numbers:
            world.store.put_event(EventKind.DOOR_OPENED, {"n": number}, world.clock.stamp())

    put(range(100))
    world.hub.wait_for(EventBatch)  # seen, but not acknowledged
    world.hub.close()
    world.broker.stop()
    put(range(100, 200))
    world.halt()
    world.broker.start()
    hub = world.call_hub()
    world.boot()
    put(range(200, 300))
    arrived: dict[int, int] = {}
    while len(arrived) < 300:
        batch = hub.wait_for(EventBatch)
        for event in batch.items:
            number = event.data["n"]
            assert isinstance(number, int)
            assert arrived.setdefault(event.seq, number) == number
        hub.acknowledge(batch)
    assert arrived == {number + 1: number for number in range(300)}
    hub.wait_for(Heartbeat, lambda beat: beat.backlog == 0)


def test_the_will_fires_when_the_line_is_cut_and_the_station_comes_back_when_it_may(world: World) -> None:
    world.link.set_network(up=False)
    death = world.hub.wait_for(Birth)
    assert (death.online, death.boot_id, death.conn_no) == (False, world.clock.boot_id, 1)
    wait_for(lambda: not world.link.online, what="the link's own notice")
    world.link.set_network(up=True)
    birth = world.hub.wait_for(Birth)
    assert birth.online
    assert birth.conn_no > death.conn_no


def test_the_station_comes_back_by_itself_when_the_broker_does(world: World) -> None:
    world.hub.close()
    world.broker.stop()
    world.broker.start()
    birth = world.call_hub().wait_for(Birth, lambda birth: birth.online)
    assert birth.conn_no > 1


def test_a_clean_stop_says_goodbye_itself(world: World) -> None:
    world.link.stop()
    goodbye = world.hub.wait_for(Birth)
    assert (goodbye.online, goodbye.conn_no) == (False, 1)
    world.store.close()
    world.boot()
    assert world.hub.wait_for(Birth).online
