"""The modes of doors on disk, in ``safety.db``: what a lock-down survives a power cut by.

A change and its answer are one transaction (``carry_out``), which looks at the clock itself: there is no moment at which
the one is kept and the other is not, and none at which a change takes effect after its order has expired.
"""

import sqlite3
from collections.abc import Callable, Sequence

from firmware_config.vocabulary import DoorMode
from firmware_config.wire import Result
from station_agent.core.commands import ModeChange
from station_agent.core.modes import Term


def carry_out(
    connection: sqlite3.Connection, *, change: ModeChange, term: Term | None, now_ms: Callable[[], int]
) -> Result:
    """Put a change on disk, in time or not at all. Returns the answer, which belongs into the same transaction."""
    if now_ms() > change.latest_mono_ms:
        return change.late
    _put(connection, change.order.door, term)
    return change.applied


def keep(connection: sqlite3.Connection, *, over: Sequence[Term], terms: Sequence[Term]) -> None:
    """Write what time has changed. An order that came in between wins: only the same order's row is touched."""
    for term in (*over, *terms):
        row = connection.execute("SELECT cmd_id FROM door_mode WHERE door = ?", (term.door,)).fetchone()
        if row is not None and row[0] == term.cmd_id:
            _put(connection, term.door, None if term in over else term)


def recall(connection: sqlite3.Connection) -> list[Term]:
    """What was in force when the agent ended."""
    rows = connection.execute(
        "SELECT door, mode, cmd_id, machine, until_mono_ms, until_wall_ms, clock, left_ms FROM door_mode ORDER BY door"
    )
    return [
        Term(
            door=door,
            mode=DoorMode(mode),
            cmd_id=cmd_id,
            machine=machine,
            until_mono_ms=until_mono_ms,
            until_wall_ms=until_wall_ms,
            clock=clock,
            left_ms=left_ms,
        )
        for door, mode, cmd_id, machine, until_mono_ms, until_wall_ms, clock, left_ms in rows
    ]


def _put(connection: sqlite3.Connection, door: str, term: Term | None) -> None:
    connection.execute("DELETE FROM door_mode WHERE door = ?", (door,))
    if term is not None:
        connection.execute(
            "INSERT INTO door_mode (door, mode, cmd_id, machine, until_mono_ms, until_wall_ms, clock, left_ms, sum)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, row_sum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))",
            (
                door,
                term.mode.value,
                term.cmd_id,
                term.machine,
                term.until_mono_ms,
                term.until_wall_ms,
                term.clock,
                term.left_ms,
            ),
        )
