"""One station: doors, people, sensors, what happened lately."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy.orm import Session

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.alerts import queries as alerts
from cloud_hub.commands import proposals
from cloud_hub.commands import queries as commands
from cloud_hub.console.views.blueprint import console, render
from cloud_hub.errors import NotFound
from cloud_hub.events import queries as events
from cloud_hub.models.access import Role
from cloud_hub.models.alert import AlertState
from cloud_hub.people import queries as people
from cloud_hub.stations import queries
from cloud_hub.stations.queries import StationView

_LATELY: Final = 12


@console.get("/stations/<station_id>")
@requires(Role.VIEWER)
def station(station_id: str) -> str:
    """The page with all its fragments."""
    session = context.read()
    view = queries.one(session, station_id)
    values: dict[str, Any] = {}
    for gather in _FRAGMENTS.values():
        values |= gather(session, view)
    return render("station.html", view=view, **values)


@console.get("/stations/<station_id>/fragments/<name>")
@requires(Role.VIEWER)
def station_fragment(station_id: str, name: str) -> str:
    """One part of the page, to replace the one shown."""
    if name not in _FRAGMENTS:
        raise NotFound(f"no fragment {name!r}"[:120])
    session = context.read()
    view = queries.one(session, station_id)
    template = f"_station_{name}.html"
    return render(template, template, view=view, **_FRAGMENTS[name](session, view))


def _doors(session: Session, view: StationView) -> dict[str, Any]:
    orders = {
        door.id: commands.latest_of_door(session, station_id=view.station.id, door_id=door.id)
        for door in view.doors
    }
    waiting = proposals.pending(session, now=context.now(), station_id=view.station.id)
    return {"orders": orders, "waiting": waiting}


def _head(_session: Session, _view: StationView) -> dict[str, Any]:
    return {}


def _vitals(session: Session, view: StationView) -> dict[str, Any]:
    return {
        "roster": people.roster_of(session, view.station.id),
        "records": events.records(session, view.station.id),
    }


def _alerts(session: Session, view: StationView) -> dict[str, Any]:
    states = (AlertState.OPEN, AlertState.ACKNOWLEDGED)
    return {"alerts": alerts.by_urgency(session, states=states, station_id=view.station.id, limit=20)}


def _events(session: Session, view: StationView) -> dict[str, Any]:
    rows = events.events(session, station_id=view.station.id, newest_first=True, limit=_LATELY)
    return {"events": rows}


_FRAGMENTS: Final[dict[str, Callable[[Session, StationView], dict[str, Any]]]] = {
    "head": _head,
    "doors": _doors,
    "vitals": _vitals,
    "alerts": _alerts,
    "events": _events,
}
