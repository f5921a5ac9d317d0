"""What every answer tells the browser to refuse (safety.md W7), and which requests we refuse for where they come from (W2)."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from cloud_hub.errors import CallerError, Forbidden

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SOURCES: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "object-src": "'none'",
    "frame-ancestors": "'none'",
}
POLICY: Final = "; ".join(f"{directive} {sources}" for directive, sources in _SOURCES.items())
"""No inline script or style anywhere, so no nonce is needed."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_TRANSPORT: Final = "max-age=31536000; includeSubDomains"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Garbled(CallerError):  # noqa: N818 (read as an answer)
    """The address holds a sign that no text may hold."""

    code = "garbled"


def register(app: Flask, *, secure: bool) -> None:
    """Add the headers to every answer, and refuse state changes that another site's page started."""

    def add(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if secure:
            response.headers["Strict-Transport-Security"] = _TRANSPORT
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.after_request(add)
    app.before_request(_refuse_garbled)
    app.before_request(_refuse_other_sites)


def _refuse_garbled() -> None:
    values = [*(request.view_args or {}).values(), *request.args.values(), *request.form.values()]
    if any("\0" in str(value) for value in values):
        raise Garbled("a NUL character in the address or a field")


def _refuse_other_sites() -> None:
    """Besides the CSRF token: browsers say by themselves where a request comes from."""
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in {"same-origin", "none"}:
        raise Forbidden("this request was started by another site")
    origin = request.headers.get("Origin")
    if origin is not None and site is None and urlsplit(origin).netloc != request.host:
        raise Forbidden("this request was started by another site")


class LocalProxy:
    """Believes ``X-Forwarded-For`` and ``-Proto`` only from a proxy on this machine; anybody else could write them."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._plain = app
        self._proxied = ProxyFix(app, x_for=1, x_proto=1, x_host=0)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        near = environ.get("REMOTE_ADDR") in {"127.0.0.1", "::1"}
        chosen: Callable[..., Iterable[bytes]] = self._proxied if near else self._plain
        return chosen(environ, start_response)
