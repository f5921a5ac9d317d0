"""A hub for a benchmark: Mosquitto, a database that flushes to disk, web and bridge as processes of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub import migrations
from cloud_hub.access import tokens
from cloud_hub.db import make_engine, make_sessions, utc_now
from cloud_hub.models.access import Role
from cloud_hub.stations.services import register
from firmware_config.signing import encode_public, new_private_key
from tests.support.broker import MosquittoBroker, await_port
from tests.support.parts import free_port
from tests.support.postgres import open_server

DATABASES: Final = ("sqlite", "postgres")
PASSWORD: Final = "station-secret"
HUB_PASSWORD: Final = "hub-secret"
SETTINGS: Final = """\
schema = 1
data_dir = "data"
{database}
[web]
port = {web_port}
secret_key_file = "web.key"
threads = 32
live_streams = 8
secure_cookies = false

[broker]
host = "127.0.0.1"
port = {broker_port}
tls = false
username = "hub"
password_file = "broker.password"

[orders]
command_key_file = "command.key"

[passes]
key_file = "passes.key"
"""


@dataclass
class BenchHub:
    """A running hub, and what a benchmark needs of it.

    Attributes:
        command_key: public, base64, as station files want it.
        processes: web and bridge by name.
    """

    folder: Path
    broker: MosquittoBroker
    database_url: str
    command_key: str
    web_port: int
    sessions: sessionmaker[Session]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "hub.toml"

    @property
    def api(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.web_port}/api/v1"

    def register(self, stations: dict[str, str]) -> None:
        """Make stations known, by id their public keys."""
        with self.sessions.begin() as session:
            for station_id, public_key in stations.items():
                register(
                    session,
                    station_id=station_id,
                    name=station_id,
                    region="",
                    time_zone="Asia/Shanghai",
                    public_key=public_key,
                    actor="bench",
                    now=utc_now(),
                )

    def operators(self, count: int) -> list[str]:
        """Tokens of as many operators."""
        with self.sessions.begin() as session:
            return [
                tokens.create(session, name=f"operator-{number}", role=Role.OPERATOR, now=utc_now())
                for number in range(count)
            ]

    def start(self, *parts: str) -> None:
        """Start ``bridge`` or ``web``, and wait for the web."""
        for part in parts:
            with (self.folder / f"{part}.log").open("ab") as log:
                self.processes[part] = subprocess.Popen(
                    [sys.executable, "-m", "cloud_hub.cli", part, "--config", self.config],
                    stdout=log,
                    stderr=log,
                )
        if "web" in parts:
            await_port(self.web_port, within_s=60)
            requests.get(f"http://127.0.0.1:{self.web_port}/healthz", timeout=30)

    def stop(self) -> None:
        """Stop what runs; every part must end by itself."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)
        self.processes.clear()


@contextmanager
def bench_hub(folder: Path, *, database: str, stations: Sequence[str]) -> Iterator[BenchHub]:
    """A hub whose database survives a power cut, not yet started, for stations with these ids."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        broker_folder = folder / "broker"
        broker_folder.mkdir()
        users = {"hub": HUB_PASSWORD, "probe": HUB_PASSWORD, **dict.fromkeys(stations, PASSWORD)}
        broker = MosquittoBroker(folder=broker_folder, port=free_port(), users=users)
        broker.start()
        stack.callback(broker.stop)
        url = f"sqlite:///{folder / 'data' / 'hub.db'}"
        if database == "postgres":
            url = stack.enter_context(open_server(durable=True)).url("postgres")
        web_port = free_port()
        (folder / "data").mkdir()
        (folder / "web.key").write_text(os.urandom(32).hex())
        (folder / "broker.password").write_text(f"{HUB_PASSWORD}\n")
        command_key = encode_public(new_private_key(folder / "command.key").public_key())
        new_private_key(folder / "passes.key")
        (folder / "hub.toml").write_text(
            SETTINGS.format(
                database=f'database_url = "{url}"' if database == "postgres" else "",
                web_port=web_port,
                broker_port=broker.port,
            ),
            encoding="utf-8",
        )
        engine = make_engine(url)
        stack.callback(engine.dispose)
        migrations.upgrade(engine)
        hub = BenchHub(folder, broker, url, command_key, web_port, make_sessions(engine))
        stack.callback(hub.stop)
        yield hub


def until(look: Callable[[], object], what: str, *, within_s: float = 60.0) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: it does not in time.
    """
    deadline_s = time.monotonic() + within_s
    while not look():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        time.sleep(0.02)
