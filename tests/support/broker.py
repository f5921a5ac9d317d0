"""A real broker on a free loopback port: the embedded iotcore, or the system's Mosquitto."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import iotcore
import pytest

from tests.support.parts import free_port

IOTCORE = """\
id = 0
[router]
id = 0
max_connections = 10010
max_outgoing_packet_count = 2000
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 2000
dynamic_filters = true
[v5.1.connections.auth]
{users}
"""

MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwords
set_tcp_nodelay true
max_inflight_messages 2000
persistence false
"""


def await_port(port: int, *, within_s: float = 20.0) -> None:
    """Wait until something listens.

    Raises:
        TimeoutError: nothing does in time.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on port {port}")


class Broker(Protocol):
    """A broker that a test can stop and start again on the same port."""

    port: int

    def start(self) -> None:
        """Start and wait until it listens."""

    def stop(self) -> None:
        """Stop; connections are cut."""


@dataclass
class IotcoreBroker:
    """rumqttd in a child process."""

    folder: Path
    port: int
    users: dict[str, str]
    running: Any = None

    def start(self) -> None:
        config = self.folder / "iotcore.toml"
        users = "\n".join(f'{name} = "{password}"' for name, password in self.users.items())
        config.write_text(IOTCORE.format(port=self.port, users=users), encoding="utf-8")
        self.running = iotcore.Broker(config_path=str(config))
        self.running.start()
        await_port(self.port)

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None


@dataclass
class MosquittoBroker:
    """The system's Mosquitto."""

    folder: Path
    port: int
    users: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        passwords = self.folder / "passwords"
        passwords.touch(mode=0o600)
        for name, password in self.users.items():
            subprocess.run(["mosquitto_passwd", "-b", passwords, name, password], check=True)
        config = self.folder / "mosquitto.conf"
        # started by root it would become another user, who cannot read the test's folder
        user = "user root\n" if os.getuid() == 0 else ""
        config.write_text(MOSQUITTO.format(port=self.port, folder=self.folder) + user, encoding="utf-8")
        program = mosquitto_program()
        assert program is not None
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([program, "-c", config], stdout=log, stderr=log)
        await_port(self.port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


def mosquitto_program() -> str | None:
    """Debian puts it where only root looks."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


MakeBroker = Callable[[dict[str, str]], Broker]
"""Starts a broker for these users and passwords."""


@contextmanager
def brokers(kind: str, folder: Path) -> Iterator[MakeBroker]:
    """Give a maker of started brokers, all stopped at the end."""
    made: list[Broker] = []

    def make(users: dict[str, str]) -> Broker:
        home = folder / f"broker{len(made)}"
        home.mkdir()
        broker: Broker
        if kind == "mosquitto":
            broker = MosquittoBroker(folder=home, port=free_port(), users=users)
        else:
            broker = IotcoreBroker(folder=home, port=free_port(), users=users)
        made.append(broker)
        broker.start()
        return broker

    try:
        yield make
    finally:
        for broker in made:
            broker.stop()


@pytest.fixture(params=["iotcore", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def make_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeBroker]:
    """Each test runs with either broker. In CI a missing Mosquitto is a failure, elsewhere a skip."""
    if request.param == "mosquitto" and mosquitto_program() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Mosquitto is not installed, and in CI it must be")
        pytest.skip("Mosquitto is not installed")
    with brokers(request.param, tmp_path) as make:
        yield make
