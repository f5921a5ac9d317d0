"""A scripted station: a plain MQTT client with its own key that speaks the wire contract, and misbehaves when told to."""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import paho.mqtt.client as paho
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from firmware_config.signing import Signer, Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.vocabulary import DoorMode, DoorState, EventKind, Outcome
from firmware_config.wire import (
    Ack,
    Ask,
    Birth,
    Challenge,
    DoorStatus,
    Erase,
    Event,
    EventBatch,
    Evidence,
    Go,
    Heartbeat,
    Message,
    OccupancyStatus,
    Order,
    Reading,
    Reply,
    Result,
    RosterPart,
    Scalar,
    SensorMeta,
    TelemetryBatch,
    decode,
    encode,
    kind_of,
)

T = TypeVar("T")

PASSWORD = "station-secret"


def wait_for(look: Callable[[], T], *, within_s: float = 30.0, what: str = "it") -> T:
    """Look until there is something to see.

    Raises:
        AssertionError: there is nothing in time.
    """
    deadline_s = time.monotonic() + within_s
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline_s, f"{what} did not happen within {within_s} s"
        time.sleep(0.01)


class ScriptedStation:
    """One connection of one boot at a time. What it hears is kept; what it says is called."""

    def __init__(self, station: str, *, port: int, hub_public: str, password: str = PASSWORD) -> None:
        self.id = station
        self.port = port
        self.password = password
        self.signer = Signer(Ed25519PrivateKey.generate())
        self.hub = Verifier.of(hub_public)
        self.install_id = os.urandom(16).hex()
        self.boot_id = os.urandom(16).hex()
        self.conn_no = 0
        self.contact_open = False
        self.state = DoorState.LOCKED
        self.mode = DoorMode.NORMAL
        self.mode_left_s = 0
        self.people = 0
        self.interval_s = 60.0
        self.cameras: dict[str, str] = {"front": "ok"}
        self.acks: list[Ack] = []
        self.orders: list[Order] = []
        self.correlated: list[tuple[str, str]] = []
        self.gos: list[Go] = []
        self.asks: list[Ask] = []
        self.liveness = "both"
        self.roster_version = 0
        self.roster_parts: list[RosterPart] = []
        self.erases: list[Erase] = []
        self.on_order: Callable[[Order], None] = self.challenge
        self.on_go: Callable[[Go], None] = lambda _go: None
        self.on_ask: Callable[[Ask], None] = lambda _ask: None
        self._client: paho.Client | None = None
        self._subscribed = threading.Event()

    @property
    def public(self) -> str:
        """What the hub must know it by."""
        return encode_public(self.signer.public)

    def mono_ms(self) -> int:
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)

    def now(self) -> dict[str, Any]:
        return {"mono_ms": self.mono_ms(), "wall_ms": time.time_ns() // 1_000_000, "clock": "synced"}

    def connect(self, *, born: bool = True, deaf: bool = False) -> None:
        """Connect with a will; then birth and heartbeat unless told otherwise. Deaf to orders, it hears the rest."""
        self.conn_no += 1
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=self.id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        client.username_pw_set(self.id, self.password)
        client.will_set(Topic.BIRTH.of(self.id), self.seal(self.birth_of(online=False)), qos=1)
        topic = Topic.ACK.of(self.id) if deaf else f"yz/v1/{self.id}/down/#"
        client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._heard
        self._subscribed.clear()
        client.connect("127.0.0.1", self.port, keepalive=20, clean_start=True, properties=properties)
        client.loop_start()
        assert self._subscribed.wait(10)
        self._client = client
        if born:
            self.birth()
            self.heartbeat()

    def die(self) -> None:
        """The connection ends without a goodbye: the broker publishes the will."""
        client, self._client = self._client, None
        if client is not None:
            sock: Any = client.socket()
            if sock is not None:
                sock.shutdown(socket.SHUT_RDWR)
            client.loop_stop()

    def publish(self, topic: Topic, payload: bytes, **options: Any) -> None:
        assert self._client is not None
        self._client.publish(topic.of(self.id), payload, qos=topic.value.qos, **options).wait_for_publish(10)

    def seal(self, body: Message) -> bytes:
        return self.signer.seal(kind_of(body), body)

    def say(self, topic: Topic, body: Message) -> None:
        self.publish(topic, self.seal(body))

    def birth_of(self, *, online: bool = True) -> Birth:
        return Birth(
            station=self.id,
            online=online,
            boot_id=self.boot_id,
            conn_no=self.conn_no,
            install_id=self.install_id,
            agent_version="0.1.0",
            time_zone="Asia/Shanghai",
            doors=[self.door()],
            lock_kinds={"main": "fail_secure"},
            sensors=[SensorMeta(name="room", unit="°C", low=5.0, high=38.0)],
            capacity=4,
            liveness=self.liveness,
            engine="opencv test",
            **self.now(),
        )

    def birth(self) -> None:
        self.say(Topic.BIRTH, self.birth_of())

    def heartbeat(self) -> None:
        """The state as it is now."""
        body = Heartbeat(
            station=self.id,
            boot_id=self.boot_id,
            conn_no=self.conn_no,
            install_id=self.install_id,
            interval_s=self.interval_s,
            doors=[self.door()],
            occupancy=OccupancyStatus(estimate=self.people, low=self.people, high=self.people, capacity=4),
            backlog=0,
            backlog_age_s=0.0,
            cameras=self.cameras,
            rejected={"bad_signature": 1},
            roster_version=self.roster_version,
            **self.now(),
        )
        self.say(Topic.HEARTBEAT, body)

    def door(self) -> DoorStatus:
        return DoorStatus(
            id="main",
            state=self.state,
            relay=False,
            contact_open=self.contact_open,
            mode=self.mode,
            mode_left_s=self.mode_left_s,
        )

    def event_of(
        self, seq: int, kind: EventKind, data: dict[str, Scalar] | None = None, *, age_ms: int = 0
    ) -> Event:
        now = self.now()
        now["mono_ms"] -= age_ms
        now["wall_ms"] -= age_ms
        return Event(seq=seq, kind=kind, boot_id=self.boot_id, data=data or {}, **now)

    def send_events(self, *events: Event) -> None:
        batch = EventBatch(
            station=self.id,
            install_id=self.install_id,
            boot_id=self.boot_id,
            sent_mono_ms=self.mono_ms(),
            items=list(events),
        )
        self.say(Topic.EVENT, batch)

    def send_readings(self, *values: float, first_seq: int = 1) -> None:
        items = [
            Reading(seq=first_seq + n, name="room", value=value, boot_id=self.boot_id, **self.now())
            for n, value in enumerate(values)
        ]
        batch = TelemetryBatch(
            station=self.id,
            install_id=self.install_id,
            boot_id=self.boot_id,
            sent_mono_ms=self.mono_ms(),
            items=items,
        )
        self.publish(Topic.TELEMETRY, encode(batch))

    def challenge(self, order: Order) -> None:
        """Answer an order as a station does."""
        body = Challenge(
            station=self.id,
            cmd_id=order.cmd_id,
            door=order.door,
            verb=order.verb,
            pulse_ms=order.pulse_ms,
            duration_s=order.duration_s,
            boot_id=self.boot_id,
            nonce=os.urandom(16).hex(),
        )
        self._later(Topic.CHALLENGE, body)

    def result(self, cmd_id: str, outcome: Outcome, code: str | None = None, **evidence: Any) -> None:
        body = Result(
            station=self.id,
            cmd_id=cmd_id,
            install_id=self.install_id,
            boot_id=self.boot_id,
            outcome=outcome,
            code=code,
            evidence=Evidence(**evidence),
            **self.now(),
        )
        self._later(Topic.RESULT, body)

    def reply(self, ask: Ask) -> None:
        """Say that it knows nothing of an order."""
        assert ask.cmd_id is not None
        self._later(
            Topic.REPLY,
            Reply(station=self.id, cmd_id=ask.cmd_id, install_id=self.install_id, boot_id=self.boot_id),
        )

    def acknowledged(self, field: str) -> list[Any]:
        """Everything acknowledged so far, in order."""
        return [item for ack in self.acks for item in getattr(ack, field)]

    def _later(self, topic: Topic, body: Message) -> None:
        """From a callback nobody may wait for the broker."""
        assert self._client is not None
        self._client.publish(topic.of(self.id), self.seal(body), qos=topic.value.qos)

    def _heard(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if (correlation := getattr(message.properties, "CorrelationData", None)) is not None:
            self.correlated.append((message.topic, bytes(correlation).decode()))
        if message.topic == Topic.ACK.of(self.id):
            self.acks.append(decode(self.hub.open(payload, kind="ack"), Ack, station=self.id))
        elif message.topic == Topic.GO.of(self.id):
            go = decode(self.hub.open(payload, kind="order.go"), Go, station=self.id)
            self.gos.append(go)
            self.on_go(go)
        elif message.topic == Topic.ROSTER.of(self.id):
            part = decode(self.hub.open(payload, kind="roster"), RosterPart, station=self.id)
            self.roster_parts.append(part)
        elif message.topic == Topic.ERASE.of(self.id):
            self.erases.append(decode(self.hub.open(payload, kind="erase"), Erase, station=self.id))
        elif b'"kind":"ask"' in payload:
            ask = decode(self.hub.open(payload, kind="ask"), Ask, station=self.id)
            self.asks.append(ask)
            self.on_ask(ask)
        else:
            order = decode(self.hub.open(payload, kind="order.req"), Order, station=self.id)
            self.orders.append(order)
            self.on_order(order)
