"""What can still be believed in a file that was set aside: rows whose checksum is right, moved into the new one (D5).

An event gets a new number, because the new file has a new ``install_id``; its data names the old one, so that the
hub can tell what it had before. Orders keep their ``cmd_id``: what was begun or answered is not begun again.
"""

import logging
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from firmware_config.vocabulary import DoorMode, EventKind
from firmware_config.wire import Event, Reading, Result, encode
from station_agent.store import event_rows
from station_agent.store.schema import ANSWERED, BOOT, DOOR_MODE, EVENT, READING, RESULT
from station_agent.store.sums import Summed, row_sum

_LOG = logging.getLogger(__name__)

_MODE: Final = DOOR_MODE.columns.index("mode")

_PLACES: Final = 8
"""Names of one event, newest last, when files are damaged again and again."""

LIMIT_S: Final = 5.0
"""Longest reading: the doors wait for it."""


@dataclass(slots=True)
class Salvaged:
    """Rows whose checksum was right.

    Attributes:
        install_id: of the file; a question mark when even that is gone.
        events: those that were not acknowledged.
        modes: lock-downs only: the end of a hold-open may be what was lost, and doubt means no.
    """

    install_id: str = "?"
    events: list[Event] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    results: list[tuple[str, int, str]] = field(default_factory=list)
    answered: list[tuple[Any, ...]] = field(default_factory=list)
    boots: list[tuple[Any, ...]] = field(default_factory=list)
    modes: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """All of what waits for the hub."""
        return len(self.events) + len(self.readings) + len(self.results)


def salvage(path: Path) -> Salvaged:
    """Read a file that was set aside. Raises nothing: what cannot be read is not there."""
    found = Salvaged()
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error:
        return found
    deadline_s = time.monotonic() + LIMIT_S
    connection.text_factory = _text
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline_s), 20_000)
    try:
        _identify(connection, found)
        found.answered = list(_rows(connection, ANSWERED))
        found.results = [(str(row[0]), int(row[1]), str(row[2])) for row in _rows(connection, RESULT)]
        found.boots = list(_rows(connection, BOOT))
        found.modes = [row for row in _rows(connection, DOOR_MODE) if row[_MODE] == DoorMode.LOCK_DOWN]
        found.events = [event_rows.event_of(row) for row in _rows(connection, EVENT) if _tellable(row)]
        found.readings = [_reading(row) for row in _rows(connection, READING)]
    finally:
        connection.close()
    _LOG.warning("store_salvaged", extra={"file": str(path), "rows": found.rows})
    return found


def restore_orders(connection: sqlite3.Connection, found: Salvaged, *, install_id: str) -> None:
    """A job: orders, answers, modes of doors and anchors, before anybody asks for them. An acknowledgement of a result names the new file."""
    for cmd_id, digest, final, body, wall_ms, clock in found.answered:
        values = (cmd_id, digest, final, _renamed(body, install_id), wall_ms, clock)
        connection.execute(
            "INSERT OR IGNORE INTO answered (cmd_id, digest, final, body, wall_ms, clock, sum)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*values, row_sum(*values)),
        )
    for cmd_id, final, body in found.results:
        result = (cmd_id, final, _renamed(body, install_id))
        connection.execute(
            "INSERT OR IGNORE INTO result (cmd_id, final, body, sum) VALUES (?, ?, ?, ?)",
            (*result, row_sum(*result)),
        )
    for table, rows in ((BOOT, found.boots), (DOOR_MODE, found.modes)):
        for row in rows:
            connection.execute(
                f"INSERT OR IGNORE INTO {table.name} ({', '.join(table.columns)}, sum)"
                f" VALUES ({'?, ' * len(row)}?)",
                (*row, row_sum(*row)),
            )


def restore_events(connection: sqlite3.Connection, found: Salvaged) -> None:
    """A job: events under new numbers, with their own stamps."""
    first = event_rows.newest(connection) + 1
    for seq, event in enumerate(found.events, start=first):
        earlier = event.data.get("salvaged")  # of ``storage.damaged`` it is a count
        places = [*(earlier.split() if isinstance(earlier, str) else []), f"{found.install_id}:{event.seq}"]
        data = event.data | {"salvaged": " ".join(places[-_PLACES:])}
        event_rows.keep(connection, msgspec.structs.replace(event, seq=seq, data=data))


def _identify(connection: sqlite3.Connection, found: Salvaged) -> None:
    try:
        row = connection.execute("SELECT value, sum FROM identity WHERE name = 'install_id'").fetchone()
    except sqlite3.Error:
        return
    if row and row_sum("install_id", row[0]) == row[1]:
        found.install_id = row[0]


def _rows(connection: sqlite3.Connection, table: Summed) -> Iterator[tuple[Any, ...]]:
    """Good rows in order: from the front to the first bad page, then from the back to the last."""
    front: dict[int, tuple[Any, ...]] = {}
    back: dict[int, tuple[Any, ...]] = {}
    for rows, order in ((front, "ASC"), (back, "DESC")):
        try:
            for rowid, *values, total in connection.execute(
                f"SELECT rowid, {', '.join(table.columns)}, sum FROM {table.name} ORDER BY rowid {order}"
            ):
                if rowid in front:
                    break
                if _fits(values, total):
                    rows[rowid] = tuple(values)
        except sqlite3.Error as error:
            _LOG.debug("salvage_stopped", extra={"table": table.name, "error": repr(error)})
        else:
            break
    merged = front | back
    yield from (merged[rowid] for rowid in sorted(merged))


def _fits(values: list[Any], total: Any) -> bool:
    try:
        return bool(row_sum(*values) == total)
    except (TypeError, ValueError, OverflowError):
        return False


def _tellable(row: tuple[Any, ...]) -> bool:
    return bool(row[-1]) and row[1] in {kind.value for kind in EventKind}


def _reading(row: tuple[Any, ...]) -> Reading:
    seq, name, value, boot_id, mono_ms, wall_ms, clock = row
    return Reading(
        seq=seq, name=name, value=value, boot_id=boot_id, mono_ms=mono_ms, wall_ms=wall_ms, clock=clock
    )


def _renamed(body: str | None, install_id: str) -> str | None:
    if body is None:
        return None
    result = msgspec.json.decode(body, type=Result)
    return encode(msgspec.structs.replace(result, install_id=install_id)).decode()


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
