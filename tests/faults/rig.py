"""Every process of the system, really running on loopback: Mosquitto, bridge, web, simulated stations, each with a handle."""

import json
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import requests
from sqlalchemy import Engine, func, select

from cloud_hub import migrations
from cloud_hub.access import tokens
from cloud_hub.db import make_engine, make_sessions, utc_now
from cloud_hub.models import Command, Event, StationStatus
from cloud_hub.models.access import Role
from cloud_hub.stations.services import register
from firmware_config.signing import Signer, encode_public, new_private_key
from tests.faults.parts import Part, program
from tests.support.broker import MosquittoBroker, await_port
from tests.support.parts import free_port
from tests.support.station import wait_for

OPERATORS: Final = 24
"""Programs that order; the hub lets each order six times a minute."""

DOORS: Final = tuple(f"d{number}" for number in range(1, 9))
RELAY_PINS: Final = (9, 10, 11, 12, 13, 16, 17, 18)
CONTACT_PINS: Final = (4, 5, 6, 7, 8, 19, 20, 21)
EXIT_PINS: Final = (23, 26, 27)
EXITS: Final = DOORS[: len(EXIT_PINS)]
"""Doors with an exit button: a board has no more pins."""

PROFILE: Final = """\
schema = 1
title = "Eight doors"
board = "bench"
{doors}
[[sensors]]
name = "temperature"
kind = "simulated"
unit = "C"
low = 5.0
high = 38.0
period_s = 2
[fire]
pin = 24
active_low = false
[tamper]
pin = 25
active_low = false
[mains]
pin = 22
"""

STATION: Final = """\
schema = 1
station = "{station}"
name = "Test station"
data_dir = "data"
profile = "profile.toml"
signing_key_file = "station.pem"
[hub]
command_keys = [{{ public = "{hub_public}" }}]
[broker]
host = "127.0.0.1"
port = {port}
tls = {tls}
{secrets}
heartbeat_s = 0.5
{doors}
[face]
enabled = false
liveness = "off"
[occupancy]
capacity = 4
[storage]
ballast_mb = 1
"""

HUB: Final = """\
schema = 1
data_dir = "."
{database}
[web]
port = {port}
secret_key_file = "web.key"
threads = 16
live_streams = 4
secure_cookies = false
[broker]
host = "127.0.0.1"
port = {broker}
tls = false
username = "hub"
password_file = "broker.password"
[orders]
command_key_file = "command.key"
pulse_ms = 1000
[presence]
lease_s = {lease_s}
"""

PASSWORD: Final = "rig-secret"


def write_station(
    folder: Path, *, station: str, hub_public: str, port: int, doors: Sequence[str] = DOORS, tls: str = ""
) -> Signer:
    """A station file with many doors and no camera, so that it starts fast; its signer."""
    folder.mkdir(parents=True, exist_ok=True)
    exits = dict(zip(EXITS, EXIT_PINS, strict=True))
    wiring = "\n".join(
        f'[[doors]]\nid = "{door}"\nrelay = {{ pin = {relay} }}\ncontact = {{ pin = {contact}, active_low = false }}'
        + (f"\nexit = {{ pin = {exits[door]} }}" if door in exits else "")
        for door, relay, contact in zip(doors, RELAY_PINS, CONTACT_PINS, strict=False)
    )
    rules = "\n".join(f'[[doors]]\nid = "{door}"\nlock = "fail_secure"\nunlocked_s = 1.0' for door in doors)
    (folder / "profile.toml").write_text(PROFILE.format(doors=wiring), encoding="utf-8")
    (folder / "broker.password").write_text(PASSWORD + "\n", encoding="utf-8")
    words = STATION.format(
        station=station,
        hub_public=hub_public,
        port=port,
        tls="true" if tls else "false",
        secrets=tls or f'username = "{station}"\npassword_file = "broker.password"',
        doors=rules,
    )
    (folder / "station.toml").write_text(words, encoding="utf-8")
    return Signer(new_private_key(folder / "station.pem"))


class Station(Part):
    """A simulated agent, and the world around it."""

    def __init__(self, station: str, folder: Path) -> None:
        self.id = station
        self.folder = folder
        self.trace_file = folder / "trace.jsonl"
        self.control = folder / "c.sock"
        options = ("--simulate", "--synced", "--trace", self.trace_file, "--control", self.control)
        super().__init__(
            station,
            (program("station-agent"), "run", "--config", folder / "station.toml", *options),
            log=folder / "agent.log",
            ready=self.answers,
            cwd=folder,
        )

    def ask(self, *, timeout_s: float = 30.0, **order: Any) -> dict[str, Any]:
        """One order on the control socket, and its answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(timeout_s)
            line.connect(str(self.control))
            line.sendall(json.dumps(order).encode() + b"\n")
            with line.makefile("rb") as answers:
                text = answers.readline()
        if not text:
            raise ConnectionResetError(f"{self.id} ended before it answered")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def does(self, **order: Any) -> bool:
        """Move the world; False when the agent is dead, or could not promise that it will be told."""
        try:
            return bool(self.ask(**order)["ok"])
        except OSError:
            return False

    def answers(self) -> bool:
        return self.does(op="status")

    def edges(self) -> list[dict[str, Any]]:
        """All edges of all wires so far."""
        if not self.trace_file.exists():
            return []
        lines = self.trace_file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        # a killed agent may have left half a line
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    def levels(self) -> dict[str, int]:
        """The last edge of each wire."""
        return {edge["device"]: edge["value"] for edge in self.edges()}


class Mosquitto(Part):
    """The broker."""

    def __init__(self, folder: Path, users: dict[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = MosquittoBroker(folder=folder, port=free_port(), users=users)
        self.port = self._files.port
        self._files.start()  # writes passwords and settings
        assert self._files.process is not None
        command = self._files.process.args
        self._files.stop()
        assert isinstance(command, list)
        super().__init__("broker", command, log=folder / "broker.log", ready=self._listens, cwd=folder)

    def _listens(self) -> bool:
        try:
            await_port(self.port, within_s=0.05)
        except TimeoutError:
            return False
        return True


@dataclass
class Api:
    """The hub as operators and their programs see it."""

    port: int
    keys: list[str]
    turn: int = 0
    _lines: dict[str, requests.Session] = field(default_factory=dict)

    def call(self, method: str, path: str, **more: Any) -> requests.Response:
        """Ask, each time as the next operator."""
        self.turn += 1
        key = self.keys[self.turn % len(self.keys)]
        return requests.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            headers={"Authorization": f"Bearer {key}", "Connection": "close"},
            timeout=20,
            **more,
        )

    def serves(self) -> bool:
        try:
            return self.call("GET", "/healthz").status_code == HTTPStatus.OK
        except requests.RequestException:
            return False


class Rig:
    """A system of real processes in one folder."""

    def __init__(
        self, folder: Path, *, stations: int = 1, database_url: str | None = None, lease_s: float = 6.0
    ) -> None:
        self.folder = folder
        names = [f"st-rig{number:04d}" for number in range(1, stations + 1)]
        users = {"hub": PASSWORD, **dict.fromkeys(names, PASSWORD)}
        self.broker = Mosquitto(folder / "broker", users)
        hub = folder / "hub"
        hub.mkdir(parents=True)
        self.web_port = free_port()
        signer = self._write_hub(hub, database_url, lease_s)
        self.hub_folder = hub
        self.engine: Engine = make_engine(database_url or f"sqlite:///{hub / 'hub.db'}")
        migrations.upgrade(self.engine)
        self.sessions = make_sessions(self.engine)
        public = encode_public(signer.public)
        self.stations: list[Station] = []
        for name in names:
            own = write_station(folder / name, station=name, hub_public=public, port=self.broker.port)
            self.stations.append(Station(name, folder / name))
            self._register(name, own)
        self.api = Api(self.web_port, self._operators())
        config = ("--config", hub / "hub.toml")
        self.bridge = Part(
            "bridge",
            (program("cloud-hub"), "bridge", *config),
            log=hub / "bridge.log",
            ready=lambda: True,
            cwd=hub,
        )
        self.web = Part(
            "web", (program("cloud-hub"), "web", *config), log=hub / "web.log", ready=self.api.serves, cwd=hub
        )

    @property
    def parts(self) -> list[Part]:
        return [self.broker, self.bridge, self.web, *self.stations]

    def start(
        self,
        *,
        wraps: Mapping[str, Sequence[str]] | None = None,
        environments: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """All of it, until the hub hears every station.

        Args:
            wraps: commands that run a part, by its name.
            environments: of parts, by their names.
        """
        self.broker.start()
        for part in self.parts[1:]:
            part.launch(
                wrap=(wraps or {}).get(part.name, ()), environment=(environments or {}).get(part.name)
            )
        for part in self.parts[1:]:
            part.await_ready()
        self.await_online()

    def close(self) -> None:
        """Kill what runs."""
        for part in self.parts:
            part.kill()
        self.engine.dispose()

    def revive(self) -> list[str]:
        """Start again what is dead; the names of it."""
        dead = [part for part in self.parts if not part.alive]
        for part in dead:
            part.kill()
            part.launch()
        for part in dead:
            part.await_ready()
        return [part.name for part in dead]

    def online(self, station: Station) -> bool:
        """The hub has had a heartbeat of this run of the agent within the last two seconds."""
        with self.sessions() as session:
            status = session.get_one(StationStatus, station.id)
            seen = status.heartbeat_at
            return status.presence == "online" and seen is not None and (utc_now() - seen).total_seconds() < 2

    def await_online(self, within_s: float = 60.0) -> None:
        """Wait until the hub has heard every station from now on, so that an order can reach it."""
        now = utc_now()

        def look() -> bool:
            with self.sessions() as session:
                statuses = [session.get_one(StationStatus, station.id) for station in self.stations]
            heard = [status.heartbeat_at for status in statuses if status.presence == "online"]
            # one that lies ahead was dated by a hub clock that has been put back since
            return len(heard) == len(statuses) and all(
                at is not None and now < at <= utc_now() for at in heard
            )

        wait_for(look, within_s=within_s, what="every station heard")

    def commands(self) -> list[Command]:
        with self.sessions() as session:
            return list(session.scalars(select(Command).order_by(Command.requested_at)))

    def unsettled(self) -> list[str]:
        """Orders that are not over."""
        with self.sessions() as session:
            query = select(Command.id, Command.state).where(Command.final.is_(False))
            return [f"{row.id} {row.state}" for row in session.execute(query)]

    def count_events(self, station: str, kinds: Sequence[str]) -> dict[str, int]:
        """Events at the hub, by door."""
        with self.sessions() as session:
            rows = session.scalars(select(Event).where(Event.station_id == station, Event.kind.in_(kinds)))
            counts: dict[str, int] = {}
            for row in rows:
                door = str(row.data.get("door"))
                counts[door] = counts.get(door, 0) + 1
            return counts

    def gaps(self) -> list[str]:
        """Stores of which numbers are missing at the hub: alarms overtake the rest, so these may still be on their way."""
        counted = func.count(Event.id), func.max(Event.seq)
        with self.sessions() as session:
            rows = session.execute(
                select(Event.station_id, *counted).group_by(Event.station_id, Event.install_id)
            ).all()
        return [f"{station}: {count} of {last}" for station, count, last in rows if count != last]

    def total(self, table: type[Any]) -> int:
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def _write_hub(self, hub: Path, database_url: str | None, lease_s: float) -> Signer:
        (hub / "web.key").write_text(secrets.token_hex(32))
        (hub / "broker.password").write_text(PASSWORD + "\n")
        database = f'database_url = "{database_url}"' if database_url else ""
        words = HUB.format(port=self.web_port, broker=self.broker.port, database=database, lease_s=lease_s)
        (hub / "hub.toml").write_text(words, encoding="utf-8")
        return Signer(new_private_key(hub / "command.key"))

    def _register(self, name: str, signer: Signer) -> None:
        with self.sessions.begin() as session:
            register(
                session,
                station_id=name,
                name=name,
                region="",
                time_zone="Asia/Shanghai",
                public_key=encode_public(signer.public),
                actor="rig",
                now=utc_now(),
            )

    def _operators(self) -> list[str]:
        with self.sessions.begin() as session:
            return [
                tokens.create(session, name=f"op{number}", role=Role.OPERATOR, now=utc_now())
                for number in range(OPERATORS)
            ]


@contextmanager
def running(folder: Path, **how: Any) -> Iterator[Rig]:
    """A rig that is up, and gone at the end."""
    rig = Rig(folder, **how)
    try:
        rig.start()
        yield rig
    finally:
        rig.close()


def mono_offset_s() -> float:
    """Wall clock minus the clock of traces, on this machine, now."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def fresh(folder: Path) -> Path:
    """A new empty folder below ``folder``, with a short name: sockets live there."""
    path = folder / os.urandom(3).hex()
    path.mkdir(parents=True)
    return path
