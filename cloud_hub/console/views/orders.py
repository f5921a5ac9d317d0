"""Ordering an unlock, and the story of every order."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from flask import make_response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context
from cloud_hub.access import accounts
from cloud_hub.access.accounts import WrongPassword
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.commands import queries
from cloud_hub.commands.placing import place_unlock
from cloud_hub.console import labels
from cloud_hub.console.views.blueprint import console, is_fragment, render
from cloud_hub.console.views.session import set_cookie, visitor
from cloud_hub.errors import CallerError, Invalid, NotFound, OutcomeUnknown, StepUpNeeded
from cloud_hub.i18n import gettext
from cloud_hub.models import Door
from cloud_hub.models.access import Role
from cloud_hub.stations import queries as stations
from cloud_hub.stations.queries import StationView

_PAGE: Final = 50
_REASON_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """What the unlock form holds."""

    reason: str = ""
    password: str = ""
    confirm_unknown: bool = False

    @classmethod
    def read(cls) -> "Wish":
        """From the form: typed words count more than a chosen preset."""
        typed = request.form.get("reason", "").strip()
        return cls(
            reason=typed or request.form.get("preset", "").strip(),
            password=request.form.get("password", ""),
            confirm_unknown=request.form.get("confirm_unknown") == "yes",
        )


@console.get("/stations/<station_id>/doors/<door_id>/unlock")
@requires(Role.OPERATOR)
def unlock_form(station_id: str, door_id: str) -> AnyResponse:
    """The form: a page of its own, or a sheet over the station's page."""
    view, door = _door(station_id, door_id)
    return _form(view, door, Wish())


@console.post("/stations/<station_id>/doors/<door_id>/unlock")
@requires(Role.OPERATOR)
def unlock(station_id: str, door_id: str) -> AnyResponse:
    """Record the order; the bridge carries it. Without a fresh password nothing happens (safety.md W4)."""
    view, door = _door(station_id, door_id)
    wish = Wish.read()
    renewed: str | None = None
    try:
        renewed = _step_up(wish)
        command_id = _request(station_id, door_id, wish)
    except CallerError as error:
        response = _form(view, door, wish, problem=error, fresh=renewed is not None)
    else:
        where = url_for("console.order", command_id=command_id)
        if is_fragment():
            response = make_response(_order_page(command_id), HTTPStatus.ACCEPTED)
            response.headers["Location"] = where
        else:
            response = make_response(redirect(where, code=HTTPStatus.SEE_OTHER))
    if renewed is not None:
        set_cookie(response, renewed)
    return response


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
    names = stations.names(session)
    return render(
        "orders.html", "_orders.html", orders=rows[:_PAGE], more=more, names=names, station_id=station_id
    )


@console.get("/orders/<command_id>")
@requires(Role.VIEWER)
def order(command_id: str) -> str:
    """One order, hop by hop, live until it is final."""
    return _order_page(command_id)


def _order_page(command_id: str) -> str:
    with context.web().reading() as session:
        story = queries.one(session, command_id)
        station = stations.names(session).get(story.command.station_id)
    return render("order.html", "_order.html", story=story, station=station)


def _door(station_id: str, door_id: str) -> tuple[StationView, Door]:
    view = stations.one(context.read(), station_id)
    for door in view.doors:
        if door.id == door_id:
            return view, door
    raise NotFound(f"station {station_id} has no door {door_id!r}"[:160])


def _step_up(wish: Wish) -> str | None:
    """Check the password where the last time is too long ago; returns the cookie's new value."""
    asking, now = signed_in(), context.now()
    if asking.stepped_up(now, context.web().hub.settings.orders.step_up_s) or asking.sign_in is None:
        return None
    if not wish.password:
        raise StepUpNeeded("the password was given too long ago")
    return accounts.step_up(
        context.web().writing, asking.sign_in, password=wish.password, visitor=visitor(), now=now
    )


def _request(station_id: str, door_id: str, wish: Wish) -> str:
    if not wish.reason or len(wish.reason) > _REASON_LENGTH or not wish.reason.isprintable():
        raise Invalid(
            "reason: 1 to 200 printable signs", errors=[{"field": "reason", "problem": "missing or too long"}]
        )
    return place_unlock(
        station_id=station_id, door_id=door_id, reason=wish.reason, confirm_unknown=wish.confirm_unknown
    ).id


def _form(
    view: StationView, door: Door, wish: Wish, *, problem: CallerError | None = None, fresh: bool = False
) -> AnyResponse:
    asking, web = signed_in(), context.web()
    values: dict[str, Any] = {
        "view": view,
        "door": door,
        "wish": wish,
        "reasons": labels.REASONS,
        "ask_password": not fresh and not asking.stepped_up(context.now(), web.hub.settings.orders.step_up_s),
        "ask_confirmation": isinstance(problem, OutcomeUnknown) or wish.confirm_unknown,
        "problem": _words(problem),
    }
    return make_response(
        render("unlock.html", "_unlock.html", **values), problem.status if problem else HTTPStatus.OK
    )


def _words(problem: CallerError | None) -> str | None:
    if problem is None:
        return None
    if isinstance(problem, WrongPassword):
        return gettext("Wrong password.")
    return labels.error(problem.code)
