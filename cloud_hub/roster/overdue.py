"""What stations should have done by now: apply their roster, prove an erasure. Looked at now and then by the bridge.

Rules
  1. ``roster.behind``: a station has been online for ``BEHIND`` without the roster it was sent. A newer version does not
     start the wait anew: it counts from the first version it lacks that this process knows of.
  2. ``erasure.unreceipted``: an erasure has waited for its receipt for ``UNRECEIPTED`` (safety.md F12), the station
     online or not: what it keeps is still there.
  3. Both stand while they hold and clear by themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud_hub.alerts import engine
from cloud_hub.alerts.rules import Clear, Effect, Raise, erasure_unreceipted, key_of, roster_behind
from cloud_hub.models import Alert, Erasure, RosterState, Station, StationStatus
from cloud_hub.models.alert import AlertState
from cloud_hub.models.station import Presence

BEHIND: Final = timedelta(minutes=10)
UNRECEIPTED: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Word:
    """What is due at one station."""

    station: str
    effects: tuple[Effect, ...]


class Overdue:
    """Remembers since when each station lacks its roster. One thread."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._since: dict[str, datetime] = {}

    def look(self, session: Session) -> list[Word]:
        """What differs from the alerts there are; empty nearly always.

        Args:
            session: reading is enough.
        """
        now = self._clock()
        unproven = _unproven(session, now)
        open_alerts = _active(session)
        words = []
        for state, status, station_id in _stations(session):
            effects = (
                *self._roster(station_id, state, status, now),
                erasure_unreceipted(unproven.get(station_id, 0)),
            )
            news = tuple(effect for effect in effects if _is_news(station_id, effect, open_alerts))
            if news:
                words.append(Word(station_id, news))
        return words

    def apply(self, session: Session, words: list[Word]) -> None:
        """Raise and clear, in the session's transaction."""
        for word in words:
            engine.apply(session, word.station, word.effects, at=self._clock())

    def _roster(
        self, station_id: str, state: RosterState | None, status: StationStatus | None, now: datetime
    ) -> tuple[Effect, ...]:
        if state is None or state.applied_version >= state.version:
            self._since.pop(station_id, None)
            return (roster_behind(None),)
        since = self._since.setdefault(station_id, state.issued_at)
        if status is None or status.presence != Presence.ONLINE:
            return ()
        late = now - max(since, status.presence_since)
        return (roster_behind((state.version, state.applied_version)),) if late >= BEHIND else ()


def _stations(session: Session) -> list[tuple[RosterState | None, StationStatus | None, str]]:
    query = (
        select(Station.id, RosterState, StationStatus)
        .outerjoin(RosterState, RosterState.station_id == Station.id)
        .outerjoin(StationStatus, StationStatus.station_id == Station.id)
        .where(Station.retired_at.is_(None))
    )
    return [(state, status, station_id) for station_id, state, status in session.execute(query)]


def _unproven(session: Session, now: datetime) -> dict[str, int]:
    query = (
        select(Erasure.station_id, func.count().label("waiting"))
        .where(Erasure.receipted_at.is_(None), Erasure.requested_at <= now - UNRECEIPTED)
        .group_by(Erasure.station_id)
    )
    return {row.station_id: row.waiting for row in session.execute(query)}


def _active(session: Session) -> set[str]:
    """Keys of alerts of these two kinds whose condition held when last looked at."""
    kinds = [roster_behind(None).kind, erasure_unreceipted(0).kind]
    query = select(Alert.key).where(Alert.kind.in_(kinds), Alert.state != AlertState.CLOSED, Alert.active)
    return set(session.scalars(query))


def _is_news(station_id: str, effect: Effect, active: set[str]) -> bool:
    known = key_of(station_id, effect) in active
    return (isinstance(effect, Raise) and not known) or (isinstance(effect, Clear) and known)
