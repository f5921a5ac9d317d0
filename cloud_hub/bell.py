"""Bells: how one process of the hub wakes another on the same machine.

A bell carries no truth, only "look at the database again": a lost one costs time (the listener's own timer), never
correctness. Each listener binds a Unix datagram socket in one folder; ringing sends to all with the wanted prefix.
"""

import contextlib
import os
import socket
from pathlib import Path
from typing import Final

import msgspec

BRIDGE: Final = "bridge"
WEB: Final = "web"
_LONGEST: Final = 8_192


class Bell:
    """Hears rings addressed to ``audience``."""

    def __init__(self, folder: Path, audience: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / f"{audience}-{os.getpid()}-{os.urandom(3).hex()}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))

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
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"{audience}-*"):
                self._send(raw, path)

    def _send(self, raw: bytes, path: Path) -> None:
        try:
            self._socket.sendto(raw, str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
        except OSError:
            return  # its queue is full: it has enough to wake up for

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
