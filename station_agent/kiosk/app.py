"""The kiosk as a WSGI application: one page, its state by long polling, and what people press."""

import threading
import time
from typing import Any, Final, TypeAlias

from flask import Flask, Response, abort, jsonify, make_response, redirect, render_template, request

from firmware_config.catalogues import HTML_CODES, LANGUAGES
from firmware_config.station import StationConfig
from station_agent import i18n
from station_agent.kiosk import enrol, guard, notice
from station_agent.kiosk.desk import BusyError, Desk
from station_agent.kiosk.form import COOKIE, fields, language
from station_agent.kiosk.showing import document, refusal_text
from station_agent.kiosk.voice import Voice
from station_agent.kiosk.words import DOOR, IN_MODE, SCRIPT, SILENT, WELCOME_WITHOUT_FACE
from station_agent.texts import TEXTS

Answer: TypeAlias = Response | tuple[Response, int]

WAIT_S: Final = 20.0
"""How long an unchanged state is waited on before it is told again."""

LOOK_S: Final = 0.1
MOST_WAITING: Final = 4
"""Pages that wait at once; any more are answered at once and ask again a second later."""

LONGEST_DIGITS: Final = 8
SPOKEN: Final = frozenset(
    {
        *TEXTS.values(),
        *(saying.text for saying in (*DOOR.values(), *IN_MODE.values(), SILENT, WELCOME_WITHOUT_FACE)),
    }
)
"""Sentences that may be spoken; nobody can make the voice say anything else."""


class Kiosk:
    """Everything the views share.

    Attributes:
        closing: set when the agent ends, so that nobody waits any longer.
        port: set once it is known.
    """

    def __init__(
        self, config: StationConfig, *, desk: Desk, enrolment: enrol.Enrolment | None, voice: Voice
    ) -> None:
        self.config = config
        self.desk = desk
        self.enrolment = enrolment
        self.voice = voice
        self.closing = threading.Event()
        self.port = 0
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def now(self, language: str) -> dict[str, Any]:
        """What the page is to show now."""
        session = (
            enrol.view(self.enrolment, language, self.config.zone) if self.enrolment else {"stage": "off"}
        )
        config = self.config
        return document(self.desk.look(), language, zone=config.zone, face=config.face.enabled, enrol=session)

    def refusal(self, code: str, language: str) -> str:
        """Why the door stays shut, as people read it."""
        return refusal_text(self.desk.look(), code, language, self.config.zone)

    def next(self, language: str, *, after: str) -> dict[str, Any]:
        """The same, once it differs from what the page shows already, or after ``WAIT_S``."""
        shown = self.now(language)
        if not self._waiting.acquire(blocking=False):
            return {**shown, "crowded": True}
        try:
            until_s = time.monotonic() + WAIT_S
            while shown["version"] == after and time.monotonic() < until_s:
                if self.closing.wait(LOOK_S):
                    break
                shown = self.now(language)
            return shown
        finally:
            self._waiting.release()


def create_app(kiosk: Kiosk) -> Flask:
    """The application of one kiosk."""
    app = Flask(__name__)
    guard.register(app, lambda: kiosk.port)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    _add_page(app, kiosk)
    _add_state(app, kiosk)
    _add_actions(app, kiosk)
    if kiosk.enrolment is not None:
        enrol.register(app, kiosk.enrolment)
    return app


def _add_page(app: Flask, kiosk: Kiosk) -> None:
    def page() -> str:
        spoken = language()
        config = kiosk.config
        return render_template(
            "kiosk.html",
            _=lambda text, **values: i18n.translate(text, spoken, **values),
            station=config.name,
            phone=config.kiosk.phone,
            face=config.face.enabled and kiosk.enrolment is not None,
            enrols=kiosk.enrolment is not None,
            voice=kiosk.voice.available,
            notice=notice.paragraphs(config, spoken),
            notice_version=notice.NOTICE_VERSION,
            script={key: i18n.translate(text, spoken) for key, text in SCRIPT.items()},
            lang=HTML_CODES[spoken],
            language=spoken,
            default=i18n.DEFAULT,
            languages=LANGUAGES,
        )

    def choose_language() -> Answer:
        chosen = request.form.get("language", "")
        if chosen not in LANGUAGES:
            abort(400)
        answer = make_response(redirect("/", code=303))
        answer.set_cookie(COOKIE, chosen, max_age=3600, samesite="Strict", httponly=True)
        return answer

    app.add_url_rule("/", "page", page)
    app.add_url_rule("/language", "language", choose_language, methods=["POST"])


def _add_state(app: Flask, kiosk: Kiosk) -> None:
    def state() -> Answer:
        return jsonify(kiosk.next(language(), after=request.args.get("after", "")))

    def speech() -> Answer:
        text = request.args.get("text", "")
        if text not in SPOKEN:
            abort(404)
        sound = kiosk.voice.wav(i18n.translate(text, language()), language())
        if sound is None:
            abort(404)
        return Response(sound, mimetype="audio/wav")

    app.add_url_rule("/state", "state", state)
    app.add_url_rule("/speech.wav", "speech", speech)


def _add_actions(app: Flask, kiosk: Kiosk) -> None:
    def pin() -> Answer:
        typed = fields(number=str, pin=str)
        if not all(0 < len(text) <= LONGEST_DIGITS for text in typed.values()):
            abort(400)
        try:
            answer = kiosk.desk.type_pin(typed["number"], typed["pin"])
        except BusyError:
            return jsonify(ok=False, reason="busy", text=i18n.translate(SCRIPT["busy"], language())), 409
        if answer.reason is None:
            return jsonify(ok=True, text=i18n.translate(SCRIPT["opened"], language()))
        wait_s = None if answer.wait_s in {None, float("inf")} else round(answer.wait_s or 0)
        return jsonify(
            ok=False, reason=answer.reason, text=kiosk.refusal(answer.reason, language()), wait_s=wait_s
        )

    def touch() -> Answer:
        try:
            reason = kiosk.desk.touch()
        except BusyError:
            return jsonify(
                ok=False, reason="busy", text=i18n.translate(SCRIPT["touch_failed"], language())
            ), 409
        if reason is None:
            return jsonify(ok=True, text=i18n.translate(SCRIPT["opened"], language()))
        return jsonify(ok=False, reason=reason, text=kiosk.refusal(reason, language()))

    def help_me() -> Answer:
        called = kiosk.desk.call_help()
        code = "help_failed"
        if called.recorded:
            code = "help_recorded" if called.connected else "help_waiting"
        return jsonify(ok=called.recorded, code=code, text=i18n.translate(SCRIPT[code], language()))

    app.add_url_rule("/pin", "pin", pin, methods=["POST"])
    app.add_url_rule("/touch", "touch", touch, methods=["POST"])
    app.add_url_rule("/help", "help", help_me, methods=["POST"])
