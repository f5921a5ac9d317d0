"""Rows of one batch, gathered first and written by a few statements. Writer thread only."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from sqlalchemy import bindparam, delete, update
from sqlalchemy.orm import Session

from cloud_hub import upsert
from cloud_hub.models import Door, Event, Reading, Sensor, StationStatus
from firmware_config.wire import StorageStatus

Row: TypeAlias = dict[str, Any]
Name: TypeAlias = tuple[str, str, int]
"""Station, install, seq: what names an event or a reading for ever."""

_STATION: Final = "station_key"


@dataclass(slots=True)
class Rows:
    """What a batch writes.

    Attributes:
        statuses: by station, the columns of ``StationStatus`` that change.
        doors: by station and door.
        sensors: by station and sensor, as announced.
        values: by station and sensor, last value and its time.
        announced: by station, the doors and sensors that its birth named; others are gone.
    """

    statuses: dict[str, Row] = field(default_factory=lambda: defaultdict(dict))
    doors: dict[tuple[str, str], Row] = field(default_factory=dict)
    sensors: dict[tuple[str, str], Row] = field(default_factory=dict)
    values: dict[tuple[str, str], Row] = field(default_factory=dict)
    announced: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict)


def write_state(session: Session, rows: Rows) -> None:
    """Write the latest state of stations, doors and sensors."""
    by_columns: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for station, row in sorted(rows.statuses.items()):
        by_columns[tuple(sorted(row))].append({**row, _STATION: station})
    connection = session.connection()
    for columns, batch in by_columns.items():
        statement = (
            update(StationStatus.__table__)  # type: ignore[arg-type]  # a mapped class's table is a Table
            .where(StationStatus.station_id == bindparam(_STATION))
            .values({column: bindparam(column) for column in columns})
        )
        connection.execute(statement, batch)
    _upsert(session, Door, ("station_id", "id"), rows.doors)
    _upsert(session, Sensor, ("station_id", "name"), rows.sensors)
    for station, (doors, sensors) in rows.announced.items():
        connection.execute(delete(Door).where(Door.station_id == station, Door.id.not_in(doors)))
        connection.execute(delete(Sensor).where(Sensor.station_id == station, Sensor.name.not_in(sensors)))
    if rows.values:
        table = Sensor.__table__
        newest = (
            update(table)  # type: ignore[arg-type]
            .where(Sensor.station_id == bindparam("of_station"), Sensor.name == bindparam("of_name"))
            .where((Sensor.value_at.is_(None)) | (Sensor.value_at <= bindparam("value_at")))
            .values(value=bindparam("value"), value_at=bindparam("value_at"))
        )
        connection.execute(newest, [row for _, row in sorted(rows.values.items())])


def insert_new(session: Session, table: type[Event | Reading], rows: Sequence[Row]) -> set[Name]:
    """Insert what is not there yet, and say which those were. A resend inserts nothing (safety.md D2)."""
    if not rows:
        return set()
    statement = (
        upsert.insert(session, table)
        .on_conflict_do_nothing(index_elements=[table.station_id, table.install_id, table.seq])
        .returning(table.station_id, table.install_id, table.seq)
    )
    result = session.connection().execute(statement, rows)
    return {(station, install, seq) for station, install, seq in result}


def door_row(station: str, door: Any, at: datetime) -> Row:
    """A door as a message reports it."""
    return {
        "station_id": station,
        "id": door.id,
        "state": door.state.value,
        "relay": door.relay,
        "contact_open": door.contact_open,
        "mode": door.mode.value,
        "mode_until": at + timedelta(seconds=door.mode_left_s) if door.mode_left_s else None,
        "reported_at": at,
    }


def storage_columns(storage: StorageStatus) -> Row:
    """How a station's disk is, as its heartbeat says."""
    return {
        "storage": storage.state,
        "free_bytes": storage.free_bytes,
        "written_bytes_day": storage.written_bytes_day,
        "events_lost": storage.events_lost,
        "readings_lost": storage.readings_lost,
    }


def _upsert(session: Session, table: type[Door | Sensor], key: tuple[str, ...], rows: dict[Any, Row]) -> None:
    by_columns: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for _, row in sorted(rows.items()):
        by_columns[tuple(sorted(row))].append(row)
    for columns, batch in by_columns.items():
        statement = upsert.insert(session, table)
        changes = {column: statement.excluded[column] for column in columns if column not in key}
        session.connection().execute(
            statement.on_conflict_do_update(index_elements=list(key), set_=changes), batch
        )
