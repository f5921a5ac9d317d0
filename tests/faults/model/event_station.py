"""A station's real store and pump, turned by hand. Its process may die between any two commits: its files are copied then."""

import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.signing import Refused, Signer, Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind, Lane, lane_of
from firmware_config.wire import (
    Ack,
    Ask,
    Birth,
    EventBatch,
    Heartbeat,
    OccupancyStatus,
    Scalar,
    decode,
    kind_of,
)
from station_agent.clock import Stamp
from station_agent.link.client import Raw
from station_agent.link.intake import Intake
from station_agent.link.presence import Kept
from station_agent.link.pump import Pump
from station_agent.store.store import Store
from tests.faults.model.world import Violation

STATION: Final = "st-test0001"
NOON_MS: Final = 1_760_000_000_000
KEY: Final = Ed25519PrivateKey.from_private_bytes(b"e" * 32)
NEWS_MS: Final = 60_000
"""Told later than this after it happened, or by another run of the agent, an event is history (protocol.md)."""

DATA: Final = (Topic.EVENT, Topic.TELEMETRY)
_NOBODY: Final = OccupancyStatus(estimate=0, low=0, high=0, capacity=1)
_WAIT_S: Final = 20.0

Name = tuple[str, int]
"""Install and number."""


@dataclass(frozen=True, slots=True)
class Put:
    """Something that happened: ``number`` is its own for ever, whatever names it gets."""

    number: int
    kind: EventKind
    boot_id: str
    mono_ms: int


@dataclass(slots=True)
class Ledger:
    """What really happened. Nothing of hub or station reads it.

    Attributes:
        memory: handed to the store, not known to be on disk.
        kept: on disk at some time.
        given_up: of these the station has told that they are lost.
        fresh: some batch of theirs was sent in time to be news.
        acked: the hub has told the station that it has them, and nobody has restored it since.
    """

    now_ms: int = 0
    memory: dict[Name, Put] = field(default_factory=dict)
    kept: dict[Name, Put] = field(default_factory=dict)
    given_up: set[Name] = field(default_factory=set)
    fresh: set[Name] = field(default_factory=set)
    acked: set[Name] = field(default_factory=set)


class BootClock:
    """The station's clocks; a power cut sets the monotonic one back."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._started_ms = -5_000
        self.boot_id = ""

    def begin(self, boot_id: str, *, power: bool) -> None:
        """The agent starts."""
        self.boot_id = boot_id
        if power:
            self._started_ms = self._ledger.now_ms - 100

    def monotonic_s(self) -> float:
        return (self._ledger.now_ms - self._started_ms) / 1000

    def stamp(self) -> Stamp:
        mono_ms = self._ledger.now_ms - self._started_ms
        return Stamp(self.boot_id, mono_ms, NOON_MS + self._ledger.now_ms, "synced")


class EventStation:
    """One. It runs or is dead; its folder outlives it."""

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        *,
        verifier: Verifier,
        post: Callable[[Topic, bytes], None],
        fresh: Callable[[], str],
    ) -> None:
        self.folder = folder / "0"
        self.alive = self.line_up = False
        self.dies_at: str | None = None
        self.row_limit = 0
        self._ledger = ledger
        self._homes = folder
        self._post = post
        self._fresh = fresh
        self._corpse: Path | None = None
        self._gate: threading.Event | None = None
        self._lost: list[tuple[Lane, int, int]] = []
        self._number = self._moved = 0
        self._intake = Intake(station=STATION, verifier=verifier)
        self._signer = Signer(KEY)
        self._own = Verifier.of(encode_public(KEY.public_key()))
        self.clock = BootClock(ledger)
        self.boot()
        self.connect()

    @property
    def held(self) -> bool:
        """The disk answers nobody."""
        return self._gate is not None

    def boot(self, *, power: bool = False) -> None:
        """The agent starts on what it finds."""
        self.clock.begin(self._fresh(), power=power)
        self.store = Store(self.folder, station=STATION, stamp=self.clock.stamp())
        self.store.report(record=self._record, damaged=_never, lost=self._told)
        self.pump = Pump(
            station=STATION, store=self.store, clock=self.clock, signer=self._signer, send=self._send
        )
        self.store.listen(self.pump._rows_came)
        self.alive, self.conn_no = True, 0
        self._see_what_was_kept()
        if self.row_limit:
            self.store.outbox._row_limit = self.row_limit
        self.store.keep_anchor(self.clock.stamp())
        self.settle()

    def crash(self) -> None:
        """SIGKILL: what no commit had taken is gone."""
        if not self.alive:
            return
        self._corpse = self._corpse or self._copy()
        self._bury()

    def lose_store(self) -> None:
        """Another card is put in. Only while dead."""
        self._moved += 1
        self.folder = self._homes / f"new-{self._moved}"
        self._ledger.memory.clear()

    def close(self) -> None:
        """The history is over."""
        if self.alive:
            self.let_go()
            self.store.close()

    def hold(self) -> None:
        """The disk takes its time, from now on."""
        if not self.alive or self.held:
            return
        gate, begun = threading.Event(), threading.Event()

        def stall(_: object) -> None:
            begun.set()
            gate.wait(_WAIT_S)

        self.store._safety.submit(stall)
        assert begun.wait(_WAIT_S)
        self._gate = gate

    def let_go(self) -> None:
        """The disk does what waits."""
        if self._gate is not None:
            self._gate.set()
            self._gate = None
            self.settle()

    def cramp(self, row_limit: int) -> None:
        """No more than so many may wait."""
        self.row_limit = row_limit
        if self.alive:
            self.store.outbox._row_limit = row_limit

    def put(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        """Something happens."""
        self._number += 1
        at = self.clock.stamp()
        put = Put(self._number, kind, at.boot_id, at.mono_ms)
        name = (self.store.install_id, self.store.outbox._seq + 1)
        self._ledger.given_up.discard(
            name
        )  # a number that was refused room, and that a crash gave free again
        self._ledger.memory[name] = put
        self.store.put_event(kind, {**data, "n": put.number}, at)

    def settle(self) -> None:
        """Wait until the disk has done all, unless it is held."""
        if not self.alive or self.held:
            return
        assert self.store.barrier(_WAIT_S)
        assert self.store._safety.barrier(_WAIT_S)
        if self._corpse is None and (self._lost or self._ledger.memory):
            self._see_what_was_kept(alive=True)
        self._bury()

    def turn(self) -> None:
        """As the pump's thread does, until it would sleep."""
        if not self.alive or self.held:
            return
        for _ in range(60):
            notes = list(self.pump._notes)
            self.pump._notes.clear()
            for note in notes:
                note()
            if self.pump._turn() != 0.0:
                break
        self.settle()

    def connect(self) -> None:
        """A new connection."""
        if not self.alive:
            return
        self.line_up = True
        self.conn_no += 1
        self._ledger.now_ms += 1  # a birth of the same millisecond would be taken for a repeat
        self.pump.connected(DATA, up=True)
        self.announce()

    def disconnect(self) -> None:
        """The line is cut."""
        self.line_up = False
        if self.alive:
            self.pump.connected(DATA, up=False)

    def deliver(self, topic: Topic, payload: bytes) -> None:
        """From the broker."""
        if not (self.alive and self.line_up):
            return
        try:
            found = self._intake.judge(Raw(topic.of(STATION), payload), self.clock.stamp())
        except Refused:
            return
        match found:
            case Ask(what="rebirth"):
                self.announce()
            case Ask(what="resend", install_id=str(install_id), first=first, last=last):
                self.store.resend(install_id, first, last)
            case Ack():
                if found.install_id == self.store.install_id:
                    self._ledger.acked |= {(found.install_id, seq) for seq in found.events}
                self.store.acknowledge(found)
                self.pump.acknowledged(found)
                if found.anew:
                    self.pump.hasten()
            case _:
                pass
        self.settle()

    def announce(self) -> None:
        """Who we are, and how we are."""
        at = self.clock.stamp()
        birth = Birth(
            station=STATION, online=True, boot_id=at.boot_id, conn_no=self.conn_no, install_id=self.store.install_id,
            mono_ms=at.mono_ms, wall_ms=at.wall_ms, clock=at.trust, agent_version="model", time_zone="UTC", doors=[],
            lock_kinds={}, sensors=[], capacity=1, liveness="off", engine="",
        )  # fmt: skip
        self._post(Topic.BIRTH, self._signer.seal(kind_of(birth), birth))
        self.beat()

    def beat(self) -> None:
        """The lease, and what is on the disk."""
        if not (self.alive and self.line_up):
            return
        at, kept = self.clock.stamp(), Kept.of(self.store)
        beat = Heartbeat(
            station=STATION, boot_id=at.boot_id, conn_no=self.conn_no, install_id=self.store.install_id,
            mono_ms=at.mono_ms, wall_ms=at.wall_ms, clock=at.trust, interval_s=5.0, doors=[], occupancy=_NOBODY,
            backlog=kept.backlog.rows, backlog_age_s=kept.backlog.age_s(at), cameras={}, rejected={},
            event_seq=kept.event_seq, events_kept_from=kept.kept_from, storage=kept.storage,
        )  # fmt: skip
        self._post(Topic.HEARTBEAT, self._signer.seal(kind_of(beat), beat))

    def reached(self, point: str) -> None:
        """A named place in the code, on whatever thread: power fails there when it was so arranged."""
        if point == self.dies_at and self.alive and self._corpse is None:
            self.dies_at = None
            self._corpse = self._copy()

    def _send(self, topic: Topic, payload: bytes, _correlation: str | None) -> bool:
        if not self.line_up or self._corpse is not None:
            return False
        if topic is Topic.EVENT:
            batch = decode(self._own.open(payload, kind="event"), EventBatch, station=STATION)
            self._note_fresh(batch)
        self.sent(topic, payload)
        return True

    def sent(self, topic: Topic, payload: bytes) -> None:
        """The broker has it."""
        self._post(topic, payload)

    def _note_fresh(self, batch: EventBatch) -> None:
        for event in batch.items:
            if event.boot_id == batch.boot_id and batch.sent_mono_ms - event.mono_ms <= NEWS_MS:
                self._ledger.fresh.add((batch.install_id, event.seq))

    def _told(self, lane: Lane, _count: int, first: int, last: int) -> None:
        self._lost.append((lane, first, last))

    def _record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        raise AssertionError((kind, data))

    def _see_what_was_kept(self, *, alive: bool = False) -> None:
        """Which numbers are on the disk. What a crash took before its commit was never promised to anybody."""
        ledger, install = self._ledger, self.store.install_id
        rows = self.store._safety.call(
            lambda connection: {seq for (seq,) in connection.execute("SELECT seq FROM event")}
        )
        told = [(lane, range(first, last + 1)) for lane, first, last in self._lost]
        for name, put in [*ledger.memory.items(), *(ledger.kept.items() if told else ())]:
            if name[0] == install and name[1] not in rows:
                lost = any(lane is lane_of(put.kind) and name[1] in span for lane, span in told)
                if lost:
                    ledger.given_up.add(name)
                elif alive and name in ledger.memory:
                    raise Violation(f"E1: {name} was put and is neither on disk nor told of")
        for name, put in ledger.memory.items():
            there = name[0] == install and name[1] in rows
            if there and (other := ledger.kept.setdefault(name, put)) is not put:
                raise Violation(f"E1: {name} names {other} and {put}")
        ledger.memory.clear()
        self._lost.clear()

    def _copy(self) -> Path:
        self._moved += 1
        target = self._homes / str(self._moved)
        target.mkdir()
        for file in self.folder.iterdir():
            if not file.name.endswith("-shm"):
                with suppress(FileNotFoundError):
                    shutil.copy(file, target)
        return target

    def _bury(self) -> None:
        """What the dead process would still have done is done in a folder that nobody reads again."""
        if self._corpse is None:
            return
        self.alive = self.line_up = False
        if self._gate is not None:
            self._gate.set()
            self._gate = None
        self.store.close()
        shutil.rmtree(self.folder)
        self.folder, self._corpse = self._corpse, None


def _never() -> None:
    raise AssertionError("damage without damage")
