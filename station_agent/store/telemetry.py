"""Readings until the hub has them. Lives in ``telemetry.db``: the last seconds may be lost in a power cut (safety.md D3).

When the file is full the older half is thinned, every second reading of each sensor, so that a long outage leaves a
coarser history instead of a hole. What is thinned out is counted.
"""

import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

import msgspec

from firmware_config.wire import Ack, Reading
from station_agent.clock import Stamp
from station_agent.store.feed import Feed
from station_agent.store.sums import row_sum
from station_agent.store.writer import Writer

_LOG = logging.getLogger(__name__)

ROW_LIMIT: Final = 100_000
"""Readings kept, about 15 MB: three days of ten sensors twice a minute."""

WAITING_LIMIT: Final = 10_000
JUMP: Final = 1_000_000
"""More readings than a power cut can take back."""

_FIELDS: Final = "seq, name, value, boot_id, mono_ms, wall_ms, clock, sum"

LINGER_S: Final = 2.0
"""How long a reading may wait to share a commit with others (safety.md D11: each commit wears the card)."""


class Telemetry:
    """The telemetry lane. Puts never wait.

    Attributes:
        install_id: of this file; it is not the one of ``safety.db``.
    """

    def __init__(
        self, writer: Writer, *, install_id: str, on_rows: Callable[[], None], row_limit: int = ROW_LIMIT
    ) -> None:
        self.install_id = install_id
        self._writer = writer
        self._lock = threading.Lock()
        self._seq, self._thinned = writer.call(_begin)
        if writer.rolled_back:  # numbers may have been used that the file does not know of any more
            self._seq += JUMP
        self._feed = Feed(
            writer, partial(_keep, row_limit=row_limit), self._kept, limit=WAITING_LIMIT, urgent=False
        )
        self._on_rows = on_rows
        self._unusable = 0

    @property
    def dropped(self) -> int:
        """Readings lost: thinned out, not finite, or too many while the disk refused."""
        return self._thinned + self._unusable + self._feed.dropped

    def restore(self, readings: Sequence[Reading]) -> None:
        """Keep readings of another file under new numbers. Returns at once."""
        with self._lock:
            for reading in readings:
                self._seq += 1
                self._feed.put(msgspec.structs.replace(reading, seq=self._seq))

    def put_reading(self, name: str, value: float, stamp: Stamp) -> None:
        """Keep one reading. Returns at once."""
        if not math.isfinite(value):
            self._unusable += 1
            return
        with self._lock:
            self._seq += 1
            self._feed.put(
                Reading(
                    seq=self._seq,
                    name=name,
                    value=float(value),
                    boot_id=stamp.boot_id,
                    mono_ms=stamp.mono_ms,
                    wall_ms=stamp.wall_ms,
                    clock=stamp.trust,
                )
            )

    def readings(self, limit: int, *, after: int = 0) -> list[Reading]:
        """Waiting readings in order, ``after`` exclusive."""
        return self._writer.call(lambda connection: _readings(connection, limit, after))

    def readings_of(self, seqs: Sequence[int]) -> list[Reading]:
        """Those of these that still wait, in order."""
        return self._writer.call(lambda connection: _readings_of(connection, seqs))

    def acknowledge(self, ack: Ack) -> None:
        """Forget what the hub has. Returns at once."""
        if ack.install_id == self.install_id and ack.readings:
            self._writer.submit(partial(_forget, ack=ack), urgent=False)

    @property
    def failing(self) -> bool:
        """The disk refused the last time."""
        return self._feed.failing

    def try_again(self) -> None:
        """The disk may write again."""
        self._feed.try_again()

    def thin(self) -> None:
        """Give every second of the older readings up, to make room. Returns at once."""

        def job(connection: sqlite3.Connection) -> int:
            (rows,) = connection.execute("SELECT count(*) FROM reading").fetchone()
            _thin(connection, int(rows) * 3 // 4)
            return _thinned(connection)

        self._writer.submit(job).add_done_callback(self._thinned_out)

    def _thinned_out(self, future: Future[int]) -> None:
        if future.exception() is None:
            self._thinned = future.result()

    def barrier(self, timeout_s: float) -> bool:
        """Wait until everything put before is committed."""
        self._writer.submit(lambda _: None)  # an urgent job takes the patient ones along
        return self._feed.barrier(timeout_s)

    def close(self) -> None:
        """Store what waits in memory."""
        self._writer.submit(lambda _: None)
        self._feed.close()

    def _kept(self, thinned: int) -> None:
        self._thinned = thinned
        self._on_rows()


def _begin(connection: sqlite3.Connection) -> tuple[int, int]:
    counters = dict(connection.execute("SELECT name, value FROM counter"))
    return counters["reading_seq"], counters["thinned"]


def _keep(connection: sqlite3.Connection, items: Sequence[Reading], *, row_limit: int) -> int:
    connection.executemany(
        "INSERT OR IGNORE INTO reading (seq, name, value, boot_id, mono_ms, wall_ms, clock, sum)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, row_sum(?1, ?2, ?3, ?4, ?5, ?6, ?7))",
        [
            (item.seq, item.name, item.value, item.boot_id, item.mono_ms, item.wall_ms, item.clock)
            for item in items
        ],
    )
    connection.execute(
        "UPDATE counter SET value = max(value, ?) WHERE name = 'reading_seq'", (items[-1].seq,)
    )
    _thin(connection, row_limit)
    return _thinned(connection)


def _thinned(connection: sqlite3.Connection) -> int:
    (thinned,) = connection.execute("SELECT value FROM counter WHERE name = 'thinned'").fetchone()
    return int(thinned)


def _thin(connection: sqlite3.Connection, row_limit: int) -> None:
    (rows,) = connection.execute("SELECT count(*) FROM reading").fetchone()
    if rows <= row_limit:
        return
    gone = connection.execute(
        "DELETE FROM reading WHERE seq IN (SELECT seq FROM"
        " (SELECT seq, row_number() OVER (PARTITION BY name ORDER BY seq) AS turn"
        " FROM (SELECT seq, name FROM reading ORDER BY seq LIMIT :half))"
        " WHERE turn % 2 = 0)",
        {"half": row_limit // 2},
    ).rowcount
    if rows - gone > row_limit:  # more sensors than rows to thin: then the oldest go
        gone += connection.execute(
            "DELETE FROM reading WHERE seq IN (SELECT seq FROM reading ORDER BY seq LIMIT ?)",
            (rows - gone - row_limit,),
        ).rowcount
    connection.execute("UPDATE counter SET value = value + ? WHERE name = 'thinned'", (gone,))


def _readings(connection: sqlite3.Connection, limit: int, after: int) -> list[Reading]:
    rows = connection.execute(
        f"SELECT {_FIELDS} FROM reading WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    ).fetchall()
    return _sound(connection, rows)


def _readings_of(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[Reading]:
    rows = (
        connection.execute(f"SELECT {_FIELDS} FROM reading WHERE seq = ?", (seq,)).fetchone()
        for seq in sorted(seqs)
    )
    return _sound(connection, [row for row in rows if row])


def _sound(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> list[Reading]:
    """A damaged reading is never sent: it goes, as if it had been thinned out."""
    good = [row for row in rows if row_sum(*row[:-1]) == row[-1]]
    for row in rows:
        if row not in good:
            _LOG.error("reading_damaged", extra={"seq": row[0]})
            connection.execute("DELETE FROM reading WHERE seq = ?", (row[0],))
            connection.execute("UPDATE counter SET value = value + 1 WHERE name = 'thinned'")
    return [_reading(row) for row in good]


def _reading(row: Sequence[Any]) -> Reading:
    seq, name, value, boot_id, mono_ms, wall_ms, clock, *_ = row
    return Reading(
        seq=seq, name=name, value=value, boot_id=boot_id, mono_ms=mono_ms, wall_ms=wall_ms, clock=clock
    )


def _forget(connection: sqlite3.Connection, *, ack: Ack) -> None:
    connection.executemany("DELETE FROM reading WHERE seq = ?", [(seq,) for seq in ack.readings])
