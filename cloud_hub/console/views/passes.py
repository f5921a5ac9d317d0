"""QR passes: made, shown once, listed, revoked. Every look at them is audited, a page as one entry."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from flask import make_response, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.api.people_schemas import PassBody
from cloud_hub.bell import BRIDGE, PEOPLE
from cloud_hub.console import forms
from cloud_hub.console.views.blueprint import console, render
from cloud_hub.errors import CallerError, Invalid
from cloud_hub.models import Station
from cloud_hub.models.access import Role
from cloud_hub.passes import picture, queries, services
from cloud_hub.passes.keys import signing_key
from cloud_hub.passes.services import PassWish
from cloud_hub.people.queries import note_view
from cloud_hub.roster.build import region_of
from cloud_hub.stations import queries as stations
from cloud_hub.zones import DEFAULT_ZONE, zone
from firmware_config.passes import EVERYWHERE

_PAGE: Final = 50
_FIRST_LIFE: Final = timedelta(days=1)


@console.get("/passes")
@requires(Role.OPERATOR)
def passes() -> str:
    """Newest first, revoked and expired ones too."""
    before, person_id = request.args.get("before", "")[:18], request.args.get("person") or None
    after_row = int(before) if before.isascii() and before.isdigit() else None
    with context.write() as session:
        rows = queries.newest(session, person_id=person_id, before=after_row, limit=_PAGE + 1)
        _note(session, person_id or "list", len({row.holder for row in rows[:_PAGE]}))
    return render(
        "passes.html",
        passes=rows[:_PAGE],
        more=rows[_PAGE - 1].number if len(rows) > _PAGE else None,
        person_id=person_id,
        names=stations.names(context.read()),
        now=context.now(),
    )


@console.get("/passes/new")
@requires(Role.OPERATOR)
def new_pass() -> AnyResponse:
    """The form; for a guest unless a person is named."""
    until = (context.now() + _FIRST_LIFE).astimezone(zone(DEFAULT_ZONE))
    values = {
        "person": request.args.get("person", "")[:64],
        "scope": [],
        "not_before": "",
        "not_after": until.strftime("%Y-%m-%dT%H:%M"),
        "uses": 0,
        "extended": False,
    }
    return _form(values)


@console.post("/passes")
@requires(Role.OPERATOR)
def create_pass() -> AnyResponse:
    """Sign a pass. Shown on this answer and never again: the hub keeps no signature."""
    values = _typed()
    try:
        body = forms.body_of(PassBody, _timed(values))
        key, now = signing_key(context.web().hub), context.now()
        wish = PassWish(
            person=body.person,
            scope=body.scope,
            not_before=(body.not_before or now).replace(microsecond=0),
            not_after=body.not_after.replace(microsecond=0),
            uses=body.uses,
            extended=body.extended,
        )
        with context.write() as session:
            row, text = services.create(session, wish, key=key, actor=signed_in().actor, now=now)
    except CallerError as error:
        return _form(values, error)
    names = stations.names(context.read())
    page = render(
        "pass.html", row=row, names=names, zone=_zone(row.scope, names), now=now,
        svg=picture.svg(text), png=picture.png_address(text),
    )  # fmt: skip
    return make_response(page, HTTPStatus.CREATED)


@console.post("/passes/<pass_id>/revoke")
@requires(Role.OPERATOR)
def revoke_pass(pass_id: str) -> AnyResponse:
    """Counts at a station as soon as it has its next roster. Harmless when done twice."""
    with context.write() as session:
        services.revoke(session, pass_id=pass_id, actor=signed_in().actor, now=context.now())
    context.web().ringer.ring(BRIDGE, PEOPLE)
    return make_response(redirect(url_for("console.passes"), code=HTTPStatus.SEE_OTHER))


def _typed() -> dict[str, Any]:
    form = request.form
    return {
        "person": forms.text("person", limit=64) if form.get("holder") == "person" else "",
        "holder": form.get("holder", "guest"),
        "scope": [EVERYWHERE] if form.get("where") == "all" else form.getlist("scope"),
        "not_before": forms.text("not_before", limit=20),
        "not_after": forms.text("not_after", limit=20),
        "uses": forms.whole("uses") if form.get("often") == "some" else 0,
        "extended": forms.ticked("extended"),
    }


def _timed(values: dict[str, Any]) -> dict[str, Any]:
    """The fields as the API names them; times by the clock of the pass's own station, where it has one."""
    where = zone(_zone(values["scope"], stations.names(context.read())))
    body = {key: value for key, value in values.items() if key != "holder"}
    for name in ("not_before", "not_after"):
        body[name] = _time(name, values[name], where)
    if values["holder"] == "person" and not values["person"]:
        raise Invalid("person: missing", errors=[{"field": "person", "problem": "missing"}])
    return body | {"person": values["person"] or None}


def _time(name: str, typed: str, where: Any) -> datetime | None:
    if not typed:
        return None
    try:
        return datetime.fromisoformat(typed).replace(tzinfo=where)
    except ValueError as error:
        raise Invalid(f"{name}: no time", errors=[{"field": name, "problem": "no time"}]) from error


def _zone(scope: list[str], names: dict[str, Station]) -> str:
    """Of the one station a pass is for, else the district's."""
    only = names.get(scope[0]) if len(scope) == 1 else None
    return only.time_zone if only is not None else DEFAULT_ZONE


def _form(values: dict[str, Any], error: CallerError | None = None) -> AnyResponse:
    served = [row for row in stations.names(context.read()).values() if row.retired_at is None]
    page = render(
        "pass_new.html",
        values=values,
        served=served,
        regions=sorted({region for row in served if (region := region_of(row)) is not None}),
        zone=DEFAULT_ZONE,
        guest_days=services.GUEST_LIFE.days,
        person_days=services.LONGEST_LIFE.days,
        **forms.problem(error),
    )
    return make_response(page, error.status if error else HTTPStatus.OK)


def _note(session: Session, target: str, seen: int) -> None:
    note_view(session, what="pass", target=target, people=seen, actor=signed_in().actor, now=context.now())
