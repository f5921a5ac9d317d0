"""Keeps other pages on this machine away from the kiosk, which opens a door: host, origin and size of every request.

The kiosk asks for no sign-in: whoever stands at the screen may use it, and what opens the door is a PIN, a pass or a face.
"""

from collections.abc import Callable
from typing import Final

from flask import Flask, Response, abort, request

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not "no-referrer": browsers would then send `Origin: null` with the form of the language switch
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
MOST_BYTES: Final = 4096
"""Of a request's body: a code, a number, two PINs."""

_SAFE: Final = frozenset({"GET", "HEAD"})


def register(app: Flask, port: Callable[[], int]) -> None:
    """Guard every route of the app, which is served at this port of the loopback address."""

    def admit() -> None:
        hosts = {f"127.0.0.1:{port()}", f"localhost:{port()}"}
        if request.host not in hosts:  # a name that an attacker points at us (DNS rebinding)
            abort(403)
        if request.method in _SAFE:
            return
        site = request.headers.get("Sec-Fetch-Site", "same-origin")
        if request.headers.get("Origin") != f"http://{request.host}" or site != "same-origin":
            abort(403)

    def seal(answer: Response) -> Response:
        answer.headers.update(HEADERS)
        return answer

    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.before_request(admit)
    app.after_request(seal)
