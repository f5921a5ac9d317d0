"""What people do to alerts."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.errors import Conflict, NotFound
from cloud_hub.models import Alert
from cloud_hub.models.alert import AlertState


def acknowledge(session: Session, *, alert_id: int, actor: str, now: datetime) -> Alert:
    """Somebody has seen it. Once the condition is gone too, the alert is closed. Harmless when done twice.

    Args:
        session: a writing session.
        alert_id: of an alert that is not closed.
        actor: who has seen it.
        now: aware time.

    Raises:
        NotFound: no such alert.
        Conflict: it closed by itself before anybody acknowledged it.
    """
    alert = session.scalar(select(Alert).where(Alert.id == alert_id).with_for_update())
    if alert is None:
        raise NotFound(f"no alert {alert_id}")
    if alert.acknowledged_at is not None:
        return alert
    if alert.state == AlertState.CLOSED:
        raise Conflict(f"alert {alert_id} is closed")
    alert.state = AlertState.ACKNOWLEDGED if alert.active else AlertState.CLOSED
    alert.acknowledged_at = now
    alert.acknowledged_by = actor
    if not alert.active:
        alert.closed_at = now
    session.flush()
    detail = {"key": alert.key, "state": alert.state}
    audit.record(
        session, actor=actor, action="alert:acknowledge:done", target=str(alert.id), detail=detail, now=now
    )
    return alert
