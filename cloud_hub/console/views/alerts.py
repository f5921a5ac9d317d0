"""The inbox of alerts."""

from http import HTTPStatus
from typing import Final

from flask import redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.alerts import queries, services
from cloud_hub.bell import WEB
from cloud_hub.console.views.blueprint import console, is_fragment, render
from cloud_hub.models.access import Role
from cloud_hub.models.alert import AlertState
from cloud_hub.stations import queries as stations

_SHOWN: Final = 200

_VIEWS: Final = {
    "live": (AlertState.OPEN, AlertState.ACKNOWLEDGED),
    "open": (AlertState.OPEN,),
    "closed": (AlertState.CLOSED,),
}


@console.get("/alerts")
@requires(Role.VIEWER)
def alerts() -> str:
    """Those nobody has acknowledged first, the worst of them on top."""
    chosen = request.args.get("view", "live")
    if chosen not in _VIEWS:
        chosen = "live"
    station_id = request.args.get("station") or None
    session = context.read()
    rows = queries.by_urgency(session, states=_VIEWS[chosen], station_id=station_id, limit=_SHOWN)
    names = stations.names(session)
    return render(
        "alerts.html", "_alerts.html", alerts=rows, names=names, chosen=chosen, station_id=station_id
    )


@console.post("/alerts/<int:alert_id>/acknowledge")
@requires(Role.OPERATOR)
def acknowledge(alert_id: int) -> AnyResponse | tuple[str, HTTPStatus]:
    """Somebody has seen it and acts."""
    with context.write() as session:
        alert = services.acknowledge(session, alert_id=alert_id, actor=signed_in().actor, now=context.now())
    context.web().ringer.ring(WEB, "alerts", "stations", f"station:{alert.station_id}")
    if is_fragment():
        return "", HTTPStatus.NO_CONTENT
    back = (
        url_for("console.alerts")
        if request.form.get("from") != "station"
        else url_for("console.station", station_id=alert.station_id)
    )
    return redirect(back, code=HTTPStatus.SEE_OTHER)
