"""The simulated stations: their files, their keys, and the enrolled worker. Talks to the agent only as a person would."""

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloud_hub.demo.control import ControlError, call
from cloud_hub.demo.errors import DemoError
from cloud_hub.demo.faces import Faces
from cloud_hub.demo.files import Table, toml, write_private
from cloud_hub.demo.layout import Layout
from cloud_hub.demo.ports import HOST
from cloud_hub.demo.processes import run_all
from firmware_config.load import ConfigError
from firmware_config.station import load_station

WORKER: Final = "worker-collins"
"""Pseudonymous id of the enrolled worker."""

VISITOR: Final = "visitor"
"""Id under which a visitor of the stage may enrol their own face; erased at every start and end of the demo."""

DOOR: Final = "main"
REGION: Final = "演示 Demo"
NAMES: Final = (
    "海淀中关村驿站",
    "朝阳望京驿站",
    "静安南京西路驿站",
    "浦东陆家嘴驿站",
    "天河体育中心驿站",
    "武侯桐梓林驿站",
)

PROVISION_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Simulated:
    """One simulated station.

    Attributes:
        config: its station file.
        control: its control socket.
        trace: file with one line per edge on its simulated wires.
        kiosk_port: of the page at its door.
    """

    id: str
    name: str
    folder: Path
    control: Path
    kiosk_port: int = 0

    @property
    def kiosk_url(self) -> str:
        """The page at its door."""
        return f"http://{HOST}:{self.kiosk_port}/"

    @property
    def config(self) -> Path:
        """Station file."""
        return self.folder / "station.toml"

    @property
    def trace(self) -> Path:
        """One JSON line per edge on the simulated wires."""
        return self.folder / "trace.jsonl"

    @property
    def store(self) -> Path:
        """The agent's data folder."""
        return self.folder / "data"

    def run_command(self) -> list[str | Path]:
        """The agent, simulated."""
        return [
            *(agent_program(), "run", "--config", self.config, "--simulate"),
            *("--trace", self.trace, "--control", self.control, "--synced"),
        ]


def agent_program() -> Path:
    """The ``station-agent`` command of this installation.

    Raises:
        DemoError: it is not installed.
    """
    program = Path(sys.executable).with_name("station-agent")
    if not program.is_file():
        raise DemoError(f"{program} is missing; run: make setup")
    return program


def name_stations(layout: Layout, kiosk_ports: Sequence[int]) -> list[Simulated]:
    """Ids, names and places of the stations, one for each port of a kiosk."""
    stations = []
    for number, kiosk_port in enumerate(kiosk_ports, start=1):
        station_id = f"st-demo{number:04d}"
        town = NAMES[(number - 1) % len(NAMES)]
        name = town if number <= len(NAMES) else f"{town} {(number - 1) // len(NAMES) + 1}"
        control = layout.control_socket(station_id)
        stations.append(Simulated(station_id, name, layout.station(station_id), control, kiosk_port))
    return stations


def write_station(station: Simulated, *, broker_port: int, password: str, command_key: str) -> None:
    """Write one station's file and broker password.

    Args:
        station: which.
        broker_port: on loopback.
        password: of its broker account, which is named like the station.
        command_key: the hub's public key, base64.

    Raises:
        DemoError: the file would not be accepted; a fault of ours.
    """
    write_private(station.folder / "broker.password", f"{password}\n")
    broker: Table = {
        "host": HOST,
        "port": broker_port,
        "tls": False,
        "username": station.id,
        "password_file": "broker.password",
        "heartbeat_s": 2.0,
    }
    table: Table = {
        "schema": 1,
        "station": station.id,
        "name": station.name,
        "data_dir": "data",
        "profile": "bench-fake",
        "signing_key_file": "signing.key",
        "hub": {"command_keys": [{"public": command_key}]},
        "broker": broker,
        "doors": [{"id": DOOR, "lock": "fail_secure"}],
        "face": {"liveness": "off"},
        "occupancy": {"capacity": 12},
        "access": {"without_roster": "enrolled"},
        "kiosk": {"enabled": True, "port": station.kiosk_port},
    }
    write_private(station.config, toml(table))
    try:
        load_station(station.config)
    except ConfigError as error:
        raise DemoError(str(error)) from error


def provision(stations: Sequence[Simulated]) -> dict[str, str]:
    """Let every station make its key pair where it has none, and return the public keys, base64, by station id.

    Raises:
        DemoError: the agent could not.
    """
    known = {station.id: station.folder / "signing.pub" for station in stations}
    new = [
        station
        for station in stations
        if not (station.folder / "signing.key").exists() or not known[station.id].exists()
    ]
    commands: list[list[str | Path]] = [
        [agent_program(), "provision", "--config", station.config, "--json"] for station in new
    ]
    for station, ended in zip(new, run_all(commands, limit_s=PROVISION_LIMIT_S), strict=True):
        if ended.returncode != 0:
            raise DemoError(f"station-agent provision failed for {station.id}: {ended.stderr.strip()[-500:]}")
        write_private(known[station.id], str(json.loads(ended.stdout)["public"]) + "\n")
    return {station_id: path.read_text(encoding="utf-8").strip() for station_id, path in known.items()}


def reachable(station: Simulated) -> bool:
    """The agent answers, and its link to the broker is up."""
    with contextlib.suppress(ControlError):
        return bool(call(station.control, "status", limit_s=2.0).get("connected"))
    return False


def prepare_people(station: Simulated, faces: Faces) -> int:
    """Enrol the worker where they are not yet, and forget a visitor of the last run. Returns the worker's templates.

    Raises:
        ControlError: the station refused.
    """
    forget_visitor(station)
    with contextlib.suppress(ControlError):
        call(station.control, "erase", person=WORKER)
    return int(
        call(station.control, "enrol", person=WORKER, image=str(faces.worker), limit_s=30.0)["templates"]
    )


def forget_visitor(station: Simulated) -> None:
    """Erase a visitor's face, if one was enrolled and the station can be asked."""
    with contextlib.suppress(ControlError):
        call(station.control, "erase", person=VISITOR, limit_s=3.0)


def wait_until_answering(station: Simulated, *, limit_s: float) -> dict[str, Any]:
    """Wait for the control socket.

    Raises:
        ControlError: still silent after ``limit_s`` seconds.
    """
    deadline_s = time.monotonic() + limit_s
    while True:
        try:
            return call(station.control, "status", limit_s=2.0)
        except ControlError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.05)
