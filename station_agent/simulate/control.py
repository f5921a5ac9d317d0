"""The control socket: the world outside a simulated agent, moved by one JSON object a line, one JSON answer a line.

An answer to something that the agent records (contact, exit, fire, tamper, mains) is given only after the agent has
seen it and its event is on disk, so that whoever drives the socket knows what must arrive at the hub.
"""

import base64
import contextlib
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from station_agent.errors import AgentError
from station_agent.simulate.doorway import Doorway, read_picture
from station_agent.simulate.world import World

LONGEST_LINE: Final = 64 * 1024
LONGEST_PATH: Final = 100
LONGEST_SHOW_S: Final = 3600.0

log = logging.getLogger(__name__)
Answer = dict[str, Any]


class Inside(Protocol):
    """What the socket asks of the agent itself."""

    def settle(self) -> None:
        """Return once everything seen so far is dealt with and on disk."""

    def set_network(self, *, up: bool) -> None:
        """Cut or restore the way to the hub."""

    def set_clock(self, *, synced: bool) -> None:
        """The time service comes or goes."""

    def enrol(self, person: str, image: Path) -> int:
        """Enrol a person from a picture; the number of templates kept."""

    def erase(self, person: str) -> bool:
        """Erase a person; False when nobody by that id was enrolled."""

    def status(self) -> Mapping[str, Any]:
        """What the agent would say of itself now."""


class BadRequest(AgentError, ValueError):  # noqa: N818 (an answer, not a failure)
    """A line on the socket cannot be obeyed."""


class ControlSocket:
    """Serves any number of clients, one thread each, until closed."""

    def __init__(self, path: Path, *, world: World, doorways: Mapping[str, Doorway], inside: Inside) -> None:
        """Bind the socket.

        Raises:
            AgentError: the path is too long for a socket, or in use by a living agent.
        """
        if len(str(path.absolute()).encode()) > LONGEST_PATH:
            message = f"{path.absolute()}: too long for a socket (over {LONGEST_PATH} bytes)"
            raise AgentError(message)
        self._path = path.absolute()
        self._world = world
        self._doorways = doorways
        self._inside = inside
        self._closed = threading.Event()
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._take_path()
        self._server.listen(8)
        self._operations: Final[dict[str, Callable[[Answer], Answer | None]]] = {
            "show": self._show,
            "clear": self._clear,
            "contact": self._contact,
            "exit": self._exit,
            "fire": self._fire,
            "tamper": self._tamper,
            "mains": self._mains,
            "network": lambda order: self._inside.set_network(up=_flag(order, "up")),
            "clock": lambda order: self._inside.set_clock(synced=_flag(order, "synced")),
            "sensor": self._sensor,
            "walk_through": lambda order: self._world.walk_through(self._door(order)),
            "enrol": self._enrol,
            "erase": lambda order: {"erased": self._inside.erase(_text(order, "person"))},
            "frame": self._frame,
            "status": lambda _: {**self._inside.status(), "levels": self._world.levels()},
        }

    def start(self) -> None:
        """Begin to serve."""
        threading.Thread(target=self._accept, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop serving and remove the socket. Safe to call twice."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._server.close()
        self._path.unlink(missing_ok=True)

    def obey(self, line: bytes) -> Answer:
        """Do what one line asks; never raises."""
        try:
            order = json.loads(line)
            if not isinstance(order, dict) or (do := self._operations.get(str(order.get("op")))) is None:
                known = ", ".join(sorted(self._operations))
                message = f"`op` must be one of {known}"
                raise BadRequest(message)
            return {"ok": True, **(do(order) or {})}
        except (
            AgentError,
            ValueError,
            OverflowError,
            RecursionError,
        ) as error:  # numbers of 5,000 digits too
            return {"ok": False, "error": str(error)}

    def _take_path(self) -> None:
        with (
            contextlib.suppress(FileNotFoundError),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe,
        ):
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                self._path.unlink()
            else:
                message = f"{self._path}: another agent serves this socket"
                raise AgentError(message)
        self._server.bind(str(self._path))
        self._path.chmod(0o600)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="control-client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as lines, contextlib.suppress(OSError):
            while line := lines.readline(LONGEST_LINE):
                if not line.strip():
                    continue
                client.sendall(json.dumps(self.obey(line), ensure_ascii=False).encode() + b"\n")

    def _door(self, order: Answer) -> str:
        door = order.get("door", self._world.doors[0])
        if door not in self._world.doors:
            message = f"no door {door!r}; there are {', '.join(self._world.doors)}"
            raise BadRequest(message)
        return str(door)

    def _doorway(self, order: Answer) -> Doorway:
        door = self._door(order)
        if (doorway := self._doorways.get(door)) is None:
            message = f"door {door} has no simulated camera"
            raise BadRequest(message)
        return doorway

    def _show(self, order: Answer) -> None:
        seconds = _number(order, "seconds", default=2.0)
        if not 0 < seconds <= LONGEST_SHOW_S:
            message = f"`seconds` must be above 0 and at most {LONGEST_SHOW_S:g}"
            raise BadRequest(message)
        self._doorway(order).show(read_picture(Path(_text(order, "image"))), seconds=seconds)

    def _clear(self, order: Answer) -> None:
        self._doorway(order).clear()

    def _frame(self, order: Answer) -> Answer:
        return {"jpeg": base64.b64encode(self._doorway(order).latest_jpeg()).decode()}

    def _contact(self, order: Answer) -> None:
        self._world.set_contact(self._door(order), is_open=_flag(order, "open"))
        self._inside.settle()

    def _exit(self, order: Answer) -> None:
        self._world.press_exit(self._door(order))
        self._inside.settle()

    def _fire(self, order: Answer) -> None:
        self._world.set_fire(active=_flag(order, "active"))
        self._inside.settle()

    def _tamper(self, order: Answer) -> None:
        self._world.set_tamper(is_open=_flag(order, "open"))
        self._inside.settle()

    def _mains(self, order: Answer) -> None:
        self._world.set_mains(present=_flag(order, "up"))
        self._inside.settle()

    def _sensor(self, order: Answer) -> None:
        value = None if order.get("value", 0) is None else _number(order, "value")
        self._world.set_sensor(_text(order, "name"), value)

    def _enrol(self, order: Answer) -> Answer:
        return {"templates": self._inside.enrol(_text(order, "person"), Path(_text(order, "image")))}


def _flag(order: Answer, key: str) -> bool:
    value = order.get(key)
    if not isinstance(value, bool):
        message = f"`{key}` must be true or false"
        raise BadRequest(message)
    return value


def _text(order: Answer, key: str) -> str:
    value = order.get(key)
    if not isinstance(value, str) or not value:
        message = f"`{key}` must be a text"
        raise BadRequest(message)
    return value


def _number(order: Answer, key: str, *, default: float | None = None) -> float:
    value = order.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"`{key}` must be a number"
        raise BadRequest(message)
    return float(value)
