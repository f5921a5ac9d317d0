"""All orders, and the story of each."""

from typing import Final

from flask import request

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.commands import proposals, queries, story
from cloud_hub.console.views.blueprint import console, render
from cloud_hub.models.access import Role
from cloud_hub.stations import queries as stations

_PAGE: Final = 50


@console.get("/orders")
@requires(Role.VIEWER)
def orders() -> str:
    """All orders, newest first."""
    session = context.read()
    station_id = request.args.get("station") or None
    rows = queries.newest(
        session, station_id=station_id, before=request.args.get("before") or None, limit=_PAGE + 1
    )
    more = rows[_PAGE - 1].id if len(rows) > _PAGE else None
    return render(
        "orders.html",
        "_orders.html",
        orders=rows[:_PAGE],
        more=more,
        names=stations.names(session),
        station_id=station_id,
        waiting=proposals.pending(session, now=context.now(), station_id=station_id),
    )


@console.get("/orders/<command_id>")
@requires(Role.VIEWER)
def order(command_id: str) -> str:
    """One order, hop by hop, live until it is final."""
    return order_page(command_id)


def order_page(command_id: str) -> str:
    """The page or its part."""
    with context.web().reading() as session:
        found = queries.one(session, command_id)
        station = stations.names(session).get(found.command.station_id)
        shown = proposals.behind(session, command_id)
    tale = story.tell(found, shown)
    return render("order.html", "_order.html", command=found.command, tale=tale, station=station)
