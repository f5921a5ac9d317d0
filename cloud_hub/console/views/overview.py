"""All stations at a glance, those with trouble first."""

from flask import request

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.alerts import queries as alerts
from cloud_hub.commands import proposals
from cloud_hub.console.views.blueprint import console, render
from cloud_hub.models.access import Role
from cloud_hub.stations import queries


@console.get("/")
@requires(Role.VIEWER)
def overview() -> str:
    """Figures of the district and a card for each station."""
    search = request.args.get("q", "").strip()[:80]
    session = context.read()
    waiting = proposals.pending(session, now=context.now())
    return render(
        "overview.html",
        "_stations.html",
        search=search,
        totals=queries.totals(session),
        views=queries.by_trouble(session, search=search),
        most=queries.LIMIT,
        waiting=waiting,
        names=queries.names(session) if waiting else {},
    )


@console.get("/fragments/alert-badge")
@requires(Role.VIEWER)
def alert_badge() -> str:
    """The number beside "Alerts"."""
    return render("_alert_badge.html", "_alert_badge.html", open_alerts=alerts.count_open(context.read()))
