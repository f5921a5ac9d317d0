"""The ready file: what scripts and black-box checks need to know of a running demo (design.md, outside contract)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloud_hub.demo.errors import DemoError
from cloud_hub.demo.faces import Faces
from cloud_hub.demo.files import write_private
from cloud_hub.demo.hub import SignIn
from cloud_hub.demo.ports import HOST
from cloud_hub.demo.stations import DOOR, Simulated


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the demo serves.

    Attributes:
        tester: name and password of a broker account for checks from outside.
    """

    web_port: int
    broker_port: int
    stage_url: str
    tester: tuple[str, str]

    @property
    def url(self) -> str:
        """The console."""
        return f"http://{HOST}:{self.web_port}"


def write_ready(
    path: Path,
    *,
    addresses: Addresses,
    sign_in: SignIn,
    stations: Sequence[Simulated],
    faces: Faces,
    pids: Mapping[str, int],
) -> None:
    """Write the ready file in one piece; it holds passwords, so only its owner may read it.

    Raises:
        DemoError: it cannot be written.
    """
    username, password = addresses.tester
    document = {
        "url": addresses.url,
        "username": sign_in.username,
        "password": sign_in.password,
        "api_token": sign_in.api_token,
        "mqtt": {"host": HOST, "port": addresses.broker_port, "username": username, "password": password},
        "stations": [
            {
                "id": station.id,
                "door": DOOR,
                "control": str(station.control),
                "trace": str(station.trace),
                "worker_image": str(faces.worker),
                "stranger_image": str(faces.stranger),
                "config": str(station.config),
                "kiosk_url": station.kiosk_url,
            }
            for station in stations
        ],
        "stage_url": addresses.stage_url,
        "pids": dict(pids),
    }
    try:
        write_private(path, json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    except OSError as error:
        raise DemoError(f"{path}: {error.strerror}; choose another file with --ready-file") from error


def remove_ready(path: Path | None) -> None:
    """Take the ready file away: nothing serves any more, or not yet."""
    if path is not None:
        path.unlink(missing_ok=True)
