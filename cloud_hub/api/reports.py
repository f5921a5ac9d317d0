"""Reports."""

from dataclasses import asdict

from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.api.blueprint import api, send
from cloud_hub.api.report_schemas import AccessCellAnswer, AccessReportAnswer, AccessReportQuery, ReasonAnswer
from cloud_hub.models.access import Role
from cloud_hub.reports import access


@api.get("/reports/access", summary="How access was decided", responses={200: AccessReportAnswer})
@requires(Role.VIEWER)
def access_report(query: AccessReportQuery) -> Response:
    """By station, hour of day and light. Every decision counts; somebody refused twice counts twice."""
    made = access.of_days(
        context.read(), days=query.days, now=context.now(), station_id=query.station, via=query.via
    )
    items = [
        AccessCellAnswer.model_validate(asdict(cell) | asdict(tally) | {"decisions": tally.decisions})
        for cell, tally in sorted(made.cells.items())
    ]
    reasons = [ReasonAnswer(reason=reason, count=count) for reason, count in made.reasons.most_common()]
    answer = AccessReportAnswer(
        items=items, next=None, since=made.since, until=made.until, cut=made.cut, reasons=reasons
    )
    return send(answer)
