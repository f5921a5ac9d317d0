"""Signing in and out, and the language of the pages."""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from flask import Blueprint, make_response, redirect, render_template, request, session, url_for
from sqlalchemy import update
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context, i18n
from cloud_hub.access import accounts, audit, sessions
from cloud_hub.access.accounts import Visitor, WrongPassword
from cloud_hub.access.roles import principal, public, requires, signed_in
from cloud_hub.console import labels
from cloud_hub.errors import Invalid, TooMany
from cloud_hub.models import User
from cloud_hub.models.access import Role

blueprint = Blueprint("session", __name__)

_A_YEAR_S: Final = 365 * 86_400


@blueprint.get("/sign-in")
@public()
def sign_in() -> AnyResponse:
    """The form; whoever is signed in already goes on."""
    if principal() is not None:
        return redirect(_next(), code=HTTPStatus.SEE_OTHER)
    return make_response(render_template("sign_in.html", next=request.args.get("next", "")))


@blueprint.post("/sign-in")
@public()
def sign_in_now() -> AnyResponse:
    """Check name and password. A wrong one says neither which nor whether the account exists."""
    web = context.web()
    username = request.form.get("username", "").strip().casefold()[:200]
    try:
        raw, _ = accounts.sign_in(
            web.writing,
            username=username,
            password=request.form.get("password", ""),
            visitor=visitor(),
            now=context.now(),
        )
    except (WrongPassword, TooMany) as error:
        page = render_template(
            "sign_in.html",
            next=request.form.get("next", ""),
            username=username,
            problem=labels.error(error.code),
        )
        response = make_response(page, error.status)
        if isinstance(error, TooMany):
            response.headers["Retry-After"] = str(error.extra["retry_after_s"])
        return response
    session.clear()  # a new CSRF token as well
    response = make_response(redirect(_next(), code=HTTPStatus.SEE_OTHER))
    set_cookie(response, raw)
    return response


@blueprint.post("/sign-out")
@requires(Role.VIEWER)
def sign_out() -> AnyResponse:
    """End this browser's session on the server."""
    found = signed_in()
    if found.sign_in is not None:
        with context.write() as writing:
            sessions.end(writing, found.sign_in.row.id_hash, now=context.now())
            audit.record(
                writing,
                actor=found.actor,
                action="session:end:done",
                target=found.actor,
                detail={"address": request.remote_addr or ""},
                now=context.now(),
            )
    session.clear()
    response = make_response(redirect(url_for("session.sign_in"), code=HTTPStatus.SEE_OTHER))
    settings = context.web().hub.settings.web
    response.delete_cookie(
        sessions.cookie_name(secure=settings.secure_cookies),
        secure=settings.secure_cookies,
        httponly=True,
        samesite="Lax",
    )
    return response


@blueprint.post("/language")
@public()
def choose_language() -> AnyResponse:
    """Keep the choice in the browser and, when signed in, with the account."""
    choice = request.form.get("language", "")
    if choice not in i18n.LANGUAGES:
        raise Invalid("language: not offered", errors=[{"field": "language", "problem": "not offered"}])
    found = principal()
    if found is not None and found.sign_in is not None:
        with context.write() as writing:
            writing.execute(update(User).where(User.id == found.sign_in.user.id).values(language=choice))
    response = make_response(redirect(_next(), code=HTTPStatus.SEE_OTHER))
    secure = context.web().hub.settings.web.secure_cookies
    response.set_cookie(i18n.COOKIE, choice, max_age=_A_YEAR_S, secure=secure, httponly=True, samesite="Lax")
    return response


def visitor() -> Visitor:
    """Where this request comes from."""
    return Visitor(address=request.remote_addr or "", browser=request.headers.get("User-Agent", ""))


def set_cookie(response: AnyResponse, raw: str) -> None:
    """Give the browser its session; it ends with the browser, and on the server in any case."""
    secure = context.web().hub.settings.web.secure_cookies
    response.set_cookie(
        sessions.cookie_name(secure=secure), raw, secure=secure, httponly=True, samesite="Lax", path="/"
    )


def _next() -> str:
    """Where the visitor wanted to go: a path of this site, or the overview."""
    wanted = request.form.get("next") or request.args.get("next") or ""
    parts = urlsplit(wanted)
    local = wanted.startswith("/") and not wanted.startswith("//") and not parts.netloc and not parts.scheme
    return wanted if local and "\\" not in wanted and wanted.isprintable() else url_for("console.overview")
