"""The web app: puts blueprints, guards and answers together. Only ``web_server`` and tests import this."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from flask import Flask
from flask_openapi3.openapi import OpenAPI
from flask_wtf.csrf import CSRFProtect
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub import context, headers, health, i18n, problems
from cloud_hub.access import roles
from cloud_hub.api import acts as api_acts
from cloud_hub.api import alerts as api_alerts
from cloud_hub.api import blueprint as api
from cloud_hub.api import commands as api_commands
from cloud_hub.api import consents as api_consents
from cloud_hub.api import enrolment_codes as api_enrolment_codes
from cloud_hub.api import events as api_events
from cloud_hub.api import groups as api_groups
from cloud_hub.api import passes as api_passes
from cloud_hub.api import people as api_people
from cloud_hub.api import proposals as api_proposals
from cloud_hub.api import reports as api_reports
from cloud_hub.api import stations as api_stations
from cloud_hub.api.schemas import Problem
from cloud_hub.bell import Ringer
from cloud_hub.console.views import (
    acts,
    alerts,
    events,
    groups,
    orders,
    overview,
    passes,
    people,
    proposals,
    reports,
    session,
    stations,
)
from cloud_hub.console.views import blueprint as console
from cloud_hub.context import Web
from cloud_hub.db import make_engine, make_sessions, url_of, utc_now
from cloud_hub.live import views as live
from cloud_hub.live.broadcaster import Broadcaster
from cloud_hub.settings import Hub

LARGEST_BODY: Final = 1024 * 1024
_SHORTEST_KEY: Final = 32
_CONSOLE: Final = Path(__file__).parent / "console"

PAGES: Final = (acts, alerts, events, groups, orders, overview, passes, people, proposals, reports, stations)
"""Modules whose views register themselves on the console's blueprint."""

RESOURCES: Final = (
    api_acts,
    api_alerts,
    api_commands,
    api_consents,
    api_enrolment_codes,
    api_events,
    api_groups,
    api_passes,
    api_people,
    api_proposals,
    api_reports,
    api_stations,
)
"""Modules whose views register themselves on the API's blueprint."""


def create_app(
    hub: Hub, *, sessions: sessionmaker[Session] | None = None, clock: Callable[[], datetime] = utc_now
) -> Flask:
    """The WSGI app.

    Args:
        hub: settings and the folder they are relative to.
        sessions: of another database than the settings name, for tests.
        clock: aware UTC now.
    """
    app = OpenAPI(
        __name__,
        info=api.INFO,
        security_schemes=api.SECURITY,
        doc_ui=False,
        validation_error_model=Problem,
        validation_error_callback=api.refuse,
        template_folder=str(_CONSOLE / "templates"),
        static_folder=str(_CONSOLE / "static"),
    )
    _configure(app, hub)
    writing = sessions or make_sessions(make_engine(url_of(hub)))
    bells = hub.data_dir / "bells"
    context.bind(
        app,
        Web(
            hub=hub,
            writing=writing,
            reading=context.reading_only(writing),
            clock=clock,
            ringer=Ringer(bells),
            broadcaster=Broadcaster(bells, limit=hub.settings.web.live_streams),
        ),
    )
    problems.register(app)
    headers.register(app, secure=hub.settings.web.secure_cookies)
    app.before_request(roles.guard)
    _protect(app)
    i18n.set_up(app, default=hub.settings.language)
    console.set_up(app)
    _fingerprint_static(app)
    app.register_api(api.api)
    for blueprint in (session.blueprint, console.console, live.blueprint, health.blueprint):
        app.register_blueprint(blueprint)
    app.wsgi_app = headers.LocalProxy(app.wsgi_app)  # type: ignore[method-assign]
    return app


def secret_key(hub: Hub) -> bytes:
    """What signs cookies and form tokens.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too short to be a secret.
    """
    path = hub.beside(hub.settings.web.secret_key_file)
    key = path.read_bytes().strip()
    if len(key) < _SHORTEST_KEY:
        message = f"{path}: shorter than {_SHORTEST_KEY} bytes"
        raise ValueError(message)
    return key


def _configure(app: Flask, hub: Hub) -> None:
    web = hub.settings.web
    app.config.update(
        SECRET_KEY=secret_key(hub),
        MAX_CONTENT_LENGTH=LARGEST_BODY,
        SEND_FILE_MAX_AGE_DEFAULT=86_400,
        SESSION_COOKIE_NAME="__Host-yizhan-form" if web.secure_cookies else "yizhan-form",
        SESSION_COOKIE_SECURE=web.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # it lives as long as the form cookie; a page stays open all night
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]


def _protect(app: Flask) -> None:
    """CSRF tokens on every POST of the console; the API takes no cookies, so it needs none."""
    CSRFProtect(app).exempt(api.api)
    app.view_functions["static"] = roles.public(identify=False)(app.view_functions["static"])


def _fingerprint_static(app: Flask) -> None:
    """Add the content's digest to addresses of static files, so that a browser never mixes two releases."""
    folder = Path(str(app.static_folder))
    digests = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        for path in folder.rglob("*")
        if path.is_file()
    }

    @app.url_defaults
    def fingerprint(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static" and (digest := digests.get(values.get("filename", ""))):
            values.setdefault("v", digest)
