"""Whether a store file may be believed: looked at before it is opened, within a bounded time (safety.md D5).

SQLite's own check sees torn pages and broken trees. It does not see a flipped bit inside a value, a page of an older copy, a
log that was cut off behind a commit, or another program's file: those are what checksums, counters, the list of tables
and the number of commits are for.
"""

import logging
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from station_agent.store.sums import Summed, row_sum, seal, teach

_LOG = logging.getLogger(__name__)

LIMIT_S: Final = 5.0
"""Longest look. What it did not reach is looked at when it is read."""

_STEPS: Final = 20_000
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_UNREADABLE: Final = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ})


class _Unsound(Exception):  # noqa: N818 (never leaves this module)
    """Carries what is wrong."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a file of ours looks like.

    Attributes:
        known: number of migrations this release has.
        summed: tables with checksums; without any only SQLite's own check is made.
        objects: by number of applied migrations: names and SQL of all tables, indexes and triggers.
        commits: at least so many were made; 0 when that is not known.
        durable: none of them may be missing.
    """

    known: int
    summed: Sequence[Summed]
    objects: frozenset[tuple[str, str]]
    commits: int
    durable: bool


def is_damage(error: sqlite3.Error) -> bool:
    """The file itself is bad, as opposed to full, busy or refused."""
    code = getattr(error, "sqlite_errorcode", 0)
    return (code & 0xFF) in _DAMAGED or code in _UNREADABLE


def fault_of(path: Path, expected: Expected) -> str | None:
    """What is wrong with a file; None when nothing is. Changes nothing.

    Raises:
        sqlite3.OperationalError: the disk refuses.
    """
    if not path.exists():
        return "log without a file" if path.with_name(path.name + "-wal").exists() else None
    if path.stat().st_size == 0 and expected.commits:
        return "empty"
    # read-only: closing it must not fold a log into a file that may be bad
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        teach(connection)
        _examine(connection, expected)
    except _Unsound as unsound:
        return str(unsound)
    except sqlite3.OperationalError as error:
        if not is_damage(error) and (error.sqlite_errorcode & 0xFF) != sqlite3.SQLITE_ERROR:
            raise
        return str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()
    return None


def _examine(connection: sqlite3.Connection, expected: Expected) -> None:
    (applied,) = connection.execute("PRAGMA user_version").fetchone()
    if expected.summed:
        _sealed(connection, applied)
        if applied > expected.known:
            return  # of a newer release: it is refused elsewhere, and left alone
    deadline_s = time.monotonic() + LIMIT_S
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline_s), _STEPS)
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
        if found != ["ok"]:
            raise _Unsound(found[0])
        if expected.commits:  # whatever its migrations: who counts commits has had them
            _committed(connection, expected)
        if expected.summed and applied == expected.known:
            _ours(connection, expected)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        _LOG.warning("store_check_cut_short", extra={"seconds": LIMIT_S})


def _sealed(connection: sqlite3.Connection, applied: int) -> None:
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if mark != seal(applied) and (mark or (objects and not applied)):
        raise _Unsound("number of the schema")


def _ours(connection: sqlite3.Connection, expected: Expected) -> None:
    there = frozenset(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    if there != expected.objects:
        raise _Unsound("tables")
    counters = _counters(connection)
    for name, value, total in connection.execute("SELECT name, value, sum FROM identity"):
        if row_sum(name, value) != total:
            raise _Unsound("identity")
    for table in expected.summed:
        (total,) = connection.execute(f"SELECT coalesce(sum(sum), 0) FROM {table.name}").fetchone()
        if counters.get(f"{table.name}_sum") != total:
            raise _Unsound(f"sum of {table.name}")
    for table in expected.summed:
        wrong = f"SELECT 1 FROM {table.name} WHERE sum <> row_sum({', '.join(table.columns)}) LIMIT 1"
        if connection.execute(wrong).fetchone():
            raise _Unsound(f"row of {table.name}")


def _committed(connection: sqlite3.Connection, expected: Expected) -> None:
    row = connection.execute("SELECT value FROM counter WHERE name = 'commits'").fetchone()
    if row is None or (expected.durable and row[0] < expected.commits):
        raise _Unsound(f"commits lost: {expected.commits} were made, {row and row[0]} are there")


def _counters(connection: sqlite3.Connection) -> dict[str, int]:
    counters = {}
    for name, value, mirror in connection.execute("SELECT name, value, mirror FROM counter"):
        if mirror != -1 - value:
            raise _Unsound(f"counter {name}")
        counters[name] = value
    return counters
