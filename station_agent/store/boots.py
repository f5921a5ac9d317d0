"""Moments at which the clock was synchronised, one for each run of the agent: they date its events and readings (D10).

Kept in ``safety.db``, and as a whole in memory: whoever packs a batch never waits for the disk.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from functools import partial
from typing import Final

from firmware_config.wire import Anchor
from station_agent.clock import Stamp
from station_agent.store.sums import row_sum
from station_agent.store.writer import Writer

_LOG = logging.getLogger(__name__)

KEPT: Final = 1_000
"""Runs remembered; events of older ones are dated by their wall clock."""


class Boots:
    """Anchors by run."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._anchors = writer.call(_load)

    def keep(self, stamp: Stamp) -> None:
        """Date a run by this moment. Returns at once."""
        anchor = Anchor(boot_id=stamp.boot_id, mono_ms=stamp.mono_ms, wall_ms=stamp.wall_ms)
        with self._lock:
            self._anchors[stamp.boot_id] = anchor
        self._writer.submit(partial(_keep, anchor=anchor)).add_done_callback(_kept)

    def of(self, boot_ids: Iterable[str], *, but: str) -> list[Anchor]:
        """Anchors of these runs, where there is one, without that of the present one."""
        with self._lock:
            return [
                self._anchors[boot_id]
                for boot_id in dict.fromkeys(boot_ids)
                if boot_id != but and boot_id in self._anchors
            ]


def _load(connection: sqlite3.Connection) -> dict[str, Anchor]:
    rows = connection.execute("SELECT boot_id, mono_ms, wall_ms, sum FROM boot ORDER BY rowid")
    return {
        boot_id: Anchor(boot_id=boot_id, mono_ms=mono_ms, wall_ms=wall_ms)
        for boot_id, mono_ms, wall_ms, total in rows
        if row_sum(boot_id, mono_ms, wall_ms) == total
    }


def _keep(connection: sqlite3.Connection, *, anchor: Anchor) -> None:
    values = (anchor.boot_id, anchor.mono_ms, anchor.wall_ms)
    connection.execute(
        "INSERT INTO boot (boot_id, mono_ms, wall_ms, sum) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (boot_id) DO UPDATE SET mono_ms = excluded.mono_ms, wall_ms = excluded.wall_ms,"
        " sum = excluded.sum",
        (*values, row_sum(*values)),
    )
    connection.execute("DELETE FROM boot WHERE rowid <= (SELECT max(rowid) FROM boot) - ?", (KEPT,))


def _kept(future: Future[None]) -> None:
    if (error := future.exception()) is not None:  # this run knows it; only a later one would miss it
        _LOG.error("store_cannot_keep_anchor", extra={"error": repr(error)})
