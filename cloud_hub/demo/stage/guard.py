"""Keeps other web pages on this machine away from the stage, which can open (simulated) doors.

Whoever opens the stage needs the random key of its address once; a cookie holds it from then on. Requests that change
something must come from the stage's own page, and every request must name this very host (against DNS rebinding).
"""

import hmac
from typing import Final

from flask import Flask, Response, abort, make_response, redirect, request

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    # not "no-referrer": browsers would then send `Origin: null` with the form of the language switch
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
_SAFE: Final = frozenset({"GET", "HEAD"})


def register(app: Flask, *, key: str, port: int) -> None:
    """Guard every route of the app."""
    # Cookies are shared by all ports of a host, so the name tells whose this is.
    cookie = f"yizhan-stage-{port}"
    hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})

    def admit() -> Response | None:
        if request.host not in hosts:
            abort(403)
        given = request.args.get("key", "")
        if request.method == "GET" and request.path == "/" and _same(given, key):
            answer = make_response(redirect("/", code=303))
            answer.set_cookie(cookie, key, httponly=True, samesite="Strict", path="/")
            return answer
        if not _same(request.cookies.get(cookie, ""), key):
            abort(403)
        if request.method not in _SAFE and request.headers.get("Origin") != f"http://{request.host}":
            abort(403)
        return None

    def seal(answer: Response) -> Response:
        answer.headers.update(_HEADERS)
        return answer

    app.before_request(admit)
    app.after_request(seal)


def _same(given: str, key: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), key.encode())
