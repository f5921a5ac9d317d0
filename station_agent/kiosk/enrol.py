"""Enrolment, choice of a PIN, and withdrawal on the screen: what the session says, and what the person answers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from flask import Flask, Response, abort, jsonify

from station_agent import i18n
from station_agent.kiosk.desk import Prompt
from station_agent.kiosk.form import fields, language
from station_agent.kiosk.pin_choice import PinChoice
from station_agent.kiosk.showing import prompt, reason_text
from station_agent.texts import mark

if TYPE_CHECKING:
    from station_agent.people.enrolling import Enrolling

Say: TypeAlias = Callable[[dict[str, Any]], bool]

LONGEST: Final = 64
"""Characters of anything that is typed."""

RECEIPT: Final[dict[str, str]] = {
    "person": mark("Your id"),
    "station": mark("Station"),
    "at": mark("Time"),
    "notice": mark("Version of the notice"),
    "engine": mark("Face engine"),
    "root": mark("Fingerprint of all templates"),
    "request_id": mark("Number of this deletion"),
}
"""The parts of a receipt that are shown, in this order; the rest goes to the hub."""

SHOWN_CHARACTERS: Final = 24


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the screens need.

    Attributes:
        door: before whose camera.
    """

    door: str
    sessions: "Enrolling"
    pins: PinChoice


def view(enrolment: Enrolment, language: str, zone: ZoneInfo) -> dict[str, Any]:
    """What the page is told of the session under way; times are the station's."""
    now = enrolment.sessions.state()
    told = None if now.prompt is None else prompt(Prompt(now.prompt, ""), language)
    receipt = dict(now.receipt or {})
    if "at" in receipt:
        receipt["at"] = f"{datetime.fromisoformat(receipt['at']).astimezone(zone):%Y-%m-%d %H:%M:%S}"
    return {
        "stage": now.stage.value,
        "purpose": now.purpose,
        "session": now.session,
        "prompt": told,
        "progress": now.progress,
        "wanted": now.wanted,
        "reason": None if now.reason is None else reason_text(now.reason, language),
        "receipt": [
            [i18n.translate(label, language), receipt[key][:SHOWN_CHARACTERS]]
            for key, label in RECEIPT.items()
            if key in receipt
        ],
    }


def register(app: Flask, enrolment: Enrolment) -> None:
    """Add the answers a person can give."""
    _add_beginnings(app, enrolment)
    _add_answers(app, enrolment)
    _add_pins(app, enrolment.pins)


def _add_beginnings(app: Flask, enrolment: Enrolment) -> None:
    sessions, door = enrolment.sessions, enrolment.door

    def begun(*, ok: bool) -> Response:
        """The session is the one under way now: whoever began second was told no."""
        return jsonify(ok=ok, session=sessions.state().session if ok else "", **_busy(ok=ok))

    def begin() -> Response:
        typed = texts(code=str)
        return begun(ok=sessions.begin(typed["code"], door=door))

    def withdraw_by_code() -> Response:
        return begun(ok=sessions.withdraw_by_code(texts(code=str)["code"], door=door))

    def withdraw_by_pin() -> Response:
        typed = texts(number=str, pin=str)
        return begun(ok=sessions.withdraw_by_pin(typed["number"], typed["pin"], door=door))

    def withdraw_by_face() -> Response:
        fields()
        return begun(ok=sessions.withdraw_by_face(door=door))

    for path, answer in (
        ("/enrol/begin", begin),
        ("/withdraw/code", withdraw_by_code),
        ("/withdraw/pin", withdraw_by_pin),
        ("/withdraw/face", withdraw_by_face),
    ):
        app.add_url_rule(path, path, answer, methods=["POST"])


def _add_answers(app: Flask, enrolment: Enrolment) -> None:
    sessions = enrolment.sessions
    answers: dict[str, tuple[dict[str, type], Say]] = {
        "read": ({"notice": int}, lambda said: sessions.read(said["session"], notice=said["notice"])),
        "agree": ({"notice": int}, lambda said: sessions.agree(said["session"], notice=said["notice"])),
        "replication": (
            {"yes": bool},
            lambda said: sessions.answer_replication(said["session"], yes=said["yes"]),
        ),
        "age": (
            {"fourteen": bool},
            lambda said: sessions.answer_age(said["session"], fourteen_or_older=said["fourteen"]),
        ),
        "cancel": ({}, lambda said: sessions.cancel(said["session"])),
    }

    def answer(name: str) -> Response:
        if name not in answers:
            abort(404)
        kinds, say = answers[name]
        return jsonify(ok=say(texts(session=str, **kinds)))

    app.add_url_rule("/enrol/answer/<name>", "enrol_answer", answer, methods=["POST"])


def _add_pins(app: Flask, pins: PinChoice) -> None:
    def begin() -> Response:
        session = texts(session=str)["session"]
        ok = pins.begin(session)
        return jsonify(ok=ok, number=pins.number(session))

    def choose() -> Response:
        said = texts(session=str, pin=str, duress=str)
        reason = pins.choose(said["session"], said["pin"], duress=said["duress"] or None)
        return jsonify(ok=reason is None, text=reason_text(reason, language()) if reason else "")

    def leave() -> Response:
        pins.leave(texts(session=str)["session"])
        return jsonify(ok=True)

    app.add_url_rule("/pin/begin", "pin_begin", begin, methods=["POST"])
    app.add_url_rule("/pin/choose", "pin_choose", choose, methods=["POST"])
    app.add_url_rule("/pin/leave", "pin_leave", leave, methods=["POST"])


def texts(**kinds: type) -> dict[str, Any]:
    """As ``fields``, and no text is longer than ``LONGEST``."""
    said = fields(**kinds)
    if any(isinstance(value, str) and len(value) > LONGEST for value in said.values()):
        abort(400)
    return said


def _busy(*, ok: bool) -> dict[str, str]:
    if ok:
        return {}
    return {"text": i18n.translate(BUSY, language())}


BUSY: Final = mark("Somebody else is just registering or deleting. Please wait a moment.")
