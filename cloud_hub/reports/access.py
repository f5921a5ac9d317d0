"""How often people were let in, refused or not told apart: by station, hour of day and light on the face.

Every decision counts: somebody refused twice counts twice. Late (backfilled) events count like any other, at the hour
they happened. Only sums leave this module, never a person.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_hub.models import Event, Station
from cloud_hub.zones import zone
from firmware_config.vocabulary import EventKind

MOST_DECISIONS: Final = 200_000
"""Read for one report, the newest of the period; a report over more says that it is cut."""

FEW: Final = 20
"""Of fewer decisions no rate is given: one more refusal would move it by over 5 points."""

LIGHTS: Final = ("dark", "dim", "normal", "bright", "unknown")
_DARK, _DIM, _BRIGHT = 50, 90, 170
"""Mean grey of the face, 0 to 255. Under 18 no face is judged and over 40 one may be enrolled (vision/quality.py); faces
in good light lie around 90 to 170."""

AMBIGUOUS: Final = "ambiguous_face"


@dataclass(slots=True)
class Tally:
    """Decisions of one kind.

    Attributes:
        rejected: refused for any reason but ``ambiguous``.
        ambiguous: a face near an enrolled person that could not be told apart.
    """

    granted: int = 0
    rejected: int = 0
    ambiguous: int = 0

    @property
    def decisions(self) -> int:
        """All."""
        return self.granted + self.rejected + self.ambiguous

    @property
    def few(self) -> bool:
        """Too few for a rate."""
        return self.decisions < FEW

    def rate(self, part: int) -> float | None:
        """A part of all, 0 to 1; None where they are too few."""
        return None if self.few else part / self.decisions

    def add(self, other: "Tally") -> None:
        """Take another's decisions in."""
        self.granted += other.granted
        self.rejected += other.rejected
        self.ambiguous += other.ambiguous


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """Which decisions: ``hour`` is that on the station's wall, ``light`` one of ``LIGHTS``."""

    station: str
    hour: int
    light: str
    via: str


@dataclass(slots=True)
class AccessReport:
    """All cells with a decision in them, and how often each reason was given.

    Attributes:
        cut: there were more than ``MOST_DECISIONS``; those before ``oldest_at`` are not in it.
    """

    since: datetime
    until: datetime
    cells: dict[Cell, Tally] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    cut: bool = False
    oldest_at: datetime | None = None

    def by(self, name: str) -> dict[Any, Tally]:
        """Sums over ``station``, ``hour``, ``light`` or ``via``, in order of its values."""
        sums: dict[Any, Tally] = defaultdict(Tally)
        for cell, tally in sorted(self.cells.items()):
            sums[getattr(cell, name)].add(tally)
        order = LIGHTS.index if name == "light" else None
        return dict(sorted(sums.items(), key=lambda pair: order(pair[0]) if order else pair[0]))

    def total(self) -> Tally:
        """Everything."""
        whole = Tally()
        for tally in self.cells.values():
            whole.add(tally)
        return whole


def light_of(data: Mapping[str, Any]) -> str:
    """In which light a face was; ``unknown`` for other ways in and agents that do not say."""
    grey = data.get("light")
    if isinstance(grey, bool) or not isinstance(grey, int | float):
        return "unknown"
    return "dark" if grey < _DARK else "dim" if grey < _DIM else "bright" if grey > _BRIGHT else "normal"


def report(
    session: Session,
    *,
    since: datetime,
    until: datetime,
    zones: Mapping[str, ZoneInfo],
    station_id: str | None = None,
    via: str | None = None,
) -> AccessReport:
    """Count the decisions of a time.

    Args:
        session: where to read.
        since: aware.
        until: aware, not included.
        zones: of each station; one not in it is left out.
        station_id: only of this station.
        via: only by this way in.
    """
    kinds = (EventKind.ACCESS_GRANTED.value, EventKind.ACCESS_DENIED.value)
    query = (
        select(Event.station_id, Event.kind, Event.occurred_at, Event.data)
        .where(Event.kind.in_(kinds), Event.occurred_at >= since, Event.occurred_at < until)
        .order_by(Event.id.desc())
        .limit(MOST_DECISIONS + 1)
    )
    if station_id is not None:
        query = query.where(Event.station_id == station_id)
    made = AccessReport(since=since, until=until)
    _count(made, session.execute(query.execution_options(yield_per=1_000)), zones, via)
    return made


def of_days(
    session: Session, *, days: int, now: datetime, station_id: str | None = None, via: str | None = None
) -> AccessReport:
    """The last days, up to now, at all stations in service or one of them."""
    zones = {
        station.id: zone(station.time_zone)
        for station in session.scalars(select(Station).where(Station.retired_at.is_(None)))
    }
    return report(
        session, since=now - timedelta(days=days), until=now, zones=zones, station_id=station_id, via=via
    )


def _count(made: AccessReport, rows: Iterable[Any], zones: Mapping[str, ZoneInfo], via: str | None) -> None:
    for number, row in enumerate(rows):
        if number == MOST_DECISIONS:
            made.cut = True
            return
        if number == MOST_DECISIONS - 1:
            made.oldest_at = row.occurred_at
        if row.station_id not in zones or via not in {None, row.data.get("via")}:
            continue
        hour = row.occurred_at.astimezone(zones[row.station_id]).hour
        way = row.data.get("via")
        cell = Cell(row.station_id, hour, light_of(row.data), way if isinstance(way, str) else "")
        tally = made.cells.setdefault(cell, Tally())
        reason = row.data.get("reason")
        if row.kind == EventKind.ACCESS_GRANTED:
            tally.granted += 1
        elif reason == AMBIGUOUS:
            tally.ambiguous += 1
        else:
            tally.rejected += 1
        if row.kind != EventKind.ACCESS_GRANTED and isinstance(reason, str):
            made.reasons[reason[:40]] += 1
