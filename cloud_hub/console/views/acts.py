"""Ordering an act at a door: unlock it, hold it open, lock it down, or end either."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

from flask import make_response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context
from cloud_hub.access.accounts import WrongPassword
from cloud_hub.access.roles import requires
from cloud_hub.commands.acts import LONGEST_REASON, VERBS, Act
from cloud_hub.commands.placing import place
from cloud_hub.console import labels, order_words, step_up
from cloud_hub.console.views.blueprint import console, is_fragment, render
from cloud_hub.console.views.orders import order_page
from cloud_hub.console.views.proposals import proposal_page
from cloud_hub.errors import CallerError, Invalid, NotFound, OutcomeUnknown
from cloud_hub.i18n import gettext
from cloud_hub.models import Command, Door
from cloud_hub.models.access import Role
from cloud_hub.stations import queries as stations
from cloud_hub.stations.queries import StationView
from firmware_config.wire import TIMED, Verb

DURATIONS: Final = (900, 1_800, 3_600, 4 * 3_600, 8 * 3_600, 24 * 3_600)
"""Offered in the form, in seconds."""

_USUAL_S: Final = 1_800


@dataclass(frozen=True, slots=True)
class Wish:
    """What the form holds."""

    reason: str = ""
    password: str = ""
    duration_s: int = _USUAL_S
    confirm_unknown: bool = False

    @classmethod
    def read(cls) -> "Wish":
        """From the form: typed words count more than a chosen preset."""
        typed = request.form.get("reason", "").strip()
        length = request.form.get("duration_s", "")
        return cls(
            reason=typed or request.form.get("preset", "").strip(),
            password=request.form.get("password", ""),
            duration_s=int(length) if length.isascii() and length.isdigit() and len(length) < 8 else 0,  # noqa: PLR2004 (more is no length)
            confirm_unknown=request.form.get("confirm_unknown") == "yes",
        )


@console.get("/stations/<station_id>/doors/<door_id>/unlock")
@requires(Role.OPERATOR)
def unlock_form(station_id: str, door_id: str) -> AnyResponse:
    """The form: a page of its own, or a sheet over the station's page."""
    return _form(station_id, door_id, "unlock", Wish())


@console.post("/stations/<station_id>/doors/<door_id>/unlock")
@requires(Role.OPERATOR)
def unlock(station_id: str, door_id: str) -> AnyResponse:
    """Record the order; the bridge carries it. Without a fresh password nothing happens (safety.md W4)."""
    return _order(station_id, door_id, "unlock")


@console.get("/stations/<station_id>/doors/<door_id>/modes/<verb>")
@requires(Role.OPERATOR)
def mode_form(station_id: str, door_id: str, verb: str) -> AnyResponse:
    """The form for an order that changes the door's mode."""
    return _form(station_id, door_id, _verb(verb), Wish())


@console.post("/stations/<station_id>/doors/<door_id>/modes/<verb>")
@requires(Role.OPERATOR)
def order_mode(station_id: str, door_id: str, verb: str) -> AnyResponse:
    """As ``unlock``: recorded, or proposed to a second person."""
    return _order(station_id, door_id, _verb(verb))


def _verb(text: str) -> Verb:
    if text not in VERBS or text == "unlock":
        raise NotFound(f"no mode {text!r}"[:120])
    return cast("Verb", text)


def _order(station_id: str, door_id: str, verb: Verb) -> AnyResponse:
    _door(station_id, door_id)
    wish = Wish.read()
    return step_up.proven(
        wish.password,
        lambda: _place(station_id, door_id, verb, wish),
        lambda error: _form(station_id, door_id, verb, wish, problem=error),
    )


def _place(station_id: str, door_id: str, verb: Verb, wish: Wish) -> AnyResponse:
    if not wish.reason or len(wish.reason) > LONGEST_REASON or not wish.reason.isprintable():
        raise Invalid(
            "reason: 1 to 200 printable signs", errors=[{"field": "reason", "problem": "missing or too long"}]
        )
    act = Act(
        station_id=station_id,
        door_id=door_id,
        verb=verb,
        reason=wish.reason,
        pulse_ms=context.web().hub.settings.orders.pulse_ms if verb == "unlock" else 0,
        duration_s=wish.duration_s if verb in TIMED else 0,
        confirm_unknown=wish.confirm_unknown,
    )
    placed = place(act)
    is_order = isinstance(placed, Command)
    where = (
        url_for("console.order", command_id=placed.id)
        if is_order
        else url_for("console.proposal", proposal_id=placed.id)
    )
    if not is_fragment():
        return redirect(where, code=HTTPStatus.SEE_OTHER)
    page = order_page(placed.id) if is_order else proposal_page(placed.id)
    response = make_response(page, HTTPStatus.ACCEPTED)
    response.headers["Location"] = where
    return response


def _door(station_id: str, door_id: str) -> tuple[StationView, Door]:
    view = stations.one(context.read(), station_id)
    for door in view.doors:
        if door.id == door_id:
            return view, door
    raise NotFound(f"station {station_id} has no door {door_id!r}"[:160])


def _form(
    station_id: str, door_id: str, verb: Verb, wish: Wish, *, problem: CallerError | None = None
) -> AnyResponse:
    view, door = _door(station_id, door_id)
    values: dict[str, Any] = {
        "view": view,
        "door": door,
        "verb": verb,
        "action": request.path,
        "wish": wish,
        "reasons": order_words.ACT_REASONS[verb],
        "durations": DURATIONS if verb in TIMED else (),
        "two_people": verb in context.web().hub.settings.orders.two_person,
        "ask_password": step_up.is_due(),
        "ask_confirmation": isinstance(problem, OutcomeUnknown) or wish.confirm_unknown,
        "problem": words(problem),
    }
    return make_response(
        render("act.html", "_act.html", **values), problem.status if problem else HTTPStatus.OK
    )


def words(problem: CallerError | None) -> str | None:
    """What a form says of a refusal."""
    if problem is None:
        return None
    if isinstance(problem, WrongPassword):
        return gettext("Wrong password.")
    return labels.error(problem.code)
