"""People: the list, one person, and what is done to them. Every look at them is audited, a page as one entry."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from flask import make_response, redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.api.people_schemas import EraseBody, PersonBody, PersonChange, WithdrawBody
from cloud_hub.bell import BRIDGE, PEOPLE
from cloud_hub.console import forms
from cloud_hub.console.views.blueprint import console, render
from cloud_hub.errors import CallerError
from cloud_hub.models.access import Role
from cloud_hub.passes import queries as passes
from cloud_hub.people import codes, hours, queries, services
from cloud_hub.stations import queries as stations

_PAGE: Final = 50
_CONSENTS: Final = 200
_PASSES: Final = 5


@console.get("/people")
@requires(Role.OPERATOR)
def people() -> str:
    """In order of pseudonym, without those erased."""
    group_id, after = request.args.get("group") or None, request.args.get("after") or None
    search = request.args.get("q", "").strip()[:64]
    with context.write() as session:
        views = queries.page(session, group_id=group_id, after=after, search=search, limit=_PAGE + 1)
        _note(session, "list", len(views[:_PAGE]))
    session = context.read()
    return render(
        "people.html",
        views=views[:_PAGE],
        more=views[_PAGE - 1].person.id if len(views) > _PAGE else None,
        after=after,
        search=search,
        group_id=group_id,
        groups=queries.groups(session, after=None, limit=hours.MOST_GROUPS),
    )


@console.get("/people/new")
@requires(Role.ADMINISTRATOR)
def new_person() -> AnyResponse:
    """The form."""
    return _new({"groups": request.args.getlist("group"), "number": "", "extended": False})


@console.post("/people")
@requires(Role.ADMINISTRATOR)
def create_person() -> AnyResponse:
    """Add a worker; the hub makes the pseudonym."""
    values = {
        "groups": request.form.getlist("groups"),
        "number": forms.optional("number"),
        "extended": forms.ticked("extended"),
    }
    try:
        body = forms.body_of(PersonBody, values)
        with context.write() as session:
            person_id = services.create_person(
                session,
                groups=body.groups,
                number=body.number,
                extended=body.extended,
                actor=signed_in().actor,
                now=context.now(),
            ).id
    except CallerError as error:
        return _new(values, error)
    return _to_person(person_id)


@console.get("/people/<person_id>")
@requires(Role.OPERATOR)
def person(person_id: str) -> AnyResponse:
    """One person; once erased, with the receipts of the stations."""
    return _person(person_id)


@console.post("/people/<person_id>/change")
@requires(Role.ADMINISTRATOR)
def change_person(person_id: str) -> AnyResponse:
    """Groups, number, extended pulse, and whether they may enter at all."""
    values: dict[str, Any] = {"active": forms.ticked("active")}
    if forms.text("part") != "active":
        values = {
            "groups": request.form.getlist("groups"),
            "number": forms.optional("number"),
            "extended": forms.ticked("extended"),
        }
    try:
        body = forms.body_of(PersonChange, values)
        with context.write() as session:
            services.change_person(
                session,
                person_id=person_id,
                active=body.active,
                extended=body.extended,
                number=body.number,
                groups=body.groups,
                actor=signed_in().actor,
                now=context.now(),
            )
    except CallerError as error:
        return _person(person_id, error=error)
    return _to_person(person_id)


@console.post("/people/<person_id>/enrolment-code")
@requires(Role.OPERATOR)
def create_enrolment_code(person_id: str) -> AnyResponse:
    """Shown on this answer and never again: the hub keeps only a slow hash of it."""
    try:
        with context.write() as session:
            row, code = codes.create(
                session, person_id=person_id, life=codes.LIFE, actor=signed_in().actor, now=context.now()
            )
            number = services.living_person(session, person_id).number
            expires_at = row.expires_at
    except CallerError as error:
        return _person(person_id, error=error)
    context.web().ringer.ring(BRIDGE, PEOPLE)
    days = codes.LIFE // timedelta(days=1)
    page = render(
        "code.html", person_id=person_id, number=number, code=code, expires_at=expires_at, days=days
    )
    return make_response(page, HTTPStatus.CREATED)


@console.post("/people/<person_id>/withdraw")
@requires(Role.ADMINISTRATOR)
def withdraw_consent(person_id: str) -> AnyResponse:
    """For somebody who asked for it."""
    try:
        body = forms.body_of(WithdrawBody, {"kind": forms.text("kind"), "reason": forms.text("reason")})
        with context.write() as session:
            services.withdraw_for(
                session,
                person_id=person_id,
                kind=body.kind,
                reason=body.reason,
                actor=signed_in().actor,
                now=context.now(),
            )
    except CallerError as error:
        return _person(person_id, error=error)
    return _to_person(person_id)


@console.post("/people/<person_id>/erase")
@requires(Role.ADMINISTRATOR)
def erase_person(person_id: str) -> AnyResponse:
    """Bars them at once; every station is told until it has sent its signed receipt."""
    try:
        body = forms.body_of(EraseBody, {"reason": forms.text("reason") if forms.ticked("sure") else ""})
        with context.write() as session:
            services.erase_person(
                session,
                person_id=person_id,
                reason=body.reason,
                actor=signed_in().actor,
                now=context.now(),
            )
    except CallerError as error:
        return _person(person_id, error=error)
    return _to_person(person_id)


def _to_person(person_id: str) -> AnyResponse:
    """Stations hear of it; the browser gets an address it may load again."""
    context.web().ringer.ring(BRIDGE, PEOPLE)
    where = url_for("console.person", person_id=person_id)
    return make_response(redirect(where, code=HTTPStatus.SEE_OTHER))


def _new(values: dict[str, Any], error: CallerError | None = None) -> AnyResponse:
    groups = queries.groups(context.read(), after=None, limit=hours.MOST_GROUPS)
    page = render("person_new.html", values=values, groups=groups, **forms.problem(error))
    return make_response(page, error.status if error else HTTPStatus.OK)


def _person(person_id: str, *, error: CallerError | None = None) -> AnyResponse:
    with context.write() as session:
        view = queries.one(session, person_id)
        _note(session, view.person.id, 1)
    session = context.read()
    page = render(
        "person.html",
        "_person_erasures.html",
        view=view,
        names=stations.names(session),
        groups=queries.groups(session, after=None, limit=hours.MOST_GROUPS),
        register=queries.consents(session, person_id=person_id, kind=None, after=None, limit=_CONSENTS),
        code=queries.open_code(session, person_id, now=context.now()),
        passes=passes.newest(session, person_id=person_id, before=None, limit=_PASSES),
        now=context.now(),
        **forms.problem(error),
    )
    return make_response(page, error.status if error else HTTPStatus.OK)


def _note(session: Session, target: str, seen: int) -> None:
    queries.note_view(
        session, what="person", target=target, people=seen, actor=signed_in().actor, now=context.now()
    )
