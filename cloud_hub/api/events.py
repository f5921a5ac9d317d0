"""Events and readings."""

from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.api.blueprint import api, cut, send
from cloud_hub.api.schemas import (
    EventAnswer,
    EventPage,
    EventsQuery,
    ReadingAnswer,
    ReadingPage,
    TelemetryQuery,
)
from cloud_hub.events import queries
from cloud_hub.models import Event, Reading
from cloud_hub.models.access import Role


@api.get("/events", summary="List events", responses={200: EventPage})
@requires(Role.VIEWER)
def list_events(query: EventsQuery) -> Response:
    """Without `after` from the beginning (or, with `order=desc`, from the newest back).

    To follow new events, keep the `id` of the last one and ask with it as `after`.
    """
    rows = queries.events(
        context.read(),
        station_id=query.station,
        kind=query.kind,
        after=_row(query.after),
        newest_first=query.order == "desc",
        limit=query.limit + 1,
    )
    page, last = cut(rows, query.limit)
    return send(EventPage(items=[_event(row) for row in page], next=str(last.id) if last else None))


@api.get("/telemetry", summary="List sensor readings", responses={200: ReadingPage})
@requires(Role.VIEWER)
def list_readings(query: TelemetryQuery) -> Response:
    """Oldest first."""
    rows = queries.readings(
        context.read(),
        station_id=query.station,
        name=query.name,
        after=_row(query.after),
        limit=query.limit + 1,
    )
    page, last = cut(rows, query.limit)
    return send(ReadingPage(items=[_reading(row) for row in page], next=str(last.id) if last else None))


def _row(cursor: str | None) -> int | None:
    return None if cursor is None else int(cursor)


def _event(row: Event) -> EventAnswer:
    return EventAnswer(
        id=str(row.id),
        station=row.station_id,
        install=row.install_id,
        seq=row.seq,
        kind=row.kind,
        occurred_at=row.occurred_at,
        received_at=row.received_at,
        dated=row.dated,
        clock=row.clock,
        backfilled=row.backfilled,
        data=row.data,
    )


def _reading(row: Reading) -> ReadingAnswer:
    return ReadingAnswer(
        id=str(row.id),
        station=row.station_id,
        name=row.name,
        value=row.value,
        occurred_at=row.occurred_at,
        received_at=row.received_at,
    )
