"""Figures over time: a page, and the same as a table for a spreadsheet."""

import csv
import io
from typing import Final

from flask import Response, request

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.api.report_schemas import AccessReportQuery
from cloud_hub.console import forms
from cloud_hub.console.views.blueprint import console, render
from cloud_hub.models.access import Role
from cloud_hub.reports import access
from cloud_hub.stations import queries as stations

_SPANS: Final = (1, 7, 30, 92)
_WAYS: Final = ("face", "pass", "pin", "held_open")
_COLUMNS: Final = ("station", "hour", "light", "via", "decisions", "granted", "rejected", "ambiguous")


@console.get("/reports/access")
@requires(Role.VIEWER)
def access_report() -> str:
    """How often people were let in, refused or not told apart."""
    query, made = _made()
    names = stations.names(context.read())
    return render(
        "report_access.html", made=made, query=query, spans=_SPANS, ways=_WAYS, names=names, few=access.FEW
    )


@console.get("/reports/access.csv")
@requires(Role.VIEWER)
def access_csv() -> Response:
    """Every cell as one line, with a mark that lets spreadsheets read Chinese names."""
    query, made = _made()
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(_COLUMNS)
    for cell, tally in sorted(made.cells.items()):
        table.writerow(
            (
                *(cell.station, f"{cell.hour:02}", cell.light, cell.via),
                *(tally.decisions, tally.granted, tally.rejected, tally.ambiguous),
            )
        )
    name = f"access-{made.until:%Y%m%d}-{query.days}d.csv"
    return Response(
        "\ufeff" + out.getvalue(),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _made() -> tuple[AccessReportQuery, access.AccessReport]:
    given = {key: value for key, value in request.args.items() if value and key in {"days", "station", "via"}}
    query = forms.body_of(AccessReportQuery, given)
    made = access.of_days(
        context.read(), days=query.days, now=context.now(), station_id=query.station, via=query.via
    )
    return query, made
