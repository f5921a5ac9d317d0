"""Events and results until the hub itself says it has them (safety.md D1, D2, C12). Lives in ``safety.db``.

(station, install_id, seq) names an event for ever. ``seq`` is given in memory when the event happens and never again:
the highest one ever stored is kept in a counter row, so deleting rows does not free their numbers.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from firmware_config import crashpoint
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Ack, Event, Result, Scalar
from station_agent.clock import Stamp
from station_agent.store.answered import remember
from station_agent.store.feed import Feed
from station_agent.store.writer import Writer

_LOG = logging.getLogger(__name__)

WAITING_LIMIT: Final = 10_000
"""Events held in memory while the disk refuses."""

DATA_LIMIT: Final = 2_048
"""Bytes of one event's data, so that a full batch can always be cut to fit one message."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows that wait for the hub.

    Attributes:
        rows: events and results.
        oldest: when the oldest event happened; None when none waits.
    """

    rows: int
    oldest: Stamp | None

    def age_s(self, now: Stamp) -> float:
        """Age of the oldest event, by the monotonic clock where it can be."""
        if self.oldest is None:
            return 0.0
        if self.oldest.boot_id == now.boot_id:
            return (now.mono_ms - self.oldest.mono_ms) / 1000
        return max(0, now.wall_ms - self.oldest.wall_ms) / 1000


@dataclass(frozen=True, slots=True)
class Pending:
    """A result that waits. ``seq`` orders the lane and changes when the result does."""

    seq: int
    result: Result


@dataclass(frozen=True, slots=True)
class _Answer:
    result: Result
    digest: str


@dataclass(frozen=True, slots=True)
class _Change:
    rows: int
    oldest: Stamp | None


class Outbox:
    """The safety lane. Puts never wait; reads and acknowledgements go through the writer too."""

    def __init__(self, writer: Writer, *, install_id: str, on_rows: Callable[[], None]) -> None:
        self._writer = writer
        self._install_id = install_id
        self._on_rows = on_rows
        self._lock = threading.Lock()
        self._seq, self._rows, self._oldest = writer.call(_begin)
        self._shown = 0
        self._feed = Feed(writer, _keep, self._kept, limit=WAITING_LIMIT)
        self.foreign_acks = 0

    @property
    def dropped(self) -> int:
        """Events and results lost because the disk refused for too long. Their numbers stay as gaps."""
        return self._feed.dropped

    def put_event(self, kind: EventKind, data: Mapping[str, Scalar], stamp: Stamp) -> None:
        """Keep one event. Returns at once."""
        kept = dict(data)
        if (size := len(msgspec.json.encode(kept))) > DATA_LIMIT:
            _LOG.error("event_data_too_large", extra={"kind": kind.value, "bytes": size})
            kept = {"too_large_bytes": size}
        with self._lock:
            self._seq += 1
            self._feed.put(
                Event(
                    seq=self._seq,
                    kind=kind,
                    boot_id=stamp.boot_id,
                    mono_ms=stamp.mono_ms,
                    wall_ms=stamp.wall_ms,
                    clock=stamp.trust,
                    data=kept,
                )
            )

    def put_result(self, result: Result, *, digest: str = "") -> None:
        """Keep a result and send it. Returns at once.

        The first final result of a ``cmd_id`` stays; putting another, or the same again, sends the first once more.

        Args:
            result: final, or a first word that the final one replaces.
            digest: of the order's body, when no intent was committed for it.
        """
        self._feed.put(_Answer(result, digest))

    def barrier(self, timeout_s: float) -> bool:
        """Wait until everything put before is committed; False when it is not in time."""
        return self._feed.barrier(timeout_s)

    def events(self, limit: int, *, after: int = 0, upto: int = 2**53) -> list[Event]:
        """Waiting events in order, ``after`` exclusive, ``upto`` inclusive."""
        return self._writer.call(lambda connection: _events(connection, limit, after, upto))

    def results(self, limit: int, *, after: int = 0, upto: int = 2**53) -> list[Pending]:
        """Waiting results in order. What was given out here may be acknowledged from now on."""
        found = self._writer.call(lambda connection: _results(connection, limit, after, upto))
        if found:
            self._shown = max(self._shown, found[-1].seq)
        return found

    def acknowledge(self, ack: Ack) -> None:
        """Forget what the hub has. Returns at once.

        A result that is not final stays, and so does one that was never given out: an acknowledgement of the first word
        must not remove the final one.
        """
        if ack.install_id != self._install_id:
            self.foreign_acks += 1
            return
        if not ack.events and not ack.results:
            return
        future = self._writer.submit(partial(_forget, ack=ack, shown=self._shown))
        future.add_done_callback(self._forgotten)

    def backlog(self) -> Backlog:
        """What waits, as of the last commit. Never touches the disk."""
        with self._lock:
            return Backlog(self._rows, self._oldest)

    def close(self) -> None:
        """Store what waits in memory."""
        self._feed.close()

    def _kept(self, change: _Change) -> None:
        crashpoint.here("agent.outbox.committed")
        self._count(change)
        self._on_rows()

    def _forgotten(self, future: Future[_Change]) -> None:
        if (error := future.exception()) is None:
            crashpoint.here("agent.ack.forgotten")
            self._count(future.result())
        else:  # the rows stay and are sent again, which the hub does not mind
            _LOG.error("store_cannot_forget", extra={"error": repr(error)})

    def _count(self, change: _Change) -> None:
        with self._lock:
            self._rows += change.rows
            self._oldest = change.oldest


def _begin(connection: sqlite3.Connection) -> tuple[int, int, Stamp | None]:
    (seq,) = connection.execute("SELECT value FROM counter WHERE name = 'event_seq'").fetchone()
    (rows,) = connection.execute(
        "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM result)"
    ).fetchone()
    return seq, rows, _oldest(connection)


def _oldest(connection: sqlite3.Connection) -> Stamp | None:
    row = connection.execute(
        "SELECT boot_id, mono_ms, wall_ms, clock FROM event ORDER BY seq LIMIT 1"
    ).fetchone()
    return Stamp(*row) if row else None


def _keep(connection: sqlite3.Connection, items: Sequence[Event | _Answer]) -> _Change:
    rows = sum(
        _keep_event(connection, item)
        if isinstance(item, Event)
        else remember(connection, item.result, digest=item.digest)
        for item in items
    )
    return _Change(rows, _oldest(connection))


def _keep_event(connection: sqlite3.Connection, event: Event) -> int:
    connection.execute("UPDATE counter SET value = max(value, ?) WHERE name = 'event_seq'", (event.seq,))
    # a batch that is run again finds its own rows
    added = connection.execute(
        "INSERT OR IGNORE INTO event (seq, kind, boot_id, mono_ms, wall_ms, clock, data) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            event.seq,
            event.kind.value,
            event.boot_id,
            event.mono_ms,
            event.wall_ms,
            event.clock,
            msgspec.json.encode(event.data).decode(),
        ),
    ).rowcount
    crashpoint.here("agent.event.before_commit")
    return added


def _events(connection: sqlite3.Connection, limit: int, after: int, upto: int) -> list[Event]:
    rows = connection.execute(
        "SELECT seq, kind, boot_id, mono_ms, wall_ms, clock, data FROM event"
        " WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
        (after, upto, limit),
    )
    return [
        Event(
            seq=seq,
            kind=EventKind(kind),
            boot_id=boot_id,
            mono_ms=mono_ms,
            wall_ms=wall_ms,
            clock=clock,
            data=msgspec.json.decode(data),
        )
        for seq, kind, boot_id, mono_ms, wall_ms, clock, data in rows
    ]


def _results(connection: sqlite3.Connection, limit: int, after: int, upto: int) -> list[Pending]:
    rows = connection.execute(
        "SELECT seq, body FROM result WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", (after, upto, limit)
    )
    return [Pending(seq, msgspec.json.decode(body, type=Result)) for seq, body in rows]


def _forget(connection: sqlite3.Connection, *, ack: Ack, shown: int) -> _Change:
    before = connection.total_changes
    connection.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq in ack.events])
    connection.executemany(
        "DELETE FROM result WHERE cmd_id = ? AND final AND seq <= ?",
        [(cmd_id, shown) for cmd_id in ack.results],
    )
    crashpoint.here("agent.ack.before_forget")
    return _Change(before - connection.total_changes, _oldest(connection))
