"""One hub and one station as real processes, with a bad network before each: agent, bridge, database, and a broker.

Orders are placed as a web worker does it: a row, then the bell. What the station did is read from the trace of its
wires, what the hub says of it from its database.
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import func, select

from cloud_hub.bell import BRIDGE, Ringer
from cloud_hub.commands import services
from cloud_hub.db import make_engine, make_sessions, utc_now
from cloud_hub.migrations import upgrade
from cloud_hub.models import Alert, Command, CommandStep, Event, StationStatus, User
from cloud_hub.settings import load_hub
from cloud_hub.stations.services import register
from firmware_config.signing import Signer, encode_public, new_private_key
from tests.faults.proxy import FaultProxy
from tests.support.agent import AgentProcess
from tests.support.broker import await_port, mosquitto_program
from tests.support.hub import act_at, warrant_of
from tests.support.parts import free_port
from tests.support.station import wait_for
from tests.support.stations import write_station

STATION: Final = "st-test0001"
STRANGER: Final = "stranger"
PASSWORDS: Final = {"hub": "hub-secret", STATION: "station-secret", STRANGER: "stranger-secret"}
DOORS: Final = tuple(f"d{number}" for number in range(1, 9))
"""As many as a profile may have: a door takes three orders a minute."""

PULSE_MS: Final = 500
_HUB: Final = Path(sys.executable).with_name("cloud-hub")

_PROFILE: Final = """\
schema = 1
title = "Eight doors"
board = "bench"
cameras = []
fire = { pin = 26, active_low = false }
tamper = { pin = 27, active_low = false }
mains = { pin = 25 }
"""

SENSORS: Final = 64
"""As many as a profile may have, each with a reading a second: more than a narrow line can carry."""

_SENSOR: Final = """\
[[sensors]]
name = "s{number}"
kind = "simulated"
unit = "C"
low = 0.0
high = 50.0
period_s = 1
"""

_HUB_FILE: Final = """\
schema = 1
data_dir = "data"
{database}
[web]
port = {web_port}
secret_key_file = "web.key"
secure_cookies = false

[broker]
host = "127.0.0.1"
port = {port}
tls = false
username = "hub"
password_file = "broker.password"

[orders]
command_key_file = "command.key"

[passes]
key_file = "passes.key"

[presence]
lease_s = {lease_s}
silent_alert_s = {silent_alert_s}
start_grace_s = {start_grace_s}
"""

_MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
set_tcp_nodelay true
max_inflight_messages 2000
persistence true
persistence_location {folder}/
autosave_interval 3600
"""


class Mosquitto:
    """The system's broker, with a file that remembers: the campaign puts an older one in its place."""

    def __init__(self, folder: Path, *, more: str = "") -> None:
        """Write its files; ``more`` is added to its configuration."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.memory = folder / "mosquitto.db"
        self._process: subprocess.Popen[bytes] | None = None
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        for name, password in PASSWORDS.items():
            subprocess.run(["mosquitto_passwd", "-b", passwords, name, password], check=True)
        user = "user root\n" if os.getuid() == 0 else ""
        settings = _MOSQUITTO.format(port=self.port, folder=folder)
        (folder / "mosquitto.conf").write_text(settings + user + more)

    def start(self) -> None:
        """Start, and wait until it listens."""
        program = mosquitto_program()
        assert program is not None, "no Mosquitto"
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", self.folder / "mosquitto.conf"], stdout=log, stderr=log
            )
        await_port(self.port)

    def signal(self, number: signal.Signals) -> None:
        """Stop it, let it go on, make it write its file."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As by a power cut."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)


class Bridge:
    """``cloud-hub bridge`` as a process."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start; whether it hears stations shows in their presence."""
        with (self._config.parent / "bridge.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_HUB, "bridge", "--config", self._config], stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """SIGTERM, or worse."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(30)


class Site:
    """Everything. ``with`` starts it, waits until the station is online, and ends it."""

    def __init__(
        self,
        folder: Path,
        broker_port: int,
        *,
        seed: int = 0,
        keepalive_s: int = 5,
        heartbeat_s: float = 0.5,
        lease_s: float = 3.0,
        silent_alert_s: float = 1.0,
        start_grace_s: float = 0.0,
        walk: bool = True,
    ) -> None:
        """Write all files and open the database.

        Args:
            folder: emptied first.
            broker_port: of a broker that runs already.
            seed: of both networks.
            keepalive_s: of the station's connections.
            heartbeat_s: between the station's heartbeats.
            lease_s: the hub calls a station offline after so long without one.
            silent_alert_s: and tells somebody after so long offline.
            start_grace_s: but not so soon after its own start.
            walk: somebody walks through every door that opens.
        """
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "hub" / "data").mkdir(parents=True)
        self.folder = folder
        self.walk = walk
        self.stack = ExitStack()
        self.station_line = FaultProxy(broker_port, mqtt=True, seed=seed)
        self.hub_line = FaultProxy(broker_port, mqtt=True, seed=seed + 1)
        self.signer = Signer(new_private_key(folder / "hub" / "command.key"))
        presence = {
            "lease_s": lease_s, "silent_alert_s": silent_alert_s, "start_grace_s": start_grace_s,
        }  # fmt: skip
        self.hub_config = self._write_hub(presence)
        self.hub = load_hub(self.hub_config)
        self._engine = make_engine(self.hub.database_url)
        upgrade(self._engine)
        self.sessions = make_sessions(self._engine)
        station_public = self._write_station(keepalive_s, heartbeat_s)
        self.bridge = Bridge(self.hub_config)
        self._doors = itertools.cycle(DOORS)
        self._register(station_public)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for line in (self.station_line, self.hub_line):
                stack.callback(line.close)
            stack.callback(self._engine.dispose)
            stack.callback(self.bridge.end)
            stack.callback(self.agent.stop)
            self.bridge.start()
            self.agent.start()
            self.await_presence("online", within_s=60)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _write_hub(self, presence: dict[str, float]) -> Path:
        home = self.folder / "hub"
        (home / "web.key").write_text(os.urandom(32).hex())
        (home / "broker.password").write_text(PASSWORDS["hub"] + "\n")
        new_private_key(home / "passes.key")
        config = home / "hub.toml"
        config.write_text(
            _HUB_FILE.format(port=self.hub_line.port, web_port=free_port(), database="", **presence)
        )
        return config

    def _write_station(self, keepalive_s: int, heartbeat_s: float) -> str:
        home = self.folder / "s"
        config, signer = write_station(
            home,
            station=STATION,
            hub_public=encode_public(self.signer.public),
            port=self.station_line.port,
            password=PASSWORDS[STATION],
        )
        wiring = "".join(
            f'[[doors]]\nid = "{door}"\nrelay = {{ pin = {relay} }}\ncontact = {{ pin = {contact}, active_low = false }}\n'
            for door, relay, contact in zip(
                DOORS, (9, 10, 11, 12, 13, 16, 17, 18), (4, 5, 6, 7, 8, 21, 22, 23), strict=True
            )
        )
        sensors = "".join(_SENSOR.format(number=number) for number in range(SENSORS))
        (home / "eight.toml").write_text(_PROFILE + wiring + sensors)
        rules = "".join(f'[[doors]]\nid = "{door}"\nlock = "fail_secure"\n' for door in DOORS)
        text = config.read_text()
        text = text.replace('profile = "bench-fake"', 'profile = "eight.toml"')
        text = text.replace('[[doors]]\nid = "main"\nlock = "fail_secure"\n', rules)
        text = text.replace("heartbeat_s = 0.5", f"heartbeat_s = {heartbeat_s}\nkeepalive_s = {keepalive_s}")
        text = text.replace('liveness = "off"', 'liveness = "off"\nenabled = false')
        config.write_text(text)
        self.agent = AgentProcess(config)
        return encode_public(signer.public)

    def _register(self, public: str) -> None:
        with self.sessions.begin() as session:
            register(
                session, station_id=STATION, name="Test station", region="", time_zone="Asia/Shanghai",
                public_key=public, actor="test", now=utc_now(),
            )  # fmt: skip

    def order(self, door: str | None = None, *, confirm_unknown: bool = False) -> str:
        """Order a door open, the next one unless one is named, by an operator nobody has seen before."""
        door = door or next(self._doors)
        if self.walk:
            self.agent.do(op="walk_through", door=door)
        with self.sessions.begin() as session:
            number = session.scalar(select(func.count()).select_from(User))
            session.add(
                User(
                    username=f"op{number}", password_hash="-", role="operator", language=None,
                    created_at=utc_now(), disabled_at=None,
                )
            )  # fmt: skip
            session.flush()
            act = act_at(STATION, door, pulse_ms=PULSE_MS, confirm_unknown=confirm_unknown)
            now = utc_now()
            warrant = warrant_of(session, f"user:op{number}", now=now)
            command = services.request(session, act, warrant, now=now)
        ringer = Ringer(self.hub.data_dir / "bells")
        ringer.ring(BRIDGE)
        ringer.close()
        return command.id

    def command(self, command_id: str) -> Command:
        """An order as it is now."""
        with self.sessions() as session:
            return session.get_one(Command, command_id)

    def await_command(
        self, command_id: str, wanted: Callable[[Command], bool], *, within_s: float
    ) -> Command:
        """Wait until an order is as wanted."""

        def look() -> Command | None:
            found = self.command(command_id)
            return found if wanted(found) else None

        found = wait_for(look, within_s=within_s, what=f"the end of order {command_id}")
        assert found is not None
        return found

    def await_final(self, command_id: str, *, within_s: float = 60.0) -> Command:
        """Wait for the last word."""
        return self.await_command(command_id, lambda command: command.final, within_s=within_s)

    def steps(self, command_id: str) -> list[CommandStep]:
        """An order's story."""
        with self.sessions() as session:
            query = select(CommandStep).where(CommandStep.command_id == command_id).order_by(CommandStep.id)
            return list(session.scalars(query))

    def status(self) -> StationStatus:
        """What the hub thinks of the station."""
        with self.sessions() as session:
            return session.get_one(StationStatus, STATION)

    def await_presence(self, presence: str, *, within_s: float = 60.0) -> float:
        """Wait until the hub says so; how long it took."""
        began_s = time.monotonic()
        wait_for(lambda: self.status().presence == presence, within_s=within_s, what=f"presence {presence}")
        return time.monotonic() - began_s

    def await_quiet(self, *, within_s: float = 60.0) -> None:
        """Wait until the station is online and the hub has everything that it has kept."""
        self.agent.do(op="status")

        def quiet() -> bool:
            status = self.status()
            return status.presence == "online" and status.backlog == 0

        self.await_presence("online", within_s=within_s)
        wait_for(quiet, within_s=within_s, what="an empty outbox")

    def edges(self, kind: str = "") -> list[tuple[float, str, int]]:
        """What the wires did: seconds of CLOCK_BOOTTIME, wire, level; of one kind of wire when it is named."""
        lines = self.agent.trace_file.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        # a killed agent may have left half a line
        rows = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]
        return [(row["t"], row["device"], row["value"]) for row in rows if row["device"].startswith(kind)]

    def rejected(self) -> dict[str, int]:
        """Refused payloads by reason, from the last heartbeat."""
        return dict(self.status().rejected)

    def events(self, kind: str | None = None) -> list[Event]:
        """Of the station, in the order of their numbers."""
        with self.sessions() as session:
            query = select(Event).where(Event.station_id == STATION).order_by(Event.seq)
            return list(session.scalars(query if kind is None else query.where(Event.kind == kind)))

    def alerts(self, kind: str) -> list[Alert]:
        """Open and closed."""
        with self.sessions() as session:
            return list(session.scalars(select(Alert).where(Alert.kind == kind)))

    def rows(self, table: type[Any]) -> list[Any]:
        """A whole table."""
        with self.sessions() as session:
            return list(session.scalars(select(table)))
