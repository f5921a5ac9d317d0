"""Reads of stations for pages and API. A bounded number of queries, however many stations."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Select, case, func, or_, select
from sqlalchemy.orm import Session

from cloud_hub.errors import NotFound
from cloud_hub.models import Alert, Door, Sensor, Station, StationStatus
from cloud_hub.models.alert import AlertState, Severity
from cloud_hub.models.station import Presence

LIMIT: Final = 200
"""Most stations in one answer."""


@dataclass(frozen=True, slots=True)
class StationView:
    """A station with all that is shown of it.

    Attributes:
        status: None until it has been heard of.
        open_alerts: alerts nobody has acknowledged, by severity.
        sensors: only where asked for.
    """

    station: Station
    status: StationStatus | None
    doors: Sequence[Door] = ()
    sensors: Sequence[Sensor] = ()
    open_alerts: dict[str, int] = field(default_factory=dict)

    @property
    def presence(self) -> Presence:
        """Whether it is there."""
        return Presence(self.status.presence) if self.status is not None else Presence.UNKNOWN

    @property
    def alert_count(self) -> int:
        """Alerts nobody has acknowledged."""
        return sum(self.open_alerts.values())

    @property
    def is_critical(self) -> bool:
        """One of them is critical."""
        return self.open_alerts.get(Severity.CRITICAL, 0) > 0


@dataclass(frozen=True, slots=True)
class Totals:
    """The district in five figures."""

    stations: int
    online: int
    people: int
    alerts: int
    critical: int


def totals(session: Session) -> Totals:
    """Over all stations in service."""
    row = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(case((StationStatus.presence == Presence.ONLINE, 1), else_=0)), 0),
            func.coalesce(
                func.sum(case((StationStatus.presence == Presence.ONLINE, StationStatus.people), else_=0)), 0
            ),
        )
        .select_from(Station)
        .outerjoin(StationStatus)
        .where(Station.retired_at.is_(None))
    ).one()
    alerts = session.execute(
        select(
            func.count(), func.coalesce(func.sum(case((Alert.severity == Severity.CRITICAL, 1), else_=0)), 0)
        ).where(Alert.state == AlertState.OPEN)
    ).one()
    return Totals(
        stations=row[0], online=int(row[1]), people=int(row[2]), alerts=alerts[0], critical=int(alerts[1])
    )


def by_trouble(session: Session, *, search: str = "", limit: int = LIMIT) -> list[StationView]:
    """Stations in service, those with trouble first, then by name; ``search`` looks in name, region and id."""
    worst = (
        select(
            Alert.station_id, func.max(case((Alert.severity == Severity.CRITICAL, 2), else_=1)).label("rank")
        )
        .where(Alert.state == AlertState.OPEN)
        .group_by(Alert.station_id)
        .subquery()
    )
    away = case((StationStatus.presence == Presence.OFFLINE, 1), else_=0)
    query = (
        _in_service()
        .outerjoin(worst, worst.c.station_id == Station.id)
        .order_by(func.coalesce(worst.c.rank, 0).desc(), away.desc(), Station.name, Station.id)
        .limit(limit)
    )
    if search:
        pattern = "%" + search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        fields = (Station.name, Station.region, Station.id)
        query = query.where(or_(*(column.ilike(pattern, escape="\\") for column in fields)))
    return _with_details(session, query)


def by_id(session: Session, *, after: str | None, limit: int) -> list[StationView]:
    """Stations in service with an id above ``after``, in order of id."""
    query = _in_service().order_by(Station.id).limit(limit)
    if after is not None:
        query = query.where(Station.id > after)
    return _with_details(session, query)


def one(session: Session, station_id: str) -> StationView:
    """One station, with its sensors.

    Raises:
        NotFound: no station has this id, or it is retired.
    """
    found = _with_details(session, _in_service().where(Station.id == station_id))
    if not found:
        raise NotFound(f"no station {station_id!r}"[:120])
    view = found[0]
    sensors = session.scalars(
        select(Sensor).where(Sensor.station_id == station_id).order_by(Sensor.name)
    ).all()
    return StationView(
        station=view.station,
        status=view.status,
        doors=view.doors,
        sensors=sensors,
        open_alerts=view.open_alerts,
    )


def names(session: Session) -> dict[str, Station]:
    """All stations, also retired ones, by id: for lists that name them."""
    return {
        station.id: station for station in session.scalars(select(Station).order_by(Station.name, Station.id))
    }


def _in_service() -> Select[Station, StationStatus | None]:
    return select(Station, StationStatus).outerjoin(StationStatus).where(Station.retired_at.is_(None))


def _with_details(session: Session, query: Select[Station, StationStatus | None]) -> list[StationView]:
    rows = session.execute(query).all()
    ids = [station.id for station, _ in rows]
    doors = _doors(session, ids)
    alerts = _open_alerts(session, ids)
    return [
        StationView(station=station, status=status, doors=doors[station.id], open_alerts=alerts[station.id])
        for station, status in rows
    ]


def _doors(session: Session, ids: Iterable[str]) -> dict[str, list[Door]]:
    found: dict[str, list[Door]] = defaultdict(list)
    for door in session.scalars(select(Door).where(Door.station_id.in_(ids)).order_by(Door.id)):
        found[door.station_id].append(door)
    return found


def _open_alerts(session: Session, ids: Iterable[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    query = (
        select(Alert.station_id, Alert.severity, func.count())
        .where(Alert.state == AlertState.OPEN, Alert.station_id.in_(ids))
        .group_by(Alert.station_id, Alert.severity)
    )
    for station_id, severity, count in session.execute(query):
        found[station_id][severity] = count
    return found
