"""Groups with their hours, the calendar, and which roster each station has."""

from http import HTTPStatus

import msgspec
from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.api.blueprint import CONFLICT, UNKNOWN, api, cut, send
from cloud_hub.api.people_schemas import (
    CalendarBody,
    CalendarPage,
    GroupAnswer,
    GroupBody,
    GroupPage,
    GroupPath,
    GroupRulesBody,
    GroupsQuery,
    RosterAnswer,
    RosterPage,
    SpecialDayAnswer,
)
from cloud_hub.bell import BRIDGE, PEOPLE
from cloud_hub.models.access import Role
from cloud_hub.people import hours, queries
from cloud_hub.people.hours import GroupRules
from cloud_hub.people.services import invalid
from firmware_config.roster import SpecialDay


@api.get("/groups", summary="List groups", responses={200: GroupPage})
@requires(Role.VIEWER)
def list_groups(query: GroupsQuery) -> Response:
    """In order of id."""
    rows = queries.groups(context.read(), after=query.after, limit=query.limit + 1)
    page, last = cut(rows, query.limit)
    items = [GroupAnswer.model_validate(row) for row in page]
    return send(GroupPage(items=items, next=last.id if last else None))


@api.post("/groups", summary="Add a group", responses={201: GroupAnswer, **CONFLICT})
@requires(Role.ADMINISTRATOR)
def create_group(body: GroupBody) -> Response:
    """Hours are by the clock on the wall of each station."""
    with context.write() as session:
        group = hours.create_group(
            session, group_id=body.id, rules=_rules(body), actor=signed_in().actor, now=context.now()
        )
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return send(GroupAnswer.model_validate(group), HTTPStatus.CREATED)


@api.put("/groups/<group_id>", summary="Replace a group's rules", responses={200: GroupAnswer, **UNKNOWN})
@requires(Role.ADMINISTRATOR)
def replace_group(path: GroupPath, body: GroupRulesBody) -> Response:
    """All of them: what is absent gets its default."""
    with context.write() as session:
        group = hours.replace_group(
            session, group_id=path.group_id, rules=_rules(body), actor=signed_in().actor, now=context.now()
        )
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return send(GroupAnswer.model_validate(group))


@api.get("/calendar", summary="The calendar", responses={200: CalendarPage})
@requires(Role.VIEWER)
def get_calendar() -> Response:
    """Days that are not what their weekday says; always one page."""
    items = [SpecialDayAnswer.model_validate(row) for row in queries.calendar(context.read())]
    return send(CalendarPage(items=items, next=None))


@api.put("/calendar", summary="Replace the calendar", responses={200: CalendarPage})
@requires(Role.ADMINISTRATOR)
def replace_calendar(body: CalendarBody) -> Response:
    """The whole of it."""
    try:
        days = [msgspec.convert(item.model_dump(), SpecialDay) for item in body.items]
    except msgspec.ValidationError as error:
        raise invalid("items", str(error)) from error
    with context.write() as session:
        kept = hours.set_calendar(session, days, actor=signed_in().actor, now=context.now())
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return send(CalendarPage(items=[SpecialDayAnswer.model_validate(day) for day in kept], next=None))


@api.get("/rosters", summary="List rosters", responses={200: RosterPage})
@requires(Role.VIEWER)
def list_rosters(query: GroupsQuery) -> Response:
    """By station: the version it should have, and the one it last said it has."""
    rows = queries.rosters(context.read(), after=query.after, limit=query.limit + 1)
    page, last = cut(rows, query.limit)
    items = [
        RosterAnswer(
            station=row.station_id,
            version=row.version,
            digest=row.digest,
            people=row.people,
            issued_at=row.issued_at,
            applied_version=row.applied_version,
            applied_at=row.applied_at,
        )
        for row in page
    ]
    return send(RosterPage(items=items, next=last.station_id if last else None))


def _rules(body: GroupRulesBody) -> GroupRules:
    return GroupRules(
        weekly=[[opening.model_dump() for opening in day] for day in body.weekly],
        holiday=None if body.holiday is None else [opening.model_dump() for opening in body.holiday],
        stations=body.stations,
        waits_for=body.waits_for,
        doors=body.doors,
        guest_cap=body.guest_cap,
    )
