"""Errors as answers: problem documents (RFC 9457) for programs, a designed page for people. Fail closed, say no more than needed."""

import logging
from http import HTTPStatus
from typing import Any, Final

from flask import Flask, Response, jsonify, redirect, render_template, request, url_for
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub.access.roles import LIVE_HEADER
from cloud_hub.errors import CallerError, Invalid, TooMany, Unauthenticated

MEDIA_TYPE: Final = "application/problem+json"
_FOR_PROGRAMS: Final = ("/api/", "/live", "/healthz", "/readyz", "/metrics")

log = logging.getLogger(__name__)


def document(status: int, code: str, detail: str, **extra: Any) -> Response:
    """A problem document."""
    answer = jsonify(
        {
            "type": f"urn:yizhan:problem:{code}",
            "title": code.replace("_", " ").capitalize(),
            "status": status,
            "detail": detail,
            "code": code,
            **extra,
        }
    )
    answer.status_code = status
    answer.mimetype = MEDIA_TYPE
    return answer


def page(status: int, code: str, detail: str, **extra: Any) -> Response:
    """The same for people; ``detail`` is English, so the page shows its own words for ``code``."""
    text = render_template("error.html", status=status, code=code, detail=detail, **extra)
    return Response(text, status=status)


def register(app: Flask) -> None:
    """Answer every kind of error of the app."""
    app.register_error_handler(CallerError, _caller_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(RecursionError, _too_deep)
    app.register_error_handler(Exception, _our_error)


def for_program() -> bool:
    """Whether a program asks, so that it gets a document."""
    return request.path.startswith(_FOR_PROGRAMS) or LIVE_HEADER in request.headers


def answer(status: int, code: str, detail: str, **extra: Any) -> Response:
    """Document or page, by who asks."""
    return document(status, code, detail, **extra) if for_program() else page(status, code, detail, **extra)


def _caller_error(error: CallerError) -> AnyResponse:
    if isinstance(error, Unauthenticated) and not for_program():
        here = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("session.sign_in", next=here), code=HTTPStatus.SEE_OTHER)
    response = answer(error.status, error.code, error.detail, **error.extra)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="yizhan"'
    if isinstance(error, TooMany) and "retry_after_s" in error.extra:
        response.headers["Retry-After"] = str(error.extra["retry_after_s"])
    return response


def _csrf_error(error: CSRFError) -> Response:
    return answer(HTTPStatus.BAD_REQUEST, "form_expired", str(error.description))


def _http_error(error: HTTPException) -> AnyResponse:
    if error.response is not None:
        return error.get_response()
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    response = answer(status, status.name.lower(), str(error.description or status.phrase))
    if "Allow" in (headers := dict(error.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _too_deep(_error: RecursionError) -> Response:
    refused = Invalid("body: nested too deeply", errors=[{"field": "body", "problem": "nested too deeply"}])
    return answer(refused.status, refused.code, refused.detail, **refused.extra)


def _our_error(error: Exception) -> Response:
    log.error(
        "web.request.failed", exc_info=error, extra={"endpoint": request.endpoint, "method": request.method}
    )
    return answer(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something failed on our side; it has been logged."
    )
