"""Bells: how one process of the hub wakes another on the same machine.

A bell carries no truth, only "look at the database again": a lost one costs time (the listener's own timer), never
correctness. Each listener binds a Unix datagram socket in one folder; ringing sends to all with the wanted prefix.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

BRIDGE: Final = "bridge"
WEB: Final = "web"
PEOPLE: Final = "people"
"""Rung at the bridge when something that rosters are made of has changed, or somebody is to be erased."""

_LONGEST: Final = 8_192


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    """A short name for a folder: the kernel takes at most 108 bytes of a socket's address."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


class Bell:
    """Hears rings addressed to ``audience``."""

    def __init__(self, folder: Path, audience: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / f"{audience}-{os.getpid()}-{os.urandom(3).hex()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with _short(folder) as short:
            self._socket.bind(f"{short}/{self._path.name}")

    def wait(self, timeout_s: float) -> list[str] | None:
        """Topics of the next ring, or None after ``timeout_s`` seconds of silence."""
        self._socket.settimeout(max(timeout_s, 0.001))
        try:
            raw = self._socket.recv(_LONGEST)
            return msgspec.json.decode(raw, type=list[str])
        except TimeoutError:
            return None
        except (OSError, msgspec.DecodeError):
            return []

    def close(self) -> None:
        """Stop hearing. Safe to call twice."""
        self._socket.close()
        self._path.unlink(missing_ok=True)


class Ringer:
    """Rings every listener of an audience. Never blocks and never raises: the database is the truth."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ring(self, audience: str, *topics: str) -> None:
        """Send ``topics`` to all listeners; the socket of one that died is removed."""
        raw = msgspec.json.encode(topics)
        with contextlib.suppress(OSError), _short(self._folder) as short:
            for path in self._folder.glob(f"{audience}-*"):
                self._send(raw, path, f"{short}/{path.name}")

    def _send(self, raw: bytes, path: Path, address: str) -> None:
        try:
            self._socket.sendto(raw, address)
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        except OSError:
            return  # its queue is full: it has enough to wake up for

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
