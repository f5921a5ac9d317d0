"""The demo's hub: its settings and secrets, its database, its administrator, and what its API says of the stations."""

import http.client
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cloud_hub import migrations
from cloud_hub.access import accounts, audit, passwords, tokens
from cloud_hub.db import make_engine, make_sessions, url_of, utc_now
from cloud_hub.demo.files import Table, toml, write_private
from cloud_hub.demo.layout import Layout
from cloud_hub.demo.ports import HOST
from cloud_hub.demo.stations import REGION, Simulated
from cloud_hub.models import ApiToken, LoginSession, Station, User
from cloud_hub.models.access import Role
from cloud_hub.settings import Hub, load_hub
from cloud_hub.stations import services
from firmware_config.signing import encode_public, load_private_key, new_private_key

ADMIN: Final = "admin"
ACTOR: Final = "demo"
BRIDGE_ACCOUNT: Final = "bridge"
_TOKENS: Final = "demo-"
_LIMIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class SignIn:
    """How the person at the terminal gets in. Fresh at every start."""

    username: str
    password: str
    api_token: str


def command_key(layout: Layout) -> str:
    """The hub's public command key, base64; the pair is made at the first start."""
    path = layout.hub_secret("command.key")
    key = load_private_key(path) if path.exists() else new_private_key(path)
    return encode_public(key.public_key())


def write_settings(
    layout: Layout,
    *,
    web_port: int,
    broker_port: int,
    broker_password: str,
    stage_url: str,
    database_url: str | None,
) -> Hub:
    """Write the hub's settings file and the secrets it names, and load it as the hub will."""
    if not (secret := layout.hub_secret("web.key")).exists():
        write_private(secret, secrets.token_hex(32) + "\n")
    if not (pass_key := layout.hub_secret("passes.key")).exists():
        new_private_key(pass_key)
    write_private(layout.hub_secret("broker.password"), broker_password + "\n")
    table: Table = {
        "schema": 1,
        "data_dir": "data",
        "stage_url": stage_url,
        "web": {
            "host": HOST,
            "port": web_port,
            "secret_key_file": "secrets/web.key",
            "threads": 64,
            "live_streams": 40,
            "secure_cookies": False,
        },
        "broker": {
            "host": HOST,
            "port": broker_port,
            "tls": False,
            "username": BRIDGE_ACCOUNT,
            "password_file": "secrets/broker.password",
        },
        "orders": {"command_key_file": "secrets/command.key"},
        "passes": {"key_file": "secrets/passes.key"},
    }
    where: Table = {} if database_url is None else {"database_url": database_url}
    # plain keys come before the tables
    write_private(layout.hub_config, toml({**where, **table}))
    return load_hub(layout.hub_config)


def prepare_database(hub: Hub) -> SignIn:
    """Bring the database to the newest schema and let the administrator in with a new password and token."""
    hub.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = make_engine(url_of(hub))
    try:
        migrations.upgrade(engine)
        with make_sessions(engine).begin() as session:
            password = _admin_password(session)
            return SignIn(ADMIN, password, _fresh_token(session))
    finally:
        engine.dispose()


def register_stations(hub: Hub, stations: Sequence[Simulated], public_keys: Mapping[str, str]) -> None:
    """Register the stations that the hub does not know yet, and learn the keys of those set up again."""
    engine = make_engine(url_of(hub))
    try:
        with make_sessions(engine).begin() as session:
            for station in stations:
                if (known := session.get(Station, station.id)) is not None:
                    known.public_key = public_keys[station.id]
                else:
                    services.register(
                        session,
                        station_id=station.id,
                        name=station.name,
                        region=REGION,
                        time_zone="Asia/Shanghai",
                        public_key=public_keys[station.id],
                        actor=ACTOR,
                        now=utc_now(),
                    )
    finally:
        engine.dispose()


def get(port: int, path: str, *, token: str | None = None) -> tuple[int, Any]:
    """Ask the hub. Returns the status and the document, or (0, None) when nobody answers."""
    link = http.client.HTTPConnection(HOST, port, timeout=_LIMIT_S)
    try:
        link.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        answer = link.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if "json" in (
            answer.headers.get_content_type()
        ) else text.decode()
    except (OSError, http.client.HTTPException, ValueError):
        return 0, None
    finally:
        link.close()


def online(port: int, token: str) -> set[str]:
    """Ids of the stations that the hub calls online."""
    status, document = get(port, "/api/v1/stations?limit=200", token=token)
    if status != http.HTTPStatus.OK:
        return set()
    return {item["id"] for item in document["items"] if item["presence"] == "online"}


def _admin_password(session: Session) -> str:
    """A new password for the administrator, who is made at the first start."""
    now = utc_now()
    user = session.scalar(select(User).where(User.username == ADMIN))
    if user is None:
        return accounts.create_user(session, username=ADMIN, role=Role.ADMINISTRATOR, now=now, actor=ACTOR)
    password = passwords.generate()
    user.password_hash = passwords.hash_password(password)
    user.disabled_at = None
    session.execute(
        update(LoginSession)
        .where(LoginSession.user_id == user.id, LoginSession.ended_at.is_(None))
        .values(ended_at=now)
    )
    audit.record(
        session, actor=ACTOR, action="user:password:reset", target=f"user:{ADMIN}", detail={}, now=now
    )
    return password


def _fresh_token(session: Session) -> str:
    """A new token; those of earlier starts end."""
    now = utc_now()
    session.execute(
        update(ApiToken)
        .where(ApiToken.name.startswith(_TOKENS), ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
    )
    name = f"{_TOKENS}{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    return tokens.create(session, name=name, role=Role.ADMINISTRATOR, now=now, actor=ACTOR)
