"""The hub's web app in a folder of its own, with a clock held by the test and a browser that signs in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session, sessionmaker
from werkzeug.test import TestResponse

from cloud_hub import context, models
from cloud_hub.access import passwords, tokens
from cloud_hub.app import create_app
from cloud_hub.db import Base, make_engine, make_sessions
from cloud_hub.models.access import Role
from cloud_hub.settings import BrokerSettings, Hub, HubSettings, OrderSettings, WebSettings

START = datetime(2025, 11, 22, 13, 30, tzinfo=UTC)
PASSWORD = "lantern-at-the-door"

__all__ = ["PASSWORD", "START", "Office", "WallClock", "hub_in", "models", "open_office"]


@cache
def _hash() -> str:
    """Of ``PASSWORD``: worked out once, because it is meant to take long."""
    return passwords.hash_password(PASSWORD)


@dataclass
class WallClock:
    """Aware UTC that moves only when told to."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **length: float) -> None:
        self.now += timedelta(**length)


def hub_in(folder: Path, **changes: Any) -> Hub:
    """Settings of a hub whose files all lie in ``folder``; ``changes`` go to ``[web]``, but for the four of the hub itself."""
    top = {
        key: changes.pop(key) for key in ("database_url", "stage_url", "language", "passes") if key in changes
    }
    two_person = frozenset(changes.pop("two_person", ()))
    (folder / "secret").write_bytes(b"k" * 48)
    (folder / "command.key").write_bytes(b"never read by the web process")
    web: dict[str, Any] = {
        "secret_key_file": Path("secret"),
        "secure_cookies": False,
        "threads": 32,
        **changes,
    }
    return Hub(
        path=folder / "hub.toml",
        settings=HubSettings(
            schema=1,
            data_dir=folder,
            web=WebSettings(**web),
            broker=BrokerSettings(host="127.0.0.1", port=1883, tls=False),
            orders=OrderSettings(command_key_file=Path("command.key"), two_person=two_person),
            **top,
        ),
    )


@dataclass
class Records:
    """A hub's database, and the clock that dates what is written to it."""

    hub: Hub
    sessions: sessionmaker[Session]
    clock: WallClock

    def person(self, username: str = "lin", role: Role = Role.OPERATOR) -> None:
        """Make sure that somebody has an account."""
        with self.sessions.begin() as session:
            if not session.query(models.User).filter_by(username=username).count():
                session.add(
                    models.User(
                        username=username,
                        password_hash=_hash(),
                        role=role.value,
                        language=None,
                        created_at=self.clock(),
                        disabled_at=None,
                    )
                )

    def clear(self) -> None:
        """Forget every row."""
        with self.sessions.begin() as session:
            for table in reversed(Base.metadata.sorted_tables):
                session.execute(table.delete())

    def token(
        self, role: Role = Role.OPERATOR, name: str = "program", owner: str | None = None
    ) -> dict[str, str]:
        """Headers of a program with this role."""
        with self.sessions.begin() as session:
            secret = tokens.create(session, name=name, role=role, now=self.clock(), owner=owner)
            return {"Authorization": f"Bearer {secret}"}

    def add(self, *rows: object) -> None:
        """Write rows as the bridge would."""
        with self.sessions.begin() as session:
            for row in rows:
                session.add(row)
                session.flush()


@dataclass
class Office(Records):
    """The app in front of it as well."""

    app: Flask

    def browser(self) -> "Browser":
        """A browser that has signed in nowhere yet."""
        return Browser(self.app.test_client(), self)

    def signed_in(self, username: str = "lin", role: Role = Role.OPERATOR) -> "Browser":
        """A browser of a person with this role, made if need be."""
        self.person(username, role)
        browser = self.browser()
        assert browser.sign_in(username).status_code == 303
        return browser


class Browser:
    """Posts with the form's own CSRF token, as a browser does."""

    def __init__(self, client: FlaskClient, office: Office) -> None:
        self.client = client
        self.office = office

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.client.get(path, buffered=True, **options)

    def post(self, path: str, *, form_at: str = "/sign-in", **fields: str) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.csrf(form_at), **fields})

    def csrf(self, form_at: str = "/sign-in") -> str:
        """The token in the form of a page."""
        page = self.client.get(form_at, follow_redirects=True).text
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found is not None, page
        return found[1]

    def sign_in(self, username: str = "lin", password: str = PASSWORD, **fields: str) -> TestResponse:
        return self.post("/sign-in", username=username, password=password, **fields)

    def cookie(self, name: str = "yizhan") -> str | None:
        found = self.client.get_cookie(name)
        return None if found is None else found.value


@contextmanager
def open_office(folder: Path, **changes: Any) -> Iterator[Office]:
    """A hub with an empty database of today's tables."""
    hub = hub_in(folder, **changes)
    engine = make_engine(hub.database_url)
    Base.metadata.create_all(engine)
    sessions, clock = make_sessions(engine), WallClock()
    app = create_app(hub, sessions=sessions, clock=clock)
    app.testing = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield Office(app=app, hub=hub, sessions=sessions, clock=clock)
    app.extensions[context.KEY].close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A hub of this test's own."""
    with open_office(tmp_path) as opened:
        yield opened
