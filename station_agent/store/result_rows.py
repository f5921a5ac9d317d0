"""Rows of results in ``safety.db`` that wait for the hub: jobs for its writer, nothing else."""

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from firmware_config.wire import Result
from station_agent.store.sums import row_sum

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """A result that waits. ``seq`` orders the lane and changes when the result does."""

    seq: int
    result: Result


def waiting(connection: sqlite3.Connection, limit: int, after: int) -> list[Pending]:
    """Results in order, ``after`` exclusive."""
    rows = connection.execute(
        "SELECT seq, cmd_id, final, body, sum FROM result WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    ).fetchall()
    return _sound(connection, rows)


def waiting_in(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[Pending]:
    """Those of these that still wait, in order."""
    rows = (
        connection.execute(
            "SELECT seq, cmd_id, final, body, sum FROM result WHERE seq = ?", (seq,)
        ).fetchone()
        for seq in sorted(seqs)
    )
    return _sound(connection, [row for row in rows if row])


def _sound(connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> list[Pending]:
    """A damaged result is never sent; the answer it repeats is asked for by the hub, and has a checksum of its own."""
    found = []
    for seq, *values, total in rows:
        if row_sum(*values) == total:
            found.append(Pending(seq, msgspec.json.decode(values[-1], type=Result)))
        else:
            _LOG.error("result_damaged", extra={"seq": seq})
            connection.execute("DELETE FROM result WHERE seq = ?", (seq,))
    return found
