"""Reads of alerts."""

from collections.abc import Sequence

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from cloud_hub.errors import NotFound
from cloud_hub.models import Alert
from cloud_hub.models.alert import AlertState, Severity

_RANK = case((Alert.severity == Severity.CRITICAL, 0), (Alert.severity == Severity.MAJOR, 1), else_=2)


def by_urgency(
    session: Session, *, states: Sequence[str], station_id: str | None = None, limit: int = 100
) -> Sequence[Alert]:
    """Alerts in these states: open before acknowledged before closed, then worst first, then newest."""
    order = case((Alert.state == AlertState.OPEN, 0), (Alert.state == AlertState.ACKNOWLEDGED, 1), else_=2)
    rank = case((Alert.state == AlertState.CLOSED, 9), else_=_RANK)
    query = select(Alert).where(Alert.state.in_(states)).order_by(order, rank, Alert.id.desc()).limit(limit)
    if station_id is not None:
        query = query.where(Alert.station_id == station_id)
    return session.scalars(query).all()


def in_order(
    session: Session, *, state: str | None, station_id: str | None, after: int | None, limit: int
) -> Sequence[Alert]:
    """Alerts beyond row ``after``, in order of row number."""
    query = select(Alert).order_by(Alert.id).limit(limit)
    if state is not None:
        query = query.where(Alert.state == state)
    if station_id is not None:
        query = query.where(Alert.station_id == station_id)
    if after is not None:
        query = query.where(Alert.id > after)
    return session.scalars(query).all()


def count_open(session: Session) -> tuple[int, int]:
    """Alerts nobody has acknowledged, and how many of them are critical."""
    row = session.execute(
        select(
            func.count(), func.coalesce(func.sum(case((Alert.severity == Severity.CRITICAL, 1), else_=0)), 0)
        ).where(Alert.state == AlertState.OPEN)
    ).one()
    return row[0], int(row[1])


def one(session: Session, alert_id: int) -> Alert:
    """One alert.

    Raises:
        NotFound: no alert has this id.
    """
    alert = session.get(Alert, alert_id)
    if alert is None:
        raise NotFound(f"no alert {alert_id}")
    return alert
