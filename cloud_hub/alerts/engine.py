"""Turns effects into rows. The partial unique index decides, so two processes with the same fact make one alert."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, case, exists, select, text, update
from sqlalchemy.orm import Session, aliased

from cloud_hub import upsert
from cloud_hub.alerts.rules import Clear, Effect, Raise, key_of
from cloud_hub.models import Alert
from cloud_hub.models.alert import AlertState

_NOT_CLOSED: Final = text("state <> 'closed'")
"""Spelt as in the index, so that both databases see that it is meant."""


RESUMES_WITHIN: Final = timedelta(minutes=5)
"""An incident that ``resumes`` goes on when it comes back so soon after its end."""


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that is different now.

    Attributes:
        new: it was raised just now, not repeated.
    """

    kind: str
    new: bool


def apply(session: Session, station_id: str, effects: Iterable[Effect], *, at: datetime) -> list[Change]:
    """Raise, repeat and clear, in order.

    Args:
        session: a writing session.
        station_id: whose facts these are.
        effects: from ``alerts.rules``.
        at: when the fact was true.
    """
    changes = []
    for effect in effects:
        key = key_of(station_id, effect)
        change = (
            _raise(session, station_id, key, effect, at)
            if isinstance(effect, Raise)
            else _clear(session, key, effect, at)
        )
        if change is not None:
            changes.append(change)
    return changes


def open_keys(session: Session, station_ids: Iterable[str]) -> set[str]:
    """Keys of all alerts of some stations that are not closed."""
    query = select(Alert.key).where(Alert.station_id.in_(list(station_ids)), Alert.state != AlertState.CLOSED)
    return set(session.scalars(query))


def _raise(session: Session, station_id: str, key: str, effect: Raise, at: datetime) -> Change | None:
    if effect.resumes and _resume(session, key, at):
        return Change(effect.kind, new=False)
    statement = upsert.insert(session, Alert).values(
        key=key,
        station_id=station_id,
        kind=effect.kind,
        severity=effect.severity.value,
        state=AlertState.OPEN.value,
        active=effect.holds,
        latching=effect.latching,
        count=1,
        raised_at=at,
        repeated_at=at,
        data=dict(effect.data),
    )
    came_at = statement.excluded.repeated_at
    # a fact that was overtaken by the end of what it says is counted, and changes nothing else
    over = and_(Alert.cleared_at.is_not(None), Alert.cleared_at > came_at)
    changes: dict[str, Any] = {
        "active": case((over, Alert.active), else_=effect.holds),
        "cleared_at": case((over, Alert.cleared_at), else_=None),
        "repeated_at": case((Alert.repeated_at > came_at, Alert.repeated_at), else_=came_at),
    }
    if effect.counts:
        changes["count"] = Alert.count + 1
    if effect.renews:
        changes["data"] = statement.excluded.data
    returned = session.execute(
        statement.on_conflict_do_update(
            index_elements=[Alert.key],
            index_where=_NOT_CLOSED,
            set_=changes,
            # said again by a heartbeat, what is known is no change
            where=None if effect.counts else Alert.active.is_(False),
        ).returning(Alert.count, Alert.raised_at, Alert.repeated_at)
    ).first()
    if returned is None:
        return None
    count, raised_at, repeated_at = returned
    return Change(effect.kind, new=count == 1 and raised_at == repeated_at)


def _resume(session: Session, key: str, at: datetime) -> bool:
    """Open the last alert of a key again, when it closed a short while ago. Whoever has seen it need not see it again."""
    other = aliased(Alert)
    last = select(other.id).where(other.key == key).order_by(other.id.desc()).limit(1).scalar_subquery()
    live = exists().where(other.key == key, other.state != AlertState.CLOSED)
    seen = Alert.acknowledged_at.is_not(None)
    resumed = session.execute(
        update(Alert)
        .where(Alert.id == last, Alert.closed_at > at - RESUMES_WITHIN, ~live)
        .values(
            state=case((seen, AlertState.ACKNOWLEDGED.value), else_=AlertState.OPEN.value),
            active=True,
            count=Alert.count + 1,
            repeated_at=at,
            cleared_at=None,
            closed_at=None,
        )
        .execution_options(synchronize_session=False)
        .returning(Alert.id)
    ).first()
    return resumed is not None


def _clear(session: Session, key: str, effect: Clear, at: datetime) -> Change | None:
    stays = and_(Alert.latching, Alert.state == AlertState.OPEN)
    before = [Alert.repeated_at <= at] if effect.ordered else []
    cleared = session.execute(
        update(Alert)
        .where(Alert.key == key, Alert.state != AlertState.CLOSED, Alert.active, *before)
        .values(
            active=False,
            cleared_at=at,
            state=case((stays, AlertState.OPEN.value), else_=AlertState.CLOSED.value),
            closed_at=case((stays, None), else_=at),
        )
        .execution_options(synchronize_session=False)
        .returning(Alert.id)
    ).first()
    return None if cleared is None else Change(effect.kind, new=False)
