"""What a visitor can make happen at a station, by name. The only place that turns a button into the outside world."""

import base64
import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cloud_hub.demo.control import ControlError, call
from cloud_hub.demo.faces import Faces
from cloud_hub.demo.keeper import Keeper
from cloud_hub.demo.stage.pictures import clean
from cloud_hub.demo.stations import VISITOR, Simulated

SHOW_S: Final = 4.0
"""How long a person stands before the camera, in seconds."""

LIVE_SHOW_S: Final = 1.5
"""How long one frame of a visitor's own camera counts, in seconds; the next one replaces it."""

ENROL_LIMIT_S: Final = 30.0
TEMPERATURE_C: Final = (-20.0, 70.0)


class Unknown(Exception):  # noqa: N818 (an answer to the page)
    """No such station or action."""


class World:
    """The stations' surroundings."""

    def __init__(
        self, stations: Mapping[str, Simulated], *, keeper: Keeper, faces: Faces, folder: Path
    ) -> None:
        self._stations = stations
        self._keeper = keeper
        self._faces = faces
        self._folder = folder
        self._cut_off: set[str] = set()
        self._actions: Final[dict[str, Callable[[Simulated, Any], object]]] = {
            "worker": lambda at, _: self._show(at, faces.worker),
            "stranger": lambda at, _: self._show(at, faces.stranger),
            "worker_enters": self._worker_enters,
            "clear": lambda at, _: call(at.control, "clear"),
            "exit": lambda at, _: call(at.control, "exit"),
            "door_open": lambda at, _: call(at.control, "contact", open=True),
            "door_close": lambda at, _: call(at.control, "contact", open=False),
            "fire": lambda at, on: call(at.control, "fire", active=bool(on)),
            "tamper": lambda at, on: call(at.control, "tamper", open=bool(on)),
            "mains": lambda at, on: call(at.control, "mains", up=bool(on)),
            "network": self._network,
            "power": self._power,
            "temperature": self._temperature,
            "forget": lambda at, _: call(at.control, "erase", person=VISITOR),
        }

    def act(self, station_id: str, action: str, value: Any = None) -> None:
        """Make something happen.

        Raises:
            Unknown: no such station or action, or a value it cannot take.
            ControlError: the station is not there, or refuses.
        """
        if action not in self._actions:
            raise Unknown(action)
        self._actions[action](self._station(station_id), value)

    def state(self) -> list[dict[str, Any]]:
        """Every station now: its power, and what its wires and doors say."""
        return [self._state(station) for station in self._stations.values()]

    def frame(self, station_id: str) -> bytes:
        """What the camera sees, JPEG.

        Raises:
            Unknown: no such station.
            ControlError: the station is not there.
        """
        return base64.b64decode(call(self._station(station_id).control, "frame", limit_s=2.0)["jpeg"])

    def show_photo(self, station_id: str, raw: bytes, *, live: bool) -> None:
        """Hold a visitor's picture before the camera; the file is gone before this returns.

        Raises:
            PictureRefused: it is no picture that can be used.
            Unknown: no such station.
            ControlError: the station is not there.
        """
        station = self._station(station_id)
        with self._as_file(clean(raw)) as path:
            call(station.control, "show", image=str(path), seconds=LIVE_SHOW_S if live else SHOW_S)

    def enrol_visitor(self, station_id: str, raw: bytes) -> int:
        """Enrol a visitor who agreed, from one picture. Returns the number of templates.

        Raises:
            PictureRefused: it is no picture that can be used.
            Unknown: no such station.
            ControlError: the station is not there, or found no usable face.
        """
        station = self._station(station_id)
        with self._as_file(clean(raw)) as path:
            answer = call(station.control, "enrol", person=VISITOR, image=str(path), limit_s=ENROL_LIMIT_S)
        return int(answer["templates"])

    def _station(self, station_id: str) -> Simulated:
        try:
            return self._stations[station_id]
        except KeyError:
            raise Unknown(station_id) from None

    def _state(self, station: Simulated) -> dict[str, Any]:
        state: dict[str, Any] = {
            "id": station.id,
            "name": station.name,
            "power": self._keeper.power(station.id),
            "cut_off": station.id in self._cut_off,
            "there": False,
        }
        with contextlib.suppress(ControlError):
            state |= {"there": True, **call(station.control, "status", limit_s=2.0)}
        return state

    def _show(self, station: Simulated, picture: Path) -> None:
        call(station.control, "show", image=str(picture), seconds=SHOW_S)

    def _worker_enters(self, station: Simulated, _: object) -> None:
        call(station.control, "walk_through")
        self._show(station, self._faces.worker)

    def _network(self, station: Simulated, on: object) -> None:
        call(station.control, "network", up=bool(on))
        (self._cut_off.discard if on else self._cut_off.add)(station.id)

    def _power(self, station: Simulated, on: object) -> None:
        self._cut_off.discard(station.id)  # a station that starts again finds its network
        (self._keeper.restore if on else self._keeper.cut)(station.id)

    def _temperature(self, station: Simulated, value: object) -> None:
        lowest, highest = TEMPERATURE_C
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise Unknown(f"temperature {value!r}")
        call(station.control, "sensor", name="temperature", value=float(value))

    @contextlib.contextmanager
    def _as_file(self, jpeg: bytes) -> Iterator[Path]:
        """A private file for as long as the agent needs to read it."""
        path = self._folder / f"visitor-{time.monotonic_ns()}-{secrets.token_hex(4)}.jpg"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(jpeg)
            yield path
        finally:
            path.unlink(missing_ok=True)
