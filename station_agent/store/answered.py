"""Orders this station has begun or answered, kept past their expiry (safety.md C7, C8). Lives in ``safety.db``.

A row is EXECUTING from the commit before the pulse to the final result. One found EXECUTING when the file is opened was
cut off by a crash: the door may have opened, so it becomes INTERRUPTED and is never run again.
"""

import logging
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from firmware_config import crashpoint
from firmware_config.vocabulary import Outcome
from firmware_config.wire import Evidence, Result, encode
from station_agent.clock import Stamp
from station_agent.core.commands import REMEMBERED, Known
from station_agent.store.sums import row_sum
from station_agent.store.writer import Writer

_LOG = logging.getLogger(__name__)

KEPT_MS: Final = 7 * 24 * 3_600_000
"""How long an answer is kept, by synchronised clocks only."""


class Answered:
    """Intents and answers of one station."""

    def __init__(self, writer: Writer, *, station: str, install_id: str, stamp: Stamp) -> None:
        """Close what a crash left open.

        Args:
            writer: of ``safety.db``.
            station: own id.
            install_id: of that file.
            stamp: this moment, for the results of interrupted orders.
        """
        self._writer = writer
        interrupted = writer.call(partial(_interrupt, blank=_blank(station, install_id, stamp), stamp=stamp))
        for cmd_id in interrupted:
            _LOG.warning("order_interrupted", extra={"cmd_id": cmd_id})

    def commit_intent(self, cmd_id: str, digest: str, on_done: Callable[[bool], None]) -> None:
        """Put "about to pulse" on disk; ``on_done`` hears from the writer's thread whether it is there (C7)."""
        try:
            future = self._writer.submit(partial(_intend, cmd_id=cmd_id, digest=digest))
        except RuntimeError:
            on_done(False)
            return
        future.add_done_callback(lambda done: on_done(done.exception() is None))

    def recall(self) -> dict[str, Known]:
        """All answers kept, oldest first, for ``Commands``."""
        return self._writer.call(_recall)


def remember(connection: sqlite3.Connection, result: Result, *, digest: str) -> None:
    """Store a result beside its order and in the outbox, both or neither. The first final one stays for ever."""
    row = connection.execute("SELECT final, body FROM answered WHERE cmd_id = ?", (result.cmd_id,)).fetchone()
    if row is not None and row[0]:
        _send(connection, result.cmd_id, final=True, body=row[1])
        return
    body = encode(result).decode()
    connection.execute(
        "INSERT INTO answered (cmd_id, digest, final, body, wall_ms, clock, sum)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, row_sum(?1, ?2, ?3, ?4, ?5, ?6))"
        " ON CONFLICT (cmd_id) DO UPDATE SET final = excluded.final, body = excluded.body,"
        " wall_ms = excluded.wall_ms, clock = excluded.clock, sum = row_sum(cmd_id, digest,"
        " excluded.final, excluded.body, excluded.wall_ms, excluded.clock)",
        (result.cmd_id, digest, result.outcome.final, body, result.wall_ms, result.clock),
    )
    if result.clock == "synced":
        _prune(connection, result.wall_ms)
    _send(connection, result.cmd_id, final=result.outcome.final, body=body)
    crashpoint.here("agent.result.before_commit")


def _send(connection: sqlite3.Connection, cmd_id: str, *, final: bool, body: str) -> None:
    """Queue anew under a fresh number, in place of what waited before."""
    connection.execute("DELETE FROM result WHERE cmd_id = ?", (cmd_id,))
    connection.execute(
        "INSERT INTO result (cmd_id, final, body, sum) VALUES (?1, ?2, ?3, row_sum(?1, ?2, ?3))",
        (cmd_id, final, body),
    )


def _intend(connection: sqlite3.Connection, *, cmd_id: str, digest: str) -> None:
    connection.execute(
        "INSERT INTO answered (cmd_id, digest, final, body, wall_ms, clock, sum)"
        " VALUES (?1, ?2, 0, NULL, 0, 'unsynced', row_sum(?1, ?2, 0, NULL, 0, 'unsynced'))",
        (cmd_id, digest),
    )
    crashpoint.here("agent.intent.before_commit")


def _recall(connection: sqlite3.Connection) -> dict[str, Known]:
    rows = connection.execute(
        "SELECT cmd_id, digest, final, body, wall_ms, clock, sum FROM answered WHERE final ORDER BY id"
    )
    return {
        cmd_id: Known(digest, msgspec.json.decode(body, type=Result))
        for cmd_id, digest, *rest, total in rows
        if (body := rest[1]) and row_sum(cmd_id, digest, *rest) == total
    }


def _interrupt(connection: sqlite3.Connection, *, blank: Result, stamp: Stamp) -> list[str]:
    open_rows = connection.execute("SELECT cmd_id, body FROM answered WHERE NOT final").fetchall()
    for cmd_id, body in open_rows:
        evidence = msgspec.json.decode(body, type=Result).evidence if body else Evidence()
        remember(connection, msgspec.structs.replace(blank, cmd_id=cmd_id, evidence=evidence), digest="")
    if stamp.trust == "synced":
        _prune(connection, stamp.wall_ms)
    connection.execute(
        "DELETE FROM answered WHERE id <= (SELECT max(id) FROM answered) - ?"
        " AND cmd_id NOT IN (SELECT cmd_id FROM result)",
        (REMEMBERED,),
    )
    return [cmd_id for cmd_id, _ in open_rows]


def _prune(connection: sqlite3.Connection, now_ms: int) -> None:
    """Drop what is old by two clocks that could be trusted, and acknowledged."""
    connection.execute(
        "DELETE FROM answered WHERE final AND clock = 'synced' AND wall_ms < ?"
        " AND cmd_id NOT IN (SELECT cmd_id FROM result)",
        (now_ms - KEPT_MS,),
    )


def _blank(station: str, install_id: str, stamp: Stamp) -> Result:
    return Result(
        station=station,
        cmd_id="0" * 32,
        install_id=install_id,
        boot_id=stamp.boot_id,
        mono_ms=stamp.mono_ms,
        wall_ms=stamp.wall_ms,
        clock=stamp.trust,
        outcome=Outcome.INTERRUPTED,
        code="restarted",
    )
