"""A hostile MQTT 5 broker over real TCP: it replays, delays, reorders, doubles, retains, drops, swaps, kicks and lies.

It runs in a thread of its own on 127.0.0.1 and lets everybody in. How bad it is says its ``Mood``: shares of messages,
drawn from a seeded generator, changed at any time; a ``script`` decides about single messages instead. All that was ever
published to it is kept in ``log``, with the time of CLOCK_BOOTTIME at which it came, before any harm was done to it.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from tests.faults import mqtt5
from tests.faults.mqtt5 import Kind, Malformed, Packet, Publish, Reader

HOST: Final = "127.0.0.1"
END_S: Final = 10.0
CHUNK: Final = 65_536
NO_SUBSCRIBERS: Final = 0x10
RARELY: Final = 0.1


@dataclass(frozen=True, slots=True)
class Mood:
    """Shares of messages, 0 to 1, to which a thing is done.

    Attributes:
        drop: never delivered, and acknowledged with success: a lie.
        double: delivered two to four times.
        delay: delivered up to ``late_s`` later; others overtake it.
        replay: something older on the same topic is delivered after it.
        retain: says that it was retained.
        swap: carries the payload of the last message on another topic of the same direction.
        corrupt: one bit of its payload is the other one.
        deny: delivered, and acknowledged with "no matching subscribers": a lie.
        silent: delivered, never acknowledged.
        kick: who sent it is disconnected afterwards.
        presence: all shares are multiplied by this for births and heartbeats: without them nothing is ordered at all.
    """

    drop: float = 0.0
    double: float = 0.0
    delay: float = 0.0
    replay: float = 0.0
    retain: float = 0.0
    swap: float = 0.0
    corrupt: float = 0.0
    deny: float = 0.0
    silent: float = 0.0
    kick: float = 0.0
    late_s: float = 5.0
    presence: float = 1.0


HONEST: Final = Mood()
NAMES: Final = tuple(field.name for field in fields(Mood) if field.name not in {"late_s", "presence"})

PRESENCE: Final = ("/up/birth", "/up/heartbeat")


def drawn(chance: random.Random, *, calm: float = 0.6) -> Mood:
    """A mood in which each fault is off with probability ``calm``, and else strikes 10 to 60 % of the messages.

    Kicks are rarer: a station that is kicked stays away for longer each time, and nothing is ordered meanwhile.
    """
    shares = {name: 0.0 if chance.random() < calm else chance.uniform(0.1, 0.6) for name in NAMES}
    shares["kick"] *= RARELY
    return Mood(**shares, late_s=chance.uniform(0.2, 6.0), presence=RARELY)


@dataclass(frozen=True, slots=True)
class Logged:
    """What came, and when."""

    at_s: float
    client_id: str
    message: Publish


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message, and how much later."""

    message: Publish
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message.

    Attributes:
        reason: of its PUBACK; None to say nothing.
        kick: its sender goes.
    """

    deliveries: Sequence[Delivery]
    reason: int | None = 0
    kick: bool = False


Script = Callable[[str, Publish], Verdict | None]
"""Client id and message; None leaves it to the mood."""


class HostileBroker:
    """Listens on ``port`` from the start."""

    def __init__(self, *, seed: int = 0, mood: Mood = HONEST) -> None:
        self.mood = mood
        self.script: Script | None = None
        self.deaf = False
        self.log: list[Logged] = []
        self.done: dict[str, int] = dict.fromkeys(NAMES, 0)
        self.connects: list[mqtt5.Connect] = []
        self._random = random.Random(seed)  # noqa: S311 (malice, to be repeated)
        self._clients: dict[str, _Client] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, HOST, 0, limit=CHUNK))
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._thread = threading.Thread(target=self._loop.run_forever, name="hostile-broker", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        self._call(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_S)
        self._loop.close()

    @property
    def clients(self) -> list[str]:
        """Who is connected."""
        return sorted(self._clients)

    def deliver(self, *messages: Publish) -> None:
        """To whoever subscribed, as if somebody had published them."""
        self._call(self._deliver_now(messages))

    def send(self, client_id: str, raw: bytes) -> None:
        """Any bytes to one client; nothing when it has just gone."""
        self._call(self._send(client_id, raw))

    def kick(self, client_id: str) -> None:
        """Cut one client off."""
        self._call(self._kick(client_id))

    def heard(self, tail: str) -> list[Logged]:
        """What came on topics that end so."""
        return [logged for logged in list(self.log) if logged.message.topic.endswith(tail)]

    def _call(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(END_S)

    async def _finish(self) -> None:
        self._server.close()
        for client in list(self._clients.values()):
            client.abort()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_S)

    async def _deliver_now(self, messages: Sequence[Publish]) -> None:
        for message in messages:
            self._route(message)

    async def _send(self, client_id: str, raw: bytes) -> None:
        if client_id in self._clients:
            self._clients[client_id].write(raw)

    async def _kick(self, client_id: str) -> None:
        if client_id in self._clients:
            self._clients[client_id].abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        client = _Client(writer)
        packets = Reader()
        try:
            while piece := await reader.read(CHUNK):
                for packet in packets.feed(piece):
                    self._handle(client, packet)
        except (OSError, Malformed):
            pass
        finally:
            self._gone(client)
            client.abort()

    def _gone(self, client: "_Client") -> None:
        if self._clients.get(client.id) is client:
            del self._clients[client.id]
        if client.will is not None:
            self._published(client, client.will)

    def _handle(self, client: "_Client", packet: Packet) -> None:
        match packet.number:
            case Kind.CONNECT:
                self._connected(client, mqtt5.read_connect(packet))
            case Kind.SUBSCRIBE:
                asked = mqtt5.read_subscribe(packet)
                client.filters += [topic.removeprefix("$share/") for topic, _ in asked.filters]
                client.write(mqtt5.suback(asked.mid, *[min(options & 3, 1) for _, options in asked.filters]))
            case Kind.PUBLISH:
                self._published(client, mqtt5.read_publish(packet))
            case Kind.PINGREQ if not self.deaf:
                client.write(mqtt5.PINGRESP)
            case Kind.DISCONNECT:
                client.will = client.will if packet.rest[:1] == b"\x04" else None
            case _:
                pass

    def _connected(self, client: "_Client", said: mqtt5.Connect) -> None:
        if (former := self._clients.get(said.client_id)) is not None:
            former.abort()
        self.connects.append(said)
        client.id, client.will = said.client_id, said.will
        self._clients[client.id] = client
        client.write(mqtt5.connack())

    def _published(self, client: "_Client", message: Publish) -> None:
        self.log.append(Logged(time.clock_gettime(time.CLOCK_BOOTTIME), client.id, message))
        verdict = self._judged(client.id, message)
        for delivery in verdict.deliveries:
            if delivery.after_s:
                self._loop.call_later(delivery.after_s, self._route, delivery.message)
            else:
                self._route(delivery.message)
        if message.qos and message.mid and verdict.reason is not None:
            client.write(mqtt5.puback(message.mid, verdict.reason))
        if verdict.kick:
            client.abort()

    def _judged(self, client_id: str, message: Publish) -> Verdict:
        if self.deaf:
            return Verdict((), reason=0)
        if self.script is not None and (scripted := self.script(client_id, message)) is not None:
            return scripted
        return self._by_mood(message)

    def _by_mood(self, message: Publish) -> Verdict:
        mood = self.mood
        factor = mood.presence if message.topic.endswith(PRESENCE) else 1.0
        struck = {name for name in NAMES if self._random.random() < getattr(mood, name) * factor}
        for name in struck:
            self.done[name] += 1
        made = replace(message, mid=0, dup=False)
        if "swap" in struck and (other := self._another(message)) is not None:
            made = replace(made, payload=other.payload)
        if "corrupt" in struck and made.payload:
            made = replace(made, payload=self._flipped(made.payload))
        if "retain" in struck:
            made = replace(made, retain=True)
        count = 0 if "drop" in struck else self._random.randint(2, 4) if "double" in struck else 1
        after_s = self._random.uniform(0, mood.late_s) if "delay" in struck else 0.0
        deliveries = [Delivery(made, after_s) for _ in range(count)]
        if "replay" in struck and (old := self._older(message)) is not None:
            deliveries.append(Delivery(replace(old, mid=0, dup=False), self._random.uniform(0, mood.late_s)))
        reason = None if "silent" in struck else NO_SUBSCRIBERS if "deny" in struck else 0
        return Verdict(deliveries, reason, "kick" in struck)

    def _older(self, message: Publish) -> Publish | None:
        same = [logged.message for logged in self.log[:-1] if logged.message.topic == message.topic]
        return self._random.choice(same) if same else None

    def _another(self, message: Publish) -> Publish | None:
        way = message.topic.split("/")[3:4]
        others = [
            logged.message
            for logged in self.log[-200:-1]
            if logged.message.topic != message.topic and logged.message.topic.split("/")[3:4] == way
        ]
        return others[-1] if others else None

    def _flipped(self, payload: bytes) -> bytes:
        place = self._random.randrange(len(payload))
        return (
            payload[:place] + bytes([payload[place] ^ 1 << self._random.randrange(8)]) + payload[place + 1 :]
        )

    def _route(self, message: Publish) -> None:
        for client in list(self._clients.values()):
            if any(mqtt5.matches(topic, message.topic) for topic in client.filters):
                client.deliver(message)


class _Client:
    """One connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.id = ""
        self.will: Publish | None = None
        self.filters: list[str] = []
        self._writer = writer
        self._mid = 0

    def write(self, raw: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(raw)

    def deliver(self, message: Publish) -> None:
        if message.qos:
            self._mid = self._mid % 65_535 + 1
        self.write(replace(message, mid=self._mid if message.qos else 0).packet().encode())

    def abort(self) -> None:
        self._writer.transport.abort()
