"""Events that a station saved from a damaged file although the hub had them: each opening is told once (safety.md D2, D5).

A station numbers what it saves anew, because the file is new, and names each former place in the event's data. The copy
keeps its number, or the stream would have a hole; but it becomes a note of its own kind, which no report, alert or count
takes for what happened.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from cloud_hub.ingest.rows import Name, Row
from cloud_hub.models import Event
from firmware_config.vocabulary import EventKind

SALVAGED: Final = "salvaged"
_MOST_PLACES: Final = 8
"""Of one event: a file that is damaged again and again has other troubles."""
_MOST_DIGITS: Final = 18
"""Below 2**63, the largest that a database takes."""
_AT_ONCE: Final = 1_000
"""Places in one question: a database takes so many values and no more (SQLite 32,766, PostgreSQL 65,535)."""


def repeats(session: Session, rows: Mapping[Name, Row]) -> dict[Name, Row]:
    """Copies of events that are stored already, or come in the same batch, as the notes they become.

    Args:
        session: of the transaction that stores the rows.
        rows: events by station, install and number.
    """
    places = {name: found for name, row in rows.items() if (found := _places(name, row["data"]))}
    wanted = {place for found in places.values() for place in found}
    if not wanted:
        return {}
    known = wanted & rows.keys() | _stored(session, wanted - rows.keys())
    return {
        name: rows[name]
        | {
            "kind": EventKind.EVENT_REPEATED.value,
            "data": {SALVAGED: rows[name]["data"][SALVAGED], "kind": rows[name]["kind"]},
        }
        for name, found in places.items()
        if known & found
    }


def _stored(session: Session, wanted: set[Name]) -> set[Name]:
    key = tuple_(Event.station_id, Event.install_id, Event.seq)
    query = select(Event.station_id, Event.install_id, Event.seq)
    asked = sorted(wanted)
    return {
        (station, install, seq)
        for first in range(0, len(asked), _AT_ONCE)
        for station, install, seq in session.execute(query.where(key.in_(asked[first : first + _AT_ONCE])))
    }


def _places(name: Name, data: Mapping[str, Any]) -> set[Name]:
    """Where an event was before: ``install:seq``, of each damaged file in turn. What is no such name is no place."""
    said = data.get(SALVAGED)
    found: set[Name] = set()
    for place in (said.split() if isinstance(said, str) else [])[-_MOST_PLACES:]:
        install, _, seq = place.rpartition(":")
        if install and seq.isascii() and seq.isdigit() and len(seq) <= _MOST_DIGITS:
            found.add((name[0], install, int(seq)))
    return found - {name}
