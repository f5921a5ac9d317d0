"""Alerts."""

from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.alerts import queries, services
from cloud_hub.api.blueprint import CONFLICT, UNKNOWN, api, cut, send
from cloud_hub.api.schemas import AlertAnswer, AlertPage, AlertPath, AlertsQuery
from cloud_hub.bell import WEB
from cloud_hub.models import Alert
from cloud_hub.models.access import Role
from cloud_hub.models.alert import AlertState, Severity


@api.get("/alerts", summary="List alerts", responses={200: AlertPage})
@requires(Role.VIEWER)
def list_alerts(query: AlertsQuery) -> Response:
    """In the order they were first raised. `open` ones wait for somebody to acknowledge them."""
    rows = queries.in_order(
        context.read(),
        state=query.state,
        station_id=query.station,
        after=None if query.after is None else int(query.after),
        limit=query.limit + 1,
    )
    page, last = cut(rows, query.limit)
    return send(AlertPage(items=[answer(row) for row in page], next=str(last.id) if last else None))


@api.post(
    "/alerts/<int:alert_id>/acknowledge",
    summary="Acknowledge an alert",
    responses={200: AlertAnswer, **UNKNOWN, **CONFLICT},
)
@requires(Role.OPERATOR)
def acknowledge(path: AlertPath) -> Response:
    """Somebody has seen it and acts. It closes once its condition is gone, too."""
    with context.write() as session:
        alert = services.acknowledge(
            session, alert_id=path.alert_id, actor=signed_in().actor, now=context.now()
        )
    context.web().ringer.ring(WEB, "alerts", "stations", f"station:{alert.station_id}")
    return send(answer(alert))


def answer(alert: Alert) -> AlertAnswer:
    """The alert as the API shows it."""
    return AlertAnswer(
        id=alert.id,
        key=alert.key,
        station=alert.station_id,
        kind=alert.kind,
        severity=Severity(alert.severity),
        state=AlertState(alert.state),
        active=alert.active,
        count=alert.count,
        raised_at=alert.raised_at,
        repeated_at=alert.repeated_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by,
        cleared_at=alert.cleared_at,
        closed_at=alert.closed_at,
        data=alert.data,
    )
