"""The stage's pages and its small JSON interface."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from flask import Flask, Response, jsonify, make_response, redirect, render_template, request

from cloud_hub.demo.control import ControlError
from cloud_hub.demo.stage import guard, texts
from cloud_hub.demo.stage.pictures import BYTES_LIMIT, PictureRefused
from cloud_hub.demo.stage.world import TEMPERATURE_C, Unknown, World
from cloud_hub.demo.stations import DOOR, Simulated
from cloud_hub.i18n import LANGUAGES

Answer = Response | tuple[Response, int]

REFUSALS: Final = {
    "too_many_bytes": "This file is larger than 10 MB.",
    "not_a_picture": "This file is not a JPEG or PNG picture.",
    "too_many_pixels": "This picture has more than 25 million pixels.",
    "too_small": "This picture is too small to show a face.",
}
NO_CONSENT: Final = "Please tick your consent first."
NO_FACE: Final = (
    "No usable face was found, or the station did not answer. Come closer, look at the camera, and try again."
)
ABSENT: Final = "The station does not answer: it has no power, or is just starting."


def create_stage(world: World, *, stations: Sequence[Simulated], key: str, port: int, hub_url: str) -> Flask:
    """The stage as a WSGI application."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = BYTES_LIMIT + 4096
    guard.register(app, key=key, port=port)
    _add_pages(app, stations, hub_url)
    _add_actions(app, world)
    _add_refusals(app)
    return app


def _add_pages(app: Flask, stations: Sequence[Simulated], hub_url: str) -> None:
    def page() -> str:
        shown = {text: texts.translate(text) for text in SCRIPT_TEXTS}
        return render_template(
            "stage.html",
            stations=stations,
            door=DOOR,
            hub_url=hub_url,
            t=texts.translate,
            script_texts=shown,
            language=texts.language(),
            languages=LANGUAGES,
            temperature=TEMPERATURE_C,
        )

    def choose_language() -> Answer:
        chosen = request.form.get("language", "")
        answer = make_response(redirect("/", code=303))
        if chosen in LANGUAGES:
            answer.set_cookie(texts.COOKIE, chosen, max_age=31_536_000, samesite="Strict", httponly=True)
        return answer

    app.add_url_rule("/", "page", page)
    app.add_url_rule("/language", "language", choose_language, methods=["POST"])


def _add_actions(app: Flask, world: World) -> None:
    def state() -> Answer:
        return jsonify(world.state())

    def frame(station_id: str) -> Answer:
        return Response(world.frame(station_id), mimetype="image/jpeg")

    def act(station_id: str) -> Answer:
        order = request.get_json(silent=True)
        if not isinstance(order, dict):
            return _refused("not_understood", 400)
        world.act(station_id, str(order.get("action")), order.get("value"))
        return jsonify(ok=True)

    def photo(station_id: str) -> Answer:
        world.show_photo(station_id, request.get_data(), live=request.args.get("live") == "1")
        return jsonify(ok=True)

    def enrol(station_id: str) -> Answer:
        if request.headers.get("X-Consent") != "given":
            return _refused(NO_CONSENT, 403)
        try:
            return jsonify(ok=True, templates=world.enrol_visitor(station_id, request.get_data()))
        except ControlError:
            return _refused(NO_FACE, 422)

    app.add_url_rule("/state", "state", state)
    app.add_url_rule("/stations/<station_id>/frame.jpg", "frame", frame)
    routes: tuple[tuple[str, Callable[[str], Answer]], ...] = (
        ("act", act),
        ("photo", photo),
        ("enrol", enrol),
    )
    for name, view in routes:
        app.add_url_rule(f"/stations/<station_id>/{name}", name, view, methods=["POST"])


def _add_refusals(app: Flask) -> None:
    app.register_error_handler(PictureRefused, lambda error: _refused(REFUSALS[error.code], 422))
    app.register_error_handler(ControlError, lambda _: _refused(ABSENT, 503))
    app.register_error_handler(Unknown, lambda _: _refused("not_found", 404))
    app.register_error_handler(413, lambda _: _refused(REFUSALS["too_many_bytes"], 413))


def _refused(text: str, status: int) -> tuple[Response, int]:
    body: dict[str, Any] = {"ok": False, "error": texts.translate(text)}
    return jsonify(body), status


SCRIPT_TEXTS: Final = (
    "online",
    "no network",
    "no power",
    "dark, back soon",
    "run by somebody else",
    "starting",
    "locked",
    "unlocked",
    "on its way out",
    "open",
    "open too long: warning",
    "held open",
    "forced",
    "fire, door closed",
    "fire, door open",
    "contact not trusted",
    "Not known here",
    "Not sure who this is",
    "One person at a time, please",
    "Please come closer",
    "Please look at the camera",
    "Too dark",
    "Too bright",
    "Please hold still",
    "Done.",
    "The camera of this browser cannot be used.",
    "You are enrolled. Now scan your face.",
    "Your face has been erased from this station.",
    "The demo has ended.",
    NO_CONSENT,
)
"""What the page's script shows."""
