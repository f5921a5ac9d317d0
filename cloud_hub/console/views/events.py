"""The log of what stations reported."""

import re
from typing import Final

from flask import request

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.console.views.blueprint import console, render
from cloud_hub.errors import Invalid
from cloud_hub.events import queries
from cloud_hub.models.access import Role
from cloud_hub.stations import queries as stations

_PAGE: Final = 50
_ROW: Final = re.compile(r"[0-9]{1,18}")


@console.get("/events")
@requires(Role.VIEWER)
def events() -> str:
    """Newest first; older ones by "older"."""
    before = request.args.get("before") or None
    if before is not None and not _ROW.fullmatch(before):
        raise Invalid("before: not a number", errors=[{"field": "before", "problem": "not a number"}])
    station_id, kind = request.args.get("station") or None, request.args.get("kind") or None
    session = context.read()
    rows = queries.events(
        session,
        station_id=station_id,
        kind=kind,
        after=None if before is None else int(before),
        newest_first=True,
        limit=_PAGE + 1,
    )
    return render(
        "events.html",
        "_events.html",
        events=rows[:_PAGE],
        more=rows[_PAGE - 1].id if len(rows) > _PAGE else None,
        names=stations.names(session),
        station_id=station_id,
        kind=kind,
        before=before,
    )
