"""Groups with their hours, and the calendar of days that are not what their weekday says."""

from collections.abc import Mapping
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec
from flask import make_response, redirect, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.api.people_schemas import GroupBody
from cloud_hub.bell import BRIDGE, PEOPLE
from cloud_hub.console import forms, openings
from cloud_hub.console.views.blueprint import console, render
from cloud_hub.errors import CallerError, Invalid, NotFound
from cloud_hub.models import Door, PeopleGroup
from cloud_hub.models.access import Role
from cloud_hub.people import hours, queries
from cloud_hub.people.hours import GroupRules
from cloud_hub.stations import queries as stations
from cloud_hub.zones import DEFAULT_ZONE, zone
from firmware_config.roster import SpecialDay

_LONGEST_HOLIDAY: Final = 31
_WORK_WEEK: Final = [[{"opens_min": 8 * 60, "closes_min": 20 * 60}]] * 5 + [[], []]


@console.get("/groups")
@requires(Role.VIEWER)
def groups() -> str:
    """In order of name."""
    session = context.read()
    rows = queries.groups(session, after=None, limit=hours.MOST_GROUPS)
    return render("groups.html", groups=rows, members=queries.members(session), names=stations.names(session))


@console.get("/groups/new")
@requires(Role.ADMINISTRATOR)
def new_group() -> AnyResponse:
    """The form, with a working week to start from."""
    return _form(None, {"id": "", "weekly": _WORK_WEEK, "holiday": None})


@console.post("/groups")
@requires(Role.ADMINISTRATOR)
def create_group() -> AnyResponse:
    """Add a group."""
    return _save(None)


@console.get("/groups/<group_id>")
@requires(Role.ADMINISTRATOR)
def group(group_id: str) -> AnyResponse:
    """The form of one group."""
    row = context.read().get(PeopleGroup, group_id)
    if row is None:
        raise NotFound(f"no group {group_id!r}"[:120])
    return _form(group_id, {name: getattr(row, name) for name in _FIELDS})


@console.post("/groups/<group_id>")
@requires(Role.ADMINISTRATOR)
def replace_group(group_id: str) -> AnyResponse:
    """Give a group other rules."""
    return _save(group_id)


@console.get("/calendar")
@requires(Role.VIEWER)
def calendar() -> AnyResponse:
    """Special days, those to come first."""
    return _calendar()


@console.post("/calendar")
@requires(Role.ADMINISTRATOR)
def add_day() -> AnyResponse:
    """Add a day, or a holiday of several days; a day that is there already is replaced."""
    try:
        added = _days()
        _set_calendar({day.day: day for day in added}, drop=None)
    except CallerError as error:
        return _calendar(error)
    return _to("console.calendar")


@console.post("/calendar/<day>/remove")
@requires(Role.ADMINISTRATOR)
def remove_day(day: str) -> AnyResponse:
    """Let a day be what its weekday says. Harmless when done twice."""
    _set_calendar({}, drop=day)
    return _to("console.calendar")


_FIELDS: Final = ("id", "weekly", "holiday", "stations", "waits_for", "doors", "guest_cap")


def _save(group_id: str | None) -> AnyResponse:
    values: dict[str, Any] = {"id": group_id or forms.text("id", limit=40)}
    try:
        values |= _typed()
        body = forms.body_of(GroupBody, values)
        rules = GroupRules(**{key: value for key, value in body.model_dump().items() if key != "id"})
        keep = hours.create_group if group_id is None else hours.replace_group
        with context.write() as session:
            keep(session, group_id=body.id, rules=rules, actor=signed_in().actor, now=context.now())
    except CallerError as error:
        return _form(group_id, values, error)
    return _to("console.groups")


def _typed() -> dict[str, Any]:
    """The form's fields as the API names them.

    Raises:
        Invalid: the hours cannot be read, or overlap.
    """
    form = request.form
    weekly, holiday = _weekly(form), _holiday(form)
    if openings.overlapping(weekly) or (holiday and openings.overlapping([holiday])):
        raise Invalid(
            "weekly: openings overlap", errors=[{"field": "overlap", "problem": "openings overlap"}]
        )
    return {
        "weekly": weekly,
        "holiday": holiday,
        "stations": form.getlist("stations") if form.get("where") == "some" else [],
        "waits_for": forms.optional("waits_for"),
        "doors": form.getlist("doors") if form.get("which") == "some" else [],
        "guest_cap": forms.whole("guest_cap") if forms.ticked("guests") else None,
    }


def _weekly(form: Mapping[str, Any]) -> list[list[dict[str, int]]]:
    match form.get("shape"):
        case "always":
            return [[openings.ALWAYS]] * 7
        case "daily":
            return [openings.read(form, "daily")] * 7
        case _:
            return [openings.read(form, f"day{number}") for number in range(7)]


def _holiday(form: Mapping[str, Any]) -> list[dict[str, int]] | None:
    match form.get("holidays"):
        case "closed":
            return []
        case "other":
            return openings.read(form, "holiday")
        case _:
            return None


def _form(group_id: str | None, values: dict[str, Any], error: CallerError | None = None) -> AnyResponse:
    session = context.read()
    others = [
        row for row in queries.groups(session, after=None, limit=hours.MOST_GROUPS) if row.id != group_id
    ]
    page = render(
        "group.html",
        group_id=group_id,
        values=values,
        sheet=openings.typed_sheet(request.form)
        if error is not None
        else openings.sheet(values["weekly"], values["holiday"]),
        typed=request.form if error is not None else None,
        awaitable=[row.id for row in others if row.waits_for is None],
        names={key: row for key, row in stations.names(session).items() if row.retired_at is None},
        doors=session.scalars(select(Door.id).distinct().order_by(Door.id)).all(),
        **forms.problem(error),
    )
    return make_response(page, error.status if error else HTTPStatus.OK)


def _days() -> list[SpecialDay]:
    kind, first = forms.text("kind"), _date("day")
    last = _date("last") if forms.text("last") and kind == "holiday" else first
    if not 0 <= (last - first).days < _LONGEST_HOLIDAY:
        raise Invalid(
            "last: before the first day, or too far", errors=[{"field": "last", "problem": "order"}]
        )
    as_weekday = forms.whole("as_weekday") if kind == "workday" else 0
    try:
        return [
            msgspec.convert(
                {"day": (first + timedelta(days=number)).isoformat(), "kind": kind, "as_weekday": as_weekday},
                SpecialDay,
            )
            for number in range((last - first).days + 1)
        ]
    except msgspec.ValidationError as error:
        raise Invalid(f"day: {error}", errors=[{"field": "day", "problem": str(error)}]) from error


def _date(name: str) -> date:
    try:
        return date.fromisoformat(forms.text(name, limit=10))
    except ValueError as error:
        raise Invalid(f"{name}: no date", errors=[{"field": "day", "problem": "no date"}]) from error


def _set_calendar(added: dict[str, SpecialDay], *, drop: str | None) -> None:
    with context.write() as session:
        kept = {
            row.day: SpecialDay(
                day=row.day, kind="workday" if row.kind == "workday" else "holiday", as_weekday=row.as_weekday
            )
            for row in queries.calendar(session)
            if row.day != drop
        }
        days = list((kept | added).values())
        hours.set_calendar(session, days, actor=signed_in().actor, now=context.now())


def _calendar(error: CallerError | None = None) -> AnyResponse:
    today = context.now().astimezone(zone(DEFAULT_ZONE)).date().isoformat()
    rows = queries.calendar(context.read())
    page = render(
        "calendar.html",
        coming=[row for row in rows if row.day >= today],
        past=[row for row in reversed(rows) if row.day < today],
        today=today,
        typed=request.form if error is not None else {},
        **forms.problem(error),
    )
    return make_response(page, error.status if error else HTTPStatus.OK)


def _to(endpoint: str) -> AnyResponse:
    """Stations hear of it; the browser gets an address it may load again."""
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return make_response(redirect(url_for(endpoint), code=HTTPStatus.SEE_OTHER))
