"""What a request to the kiosk carries: its language and its fields."""

from typing import Any, Final

from flask import abort, request

from firmware_config.catalogues import LANGUAGES
from station_agent import i18n

COOKIE: Final = "yizhan-kiosk-language"


def language() -> str:
    """Of this request: what the person chose, else Chinese."""
    chosen = request.cookies.get(COOKIE, i18n.DEFAULT)
    return chosen if chosen in LANGUAGES else i18n.DEFAULT


def fields(**kinds: type) -> dict[str, Any]:
    """The request's JSON object with exactly these fields, of exactly these types; anything else is a bad request."""
    try:
        body = request.get_json(silent=True)
    except RecursionError:  # 2,000 brackets
        abort(400)
    if not isinstance(body, dict) or set(body) != set(kinds):
        abort(400)
    for name, kind in kinds.items():
        if type(body[name]) is not kind:
            abort(400)
    return body
