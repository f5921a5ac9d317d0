"""The demo's one folder: where everything lies, who holds it, and a short place for sockets."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cloud_hub.demo.errors import DemoError

SOCKET_PATH_LIMIT: Final = 100
"""Bytes; the kernel takes at most 107 of a socket's path, and the station's id is still to come."""

_LONGEST_SOCKET: Final = len("/control-st-demo0000.sock")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths inside the demo's folder.

    Attributes:
        root: absolute.
        runtime: sockets and pictures on their way to a camera; emptied at every start.
    """

    root: Path
    runtime: Path

    @property
    def broker(self) -> Path:
        """Folder of the broker's configuration, passwords included."""
        return self.root / "broker"

    @property
    def hub_config(self) -> Path:
        """Settings file of the hub."""
        return self.root / "hub" / "hub.toml"

    def hub_secret(self, name: str) -> Path:
        """A secret that the hub's settings name by file."""
        return self.root / "hub" / "secrets" / name

    def station(self, station_id: str) -> Path:
        """Folder of one simulated station."""
        return self.root / "stations" / station_id

    def control_socket(self, station_id: str) -> Path:
        """Control socket of one simulated station."""
        return self.runtime / f"control-{station_id}.sock"

    def log(self, name: str) -> Path:
        """Log of one process."""
        return self.root / "logs" / f"{name}.log"


@contextlib.contextmanager
def open_layout(root: Path) -> Iterator[Layout]:
    """Take the folder for this demo alone.

    Raises:
        DemoError: it cannot be made or written, or another demo uses it.
    """
    root = root.absolute()
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(root / "demo.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DemoError(f"{root}: {error.strerror}; choose another folder with --data") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DemoError(
                f"{root} is used by another demo; stop that one or choose another folder with --data"
            ) from error
        with _runtime(root) as runtime:
            yield Layout(root=root, runtime=runtime)
    finally:
        os.close(lock)


@contextlib.contextmanager
def _runtime(root: Path) -> Iterator[Path]:
    inside = root / "run"
    if len(os.fsencode(inside)) + _LONGEST_SOCKET <= SOCKET_PATH_LIMIT:
        shutil.rmtree(inside, ignore_errors=True)
        inside.mkdir(mode=0o700)
    else:
        inside = Path(tempfile.mkdtemp(prefix="yizhan-", dir="/tmp"))
    try:
        yield inside
    finally:
        shutil.rmtree(inside, ignore_errors=True)
