"""Reads of events and readings. Pages are cut by row number, so rows that arrive meanwhile shift nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_hub.models import Event, EventStream, Reading

_SPANS: Final = 8


def events(
    session: Session,
    *,
    station_id: str | None = None,
    kind: str | None = None,
    after: int | None = None,
    newest_first: bool = False,
    limit: int = 100,
) -> Sequence[Event]:
    """Events beyond row ``after`` in the order asked for.

    Args:
        session: where to read.
        station_id: only of this station.
        kind: only of this kind; ``door.*`` means every kind of that subject.
        after: row number of the last one already seen.
        newest_first: count down instead of up.
        limit: most rows.
    """
    query = select(Event).order_by(Event.id.desc() if newest_first else Event.id).limit(limit)
    if station_id is not None:
        query = query.where(Event.station_id == station_id)
    if kind is not None:
        subject = kind.removesuffix("*") if kind.endswith(".*") else None
        query = query.where(
            Event.kind == kind if subject is None else Event.kind.startswith(subject, autoescape=True)
        )
    if after is not None:
        query = query.where(Event.id < after if newest_first else Event.id > after)
    return session.scalars(query).all()


@dataclass(frozen=True, slots=True)
class Records:
    """What the hub lacks of a station's events, over all its stores.

    Attributes:
        missing: numbers that may still come.
        lost: numbers that will not.
        numbers: the newest of those, as text.
    """

    missing: int
    lost: int
    numbers: str


def records(session: Session, station_id: str) -> Records:
    """Missing and lost events of one station."""
    streams = session.scalars(select(EventStream).where(EventStream.station_id == station_id)).all()
    spans = [span for stream in streams for span in stream.lost][-_SPANS:]
    return Records(
        missing=sum(last - first + 1 for stream in streams for first, last in stream.missing),
        lost=sum(stream.lost_count for stream in streams),
        numbers=", ".join(str(first) if first == last else f"{first}–{last}" for first, last in spans),
    )


def readings(
    session: Session,
    *,
    station_id: str | None = None,
    name: str | None = None,
    after: int | None = None,
    limit: int = 100,
) -> Sequence[Reading]:
    """Readings beyond row ``after``, in order of row number."""
    query = select(Reading).order_by(Reading.id).limit(limit)
    if station_id is not None:
        query = query.where(Reading.station_id == station_id)
    if name is not None:
        query = query.where(Reading.name == name)
    if after is not None:
        query = query.where(Reading.id > after)
    return session.scalars(query).all()
