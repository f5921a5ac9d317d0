"""The hub's database for a test, on SQLite always and on a real PostgreSQL where there is one, and rows to begin with."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub import migrations
from cloud_hub.access import sessions as sign_ins
from cloud_hub.access.tokens import digest
from cloud_hub.commands import services
from cloud_hub.commands.acts import Act
from cloud_hub.commands.warrants import Warrant
from cloud_hub.db import make_engine, make_sessions
from cloud_hub.models import Command, Door, LoginSession, StationStatus, User
from cloud_hub.models.access import Role
from cloud_hub.models.station import Presence
from cloud_hub.settings import (
    BrokerSettings,
    Hub,
    HubSettings,
    OrderSettings,
    PassSettings,
    PresenceSettings,
    WebSettings,
)
from cloud_hub.stations.services import register
from firmware_config.signing import Signer, encode_public, new_private_key
from firmware_config.wire import Verb

START = datetime(2025, 11, 22, 13, 30, tzinfo=UTC)
STATION = "st-test0001"
INSTALL = "1" * 32
BOOT = "b" * 32
OPERATOR = "user:lin"

DATABASES = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty database of this test's own."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'hub.db'}"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A database with today's tables."""
    made = make_engine(database_url)
    migrations.upgrade(made)
    yield made
    made.dispose()


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)


@pytest.fixture
def session(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """One transaction, rolled back at the end unless the test commits."""
    with sessions() as opened:
        yield opened


def act_at(station: str, door: str, verb: Verb = "unlock", **more: Any) -> Act:
    """An act, with a reason; an unlock for 3 s, a mode for half an hour."""
    quantity = {
        "unlock": {"pulse_ms": 3_000},
        "hold_open": {"duration_s": 1_800},
        "lock_down": {"duration_s": 1_800},
    }
    given = {key: value for key, value in more.items() if value}
    values: dict[str, Any] = {"reason": "delivery", **quantity.get(verb, {}), **given}
    return Act(station_id=station, door_id=door, verb=verb, **values)


def warrant_of(session: Session, actor: str, *, now: datetime) -> Warrant:
    """As of somebody who has just signed in; a program, or a name without an account, has nothing but its name."""
    kind, _, name = actor.partition(":")
    user = session.query(User).filter_by(username=name).one_or_none() if kind == "user" else None
    if user is None:
        return Warrant(actor)
    raw = sign_ins.start(session, user=user, address="192.0.2.7", browser="test", now=now)
    session.flush()
    return Warrant(actor, session.get_one(LoginSession, digest(raw)).sign_in_id, now)


@dataclass
class World:
    """A hub with a station, its door and an operator, at a time that the test moves."""

    sessions: sessionmaker[Session]
    now: datetime = START
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def forward(self, **length: float) -> datetime:
        self.now += timedelta(**length)
        return self.now

    def add_station(self, station: str = STATION, *, door: str = "main", online: bool = True) -> None:
        with self.sessions.begin() as session:
            register(
                session,
                station_id=station,
                name="测试驿站",
                region="",
                time_zone="Asia/Shanghai",
                public_key=encode_public(self.key.public_key()),
                actor="test",
                now=self.now,
            )
        with self.sessions.begin() as session:
            session.add(
                Door(
                    station_id=station, id=door, lock_kind="fail_secure", state="locked", relay=False,
                    contact_open=False, reported_at=self.now,
                )
            )  # fmt: skip
            if online:
                self.hear(session, station)

    def hear(self, session: Session, station: str = STATION) -> None:
        """As after a heartbeat at this moment."""
        status = session.get(StationStatus, station)
        assert status is not None
        status.presence = Presence.ONLINE.value
        status.presence_since = status.heartbeat_at = self.now
        status.boot_id, status.conn_no, status.install_id = BOOT, 1, INSTALL

    def add_person(self, username: str = "lin", role: Role = Role.OPERATOR) -> None:
        with self.sessions.begin() as session:
            session.add(
                User(
                    username=username, password_hash="-", role=role.value, language=None,
                    created_at=self.now, disabled_at=None,
                )
            )  # fmt: skip

    def request(
        self,
        *,
        actor: str = OPERATOR,
        confirm_unknown: bool = False,
        door: str = "main",
        verb: Verb = "unlock",
        duration_s: int = 0,
    ) -> Command:
        """An order, committed."""
        act = act_at(STATION, door, verb, duration_s=duration_s, confirm_unknown=confirm_unknown)
        with self.sessions.begin() as session:
            return services.request(session, act, warrant_of(session, actor, now=self.now), now=self.now)


@pytest.fixture
def world(sessions: sessionmaker[Session]) -> World:
    made = World(sessions)
    made.add_station()
    made.add_person()
    return made


def make_hub(
    folder: Path, *, broker_port: int, database_url: str | None = None, **presence: float
) -> tuple[Hub, Signer]:
    """Settings of a hub in ``folder``, migrated, and the signer of its command key."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "web.key").write_text(os.urandom(32).hex())
    (folder / "broker.password").write_text("hub-secret\n")
    signer = Signer(new_private_key(folder / "command.key"))
    new_private_key(folder / "passes.key")
    hub = Hub(
        path=folder / "hub.toml",
        settings=HubSettings(
            schema=1,
            data_dir=Path(),
            database_url=database_url,
            web=WebSettings(secret_key_file=Path("web.key")),
            broker=BrokerSettings(
                host="127.0.0.1",
                port=broker_port,
                tls=False,
                username="hub",
                password_file=Path("broker.password"),
            ),
            orders=OrderSettings(command_key_file=Path("command.key")),
            presence=PresenceSettings(**presence),
            passes=PassSettings(key_file=Path("passes.key")),
        ),
    )
    migrations.upgrade(hub.database_url)
    return hub, signer
