"""Rows of events in ``safety.db``: jobs for its writer, nothing else.

An acknowledged event stays for a while with its mark ``waiting`` off, so that the hub can ask for it again; it goes by
age or number, many at a time. The newest one always stays: it proves that the counter of numbers is right.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from firmware_config.vocabulary import EventKind, Lane, lane_of
from firmware_config.wire import BATCH_LIMIT, Event, Span
from station_agent.clock import Stamp
from station_agent.store.sums import row_sum

KEPT_ROWS: Final = 20_000
"""Acknowledged events kept, about 6 MB."""

KEPT_MS: Final = 7 * 24 * 3_600_000
"""How long an acknowledged event is kept, by synchronised clocks only."""

PRUNE_EVERY: Final = 500
"""Events between two looks at what is kept too long: each look writes pages (safety.md D11)."""

RESEND_ROWS: Final = 2_000
"""Most events looked at for one question; the hub asks again for the rest."""

_FIELDS: Final = "seq, kind, data, boot_id, mono_ms, wall_ms, clock, lane, waiting"


@dataclass(frozen=True, slots=True)
class Resent:
    """Answer to a question for events.

    Attributes:
        oldest: number of the first event that waits again; 0 when none does.
        gone: numbers that are not there any more, or never were used.
    """

    oldest: int
    gone: list[Span]


@dataclass(frozen=True, slots=True)
class Read:
    """Rows as they were kept.

    Attributes:
        bad: numbers of those whose checksum was wrong; they are gone now, and count as lost.
    """

    events: list[Event]
    bad: list[int]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Waiting events of one lane that had to go.

    Attributes:
        first: lowest number.
        last: highest number.
    """

    lane: Lane
    count: int
    first: int
    last: int


def keep(connection: sqlite3.Connection, event: Event) -> int:
    """Store an event; 0 when it is there already, because the batch is run again."""
    values = (
        event.seq,
        event.kind.value,
        msgspec.json.encode(event.data).decode(),
        event.boot_id,
        event.mono_ms,
        event.wall_ms,
        event.clock,
        int(lane_of(event.kind)),
        1,
    )
    connection.execute(
        "UPDATE counter SET value = ? WHERE name = 'event_seq' AND value < ?", (event.seq, event.seq)
    )
    return connection.execute(
        f"INSERT OR IGNORE INTO event ({_FIELDS}, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, row_sum(*values)),
    ).rowcount


def waiting(connection: sqlite3.Connection, lane: Lane, limit: int, after: int) -> Read:
    """Waiting events of a lane in order, ``after`` exclusive."""
    rows = connection.execute(
        f"SELECT {_FIELDS}, sum FROM event WHERE waiting AND lane = ? AND seq > ? ORDER BY seq LIMIT ?",
        (int(lane), after, limit),
    ).fetchall()
    return _sound(connection, rows)


def waiting_in(connection: sqlite3.Connection, seqs: Iterable[int]) -> Read:
    """Those of these events that still wait, in order."""
    found = (
        connection.execute(f"SELECT {_FIELDS}, sum FROM event WHERE waiting AND seq = ?", (seq,)).fetchone()
        for seq in sorted(seqs)
    )
    return _sound(connection, [row for row in found if row is not None])


def acknowledge(connection: sqlite3.Connection, seqs: Sequence[int]) -> int:
    """Take the mark ``waiting`` off. Number of events that had it."""
    return _mark(connection, seqs, waiting=False)


def resend(connection: sqlite3.Connection, first: int, last: int) -> Resent:
    """Have the events of a span wait again, and name those that are gone.

    Events are stored in the order of their numbers, so one below the newest stored is not in memory any more.
    """
    last = min(last, newest(connection))
    there = [
        (int(seq), int(mark))
        for seq, mark in connection.execute(
            "SELECT seq, waiting FROM event WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT ?",
            (first, last, RESEND_ROWS),
        )
    ]
    if len(there) == RESEND_ROWS:
        last = there[-1][0]
    again = [seq for seq, mark in there if not mark]
    _mark(connection, again, waiting=True)
    return Resent(
        again[0] if again else 0, _gaps([seq for seq, _ in there], max(1, first), last)[:BATCH_LIMIT]
    )


def prune(connection: sqlite3.Connection, at: Stamp | None) -> None:
    """Let go of acknowledged events beyond ``KEPT_ROWS``, and of those older than ``KEPT_MS`` by two clocks that agree."""
    top = newest(connection)
    connection.execute("DELETE FROM event WHERE NOT waiting AND seq <= ? AND seq < ?", (top - KEPT_ROWS, top))
    if at is not None and at.trust == "synced":
        connection.execute(
            "DELETE FROM event WHERE NOT waiting AND clock = 'synced' AND wall_ms < ? AND seq < ?",
            (at.wall_ms - KEPT_MS, top),
        )


def newest(connection: sqlite3.Connection) -> int:
    """The highest number ever stored."""
    (seq,) = connection.execute("SELECT value FROM counter WHERE name = 'event_seq'").fetchone()
    return int(seq)


def kept_from(connection: sqlite3.Connection) -> int:
    """The oldest event that is there; 0 without one."""
    (seq,) = connection.execute("SELECT min(seq) FROM event").fetchone()
    return int(seq or 0)


def oldest_waiting(connection: sqlite3.Connection) -> Stamp | None:
    """When the oldest waiting event happened."""
    row = connection.execute(
        "SELECT boot_id, mono_ms, wall_ms, clock FROM event WHERE seq = (SELECT min(first) FROM ("
        + " UNION ALL ".join(
            f"SELECT min(seq) AS first FROM event WHERE waiting AND lane = {int(lane)}" for lane in Lane
        )
        + "))"
    ).fetchone()
    return Stamp(*row) if row else None


def count_waiting(connection: sqlite3.Connection) -> int:
    """Events that wait, by what the triggers counted."""
    (rows,) = connection.execute(
        "SELECT sum(value) FROM counter WHERE name IN ('waiting_0', 'waiting_1', 'waiting_2')"
    ).fetchone()
    return int(rows)


def give_up(connection: sqlite3.Connection, row_limit: int) -> list[GivenUp]:
    """Let the oldest of the least urgent lane go while more than ``row_limit`` wait. A tenth at a time, not one by one."""
    over = count_waiting(connection) - row_limit
    if over <= 0:
        return []
    over += row_limit // 10
    gone: list[GivenUp] = []
    for lane in sorted(Lane, reverse=True):
        seqs = [
            int(seq)
            for (seq,) in connection.execute(
                "SELECT seq FROM event WHERE waiting AND lane = ? AND seq < ? ORDER BY seq LIMIT ?",
                (int(lane), newest(connection), over),
            )
        ]
        if seqs:
            connection.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq in seqs])
            lose(connection, len(seqs))
            gone.append(GivenUp(lane, len(seqs), seqs[0], seqs[-1]))
            over -= len(seqs)
        if over <= row_limit // 10:  # never a more urgent one for the sake of the tenth
            break
    return gone


def lose(connection: sqlite3.Connection, rows: int) -> None:
    """Count events that will never be sent."""
    connection.execute("UPDATE counter SET value = value + ? WHERE name = 'events_lost'", (rows,))


def lost(connection: sqlite3.Connection) -> int:
    """Events that were lost since the file was made."""
    (rows,) = connection.execute("SELECT value FROM counter WHERE name = 'events_lost'").fetchone()
    return int(rows)


def _sound(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> Read:
    """A damaged row is never sent: it goes, and what was counted by its lane is counted anew."""
    bad = [int(row[0]) for row in rows if row_sum(*row[:-1]) != row[-1]]
    if bad:
        connection.executemany("DELETE FROM event WHERE seq = ?", [(seq,) for seq in bad])
        for lane in Lane:
            connection.execute(
                "UPDATE counter SET value = (SELECT count(*) FROM event WHERE waiting AND lane = ?) WHERE name = ?",
                (int(lane), f"waiting_{int(lane)}"),
            )
        lose(connection, len(bad))
    return Read([event_of(row) for row in rows if int(row[0]) not in bad], bad)


def _mark(connection: sqlite3.Connection, seqs: Iterable[int], *, waiting: bool) -> int:
    marked = 0
    for seq in seqs:
        marked += connection.execute(
            "UPDATE event SET waiting = :new,"
            " sum = row_sum(seq, kind, data, boot_id, mono_ms, wall_ms, clock, lane, :new)"
            " WHERE seq = :seq AND waiting = :old",
            {"seq": seq, "new": int(waiting), "old": int(not waiting)},
        ).rowcount
    return marked


def _gaps(there: Sequence[int], first: int, last: int) -> list[Span]:
    gone, expected = [], first
    for seq in (*there, last + 1):
        if seq > expected:
            gone.append(Span(first=expected, last=seq - 1))
        expected = max(expected, seq + 1)
    return gone


def event_of(row: Sequence[Any]) -> Event:
    """A row in the order of ``schema.EVENT``."""
    seq, kind, data, boot_id, mono_ms, wall_ms, clock, *_ = row
    return Event(
        seq=seq,
        kind=EventKind(kind),
        boot_id=boot_id,
        mono_ms=mono_ms,
        wall_ms=wall_ms,
        clock=clock,
        data=msgspec.json.decode(data),
    )
