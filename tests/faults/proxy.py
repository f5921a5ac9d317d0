"""A TCP proxy that is a bad network: slow, jittery, narrow, cut, half-open, reset, sliced, duplicating, bit-flipping.

It runs in a thread of its own on 127.0.0.1. What a direction does to what passes is a ``Way``, changed at any time from
any thread, for the connections that are open and those that come. A direction that stalls reads nothing: what was sent
waits in the kernel and arrives late when the stall ends, as over a real network that drops packets. With MQTT inside, a
``Snag`` waits for the n-th PUBLISH on a topic.
"""

import asyncio
import random
import socket
import struct
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from tests.faults.mqtt5 import Kind, Packet, Publish, Reader, read_publish

HOST: Final = "127.0.0.1"
CHUNK: Final = 65_536
PACKET: Final = 1_400
"""On a narrow line connections take turns after so many bytes."""

TURN_S: Final = 0.005
"""How soon a changed ``Way`` is noticed."""

END_S: Final = 10.0
FLUSH_S: Final = 0.05
"""What was let through must be on its way before the cut."""

_RESET: Final = struct.pack("ii", 1, 0)

Act = Literal["drop", "double", "cut_before", "cut_after", "stall_after", "flip"]


@dataclass(slots=True)
class Snag:
    """Something happens at the n-th PUBLISH whose topic ends so, once.

    Attributes:
        nth: how many are still to come, this one included.
        act: ``drop``: it is swallowed; ``double``: it passes twice; ``cut_before`` and ``cut_after``: all connections of
            the proxy are reset, and new ones refused until ``mend``; ``stall_after``: both directions stop; ``flip``: one
            bit of its payload.
        caught: it happened.
    """

    tail: str
    act: Act
    nth: int = 1
    caught: threading.Event = field(default_factory=threading.Event)

    def takes(self, message: Publish) -> bool:
        """Count a message; True when it is the one."""
        if self.nth <= 0 or not message.topic.endswith(self.tail):
            return False
        self.nth -= 1
        return self.nth == 0


@dataclass(slots=True)
class Way:
    """One direction, as it is at this moment.

    Attributes:
        latency_s: each chunk is late by this, give or take ``jitter_s``; order is kept.
        loss: share of chunks that are late by ``stall_s`` more: what a lost packet looks like to TCP.
        bytes_s: bandwidth of all connections together; 0 for no limit.
        stalled: nothing is read and nothing is passed on, connections stay.
        reset_at: after so many bytes of a connection it is reset.
        limit_at: after so many bytes of a connection it is closed.
        flip_at: the lowest bit of this byte of a connection is the other one.
        slice_bytes: at most so many at once, each as a segment of its own; 0 for no limit.
        double: share of chunks that pass twice.
        passed: bytes that went through.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    stall_s: float = 0.3
    bytes_s: float = 0.0
    stalled: bool = False
    reset_at: int | None = None
    limit_at: int | None = None
    flip_at: int | None = None
    slice_bytes: int = 0
    double: float = 0.0
    snags: list[Snag] = field(default_factory=list)
    passed: int = 0
    busy_until_s: float = 0.0

    def clear(self) -> None:
        """A good network again."""
        fresh = Way(passed=self.passed)
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def stop_at(self) -> int | None:
        """The byte of a connection before which it ends."""
        ends = [end for end in (self.reset_at, self.limit_at) if end is not None]
        return min(ends) if ends else None


class _Over(Exception):  # noqa: N818 (the end of a connection, not an error)
    """This connection ends now; politely when its argument is true."""


class FaultProxy:
    """Listens on ``port`` and passes to ``target``. ``up`` is the way from the client to the server."""

    def __init__(self, target: int, *, mqtt: bool = False, seed: int = 0) -> None:
        self.target = target
        self.up = Way()
        self.down = Way()
        self.accepted_s: list[float] = []
        self._mqtt = mqtt
        self._random = random.Random(seed)  # noqa: S311 (a network's whims, to be repeated)
        self._open = True
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = socket.create_server((HOST, 0))
        self.port = int(self._server.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"proxy:{self.port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        if self._thread.is_alive():
            self._call(self._finish())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(END_S)

    def cut(self) -> None:
        """Reset all connections and every new one, until ``mend``."""
        self._call(self._cut())

    def kick(self) -> None:
        """Reset all connections; new ones are welcome."""
        self._call(self._reset_all())

    def stall(self) -> None:
        """Half-open: nothing passes either way, TCP stays."""
        self.up.stalled = self.down.stalled = True

    def mend(self) -> None:
        """A good network again."""
        self.up.clear()
        self.down.clear()
        self._open = True

    @property
    def links(self) -> int:
        """Connections open now."""
        return len(self._links)

    def _call(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(END_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._serving = self._loop.run_until_complete(
            asyncio.start_server(self._serve, sock=self._server, limit=CHUNK)
        )
        self._loop.run_forever()
        self._loop.close()

    async def _finish(self) -> None:
        self._serving.close()
        await self._cut()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=END_S)

    async def _cut(self) -> None:
        self._open = False
        await self._reset_all()

    async def _reset_all(self) -> None:
        self._reset_links()

    def _reset_links(self) -> None:
        for link in list(self._links):
            link.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        client = _End(reader, writer)
        if not self._open:
            client.reset()
            return
        try:
            server = _End(*await asyncio.open_connection(HOST, self.target, limit=CHUNK))
        except OSError:
            client.reset()
            return
        self.accepted_s.append(time.monotonic())
        link = _Link(client, server)
        self._links.add(link)
        ways = [
            asyncio.create_task(self._pass(link, self.up, client, server)),
            asyncio.create_task(self._pass(link, self.down, server, client)),
        ]
        watching = asyncio.create_task(link.watch(*ways))
        try:
            await watching
        finally:
            self._links.discard(link)
            for task in (*ways, watching):
                task.cancel()
            await asyncio.gather(*ways, watching, return_exceptions=True)
            if not any(_is_polite(task) for task in ways):
                link.reset()
            link.close()

    async def _pass(self, link: "_Link", way: Way, source: "_End", sink: "_End") -> None:
        """Read, and write as late as the way says; reading goes on meanwhile, as on a long line."""
        line: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1_024)
        reading = asyncio.create_task(self._read(link, way, source, line))
        done = 0
        try:
            while True:
                due_s, piece = await line.get()
                await asyncio.sleep(max(0.0, due_s - self._loop.time()))
                if not piece:
                    await sink.end()
                    return
                done = await self._write(way, sink, piece, done)
        finally:
            reading.cancel()

    async def _read(
        self, link: "_Link", way: Way, source: "_End", line: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        packets = Reader() if self._mqtt else None
        last_s = 0.0
        while True:
            await self._while_stalled(way)
            try:
                piece = await source.reader.read(CHUNK)
            except OSError:
                link.reset()
                return
            await self._while_stalled(way)
            for each, snag in self._pieces(way, packets, piece):
                if each:
                    late_s = way.latency_s + self._random.uniform(-way.jitter_s, way.jitter_s)
                    late_s += way.stall_s if self._random.random() < way.loss else 0.0
                    last_s = max(last_s, self._loop.time() + late_s)
                    await line.put((last_s, each))
                if snag is not None and not await self._sprung(way, snag):
                    return
            if not piece:
                await line.put((last_s, b""))
                return

    async def _while_stalled(self, way: Way) -> None:
        while way.stalled:  # noqa: ASYNC110 (changed from other threads, for all connections)
            await asyncio.sleep(TURN_S)

    async def _write(self, way: Way, sink: "_End", piece: bytes, done: int) -> int:
        """Write a piece in slices; how many bytes of the connection have passed."""
        rest = piece * 2 if self._random.random() < way.double else piece
        while rest:
            await self._while_stalled(way)
            end = way.stop_at()
            size = min(len(rest), way.slice_bytes or (PACKET if way.bytes_s else CHUNK))
            size = size if end is None else min(size, max(end - done, 0))
            part, rest = bytearray(rest[:size]), rest[size:]
            if way.flip_at is not None and done <= way.flip_at < done + size:
                part[way.flip_at - done] ^= 1
            await self._narrow(way, size)
            await sink.write(bytes(part))
            done += size
            way.passed += size
            if end is not None and done >= end:
                raise _Over(way.limit_at == end)
            await asyncio.sleep(0)
        return done

    async def _narrow(self, way: Way, size: int) -> None:
        if way.bytes_s:
            way.busy_until_s = max(way.busy_until_s, self._loop.time()) + size / way.bytes_s
            await asyncio.sleep(way.busy_until_s - self._loop.time())

    def _pieces(self, way: Way, packets: Reader | None, piece: bytes) -> Iterator[tuple[bytes, Snag | None]]:
        """What of a piece may pass, and what was caught with it."""
        if packets is None:
            yield piece, None
            return
        for packet in packets.feed(piece):
            raw, snag = packet.encode(), self._snag(way, packet)
            if snag is None:
                yield raw, None
            elif snag.act in {"drop", "cut_before"}:
                yield b"", snag
            elif snag.act == "flip":
                yield raw[:-1] + bytes([raw[-1] ^ 1]), snag
            else:
                yield raw * (2 if snag.act == "double" else 1), snag

    def _snag(self, way: Way, packet: Packet) -> Snag | None:
        if packet.number != Kind.PUBLISH or not way.snags:
            return None
        message = read_publish(packet)
        return next((snag for snag in way.snags if snag.takes(message)), None)

    async def _sprung(self, way: Way, snag: Snag) -> bool:
        """Do what else a snag does; False when the connection is over."""
        if snag.act in {"cut_before", "cut_after"}:
            self._open = False
            await asyncio.sleep(FLUSH_S)
            snag.caught.set()
            self._reset_links()
            return False
        if snag.act == "stall_after":
            await asyncio.sleep(FLUSH_S)
            self.stall()
        snag.caught.set()
        await self._while_stalled(way)
        return True


def _is_polite(way: "asyncio.Task[None]") -> bool:
    """It ended with FIN."""
    if way.cancelled():
        return False
    error = way.exception()
    return error is None or (isinstance(error, _Over) and bool(error.args[0]))


class _End:
    """One socket of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer
        self._socket: socket.socket = writer.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def write(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def end(self) -> None:
        """No more will be written."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()

    def reset(self) -> None:
        """RST instead of FIN."""
        if not self._writer.is_closing():
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


class _Link:
    """The two sockets of a connection."""

    def __init__(self, client: _End, server: _End) -> None:
        self._ends = (client, server)
        self.over = asyncio.Event()

    def reset(self) -> None:
        for end in self._ends:
            end.reset()
        self.over.set()

    async def watch(self, *ways: "asyncio.Task[None]") -> None:
        """Until both ways have ended politely, one of them otherwise, or somebody reset it."""
        reset = asyncio.create_task(self.over.wait())
        left = set(ways)
        try:
            while left and not self.over.is_set():
                done, _ = await asyncio.wait([*left, reset], return_when=asyncio.FIRST_COMPLETED)
                left -= done
                if any(way.done() and way.exception() is not None for way in ways):
                    return
        finally:
            reset.cancel()

    def close(self) -> None:
        for end in self._ends:
            end.close()
