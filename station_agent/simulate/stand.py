"""The stand a simulated agent runs on: world, trace, doorways before the cameras, and the socket that moves them."""

import queue
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Protocol, Self

from firmware_config.station import Station
from station_agent.errors import AgentError
from station_agent.facts import Fact, Settled
from station_agent.simulate.clock import SimulatedClock
from station_agent.simulate.control import ControlSocket
from station_agent.simulate.doorway import Doorway, read_picture
from station_agent.simulate.trace import Trace
from station_agent.simulate.world import World
from station_agent.vision.camera import PushedCamera
from station_agent.vision.frame import Pixels

SETTLE_S: Final = 5.0
"""Longest wait for what was seen to be dealt with and on disk."""


class Switches(Protocol):
    """The rack, as far as the stand waits for it."""

    def wait_settled(self, within_s: float) -> bool:
        """Wait until no edge is held back by debouncing."""


class Disk(Protocol):
    """The store, as far as the stand waits for it."""

    def barrier(self, timeout_s: float) -> bool:
        """Wait until everything put before is committed."""


class Network(Protocol):
    """The link, as far as the stand cuts it."""

    @property
    def online(self) -> bool:
        """The command connection is up."""

    def set_network(self, *, up: bool) -> None:
        """Cut or restore."""


class People(Protocol):
    """Enrolment and erasure."""

    def enrol(self, person: str, pictures: list[Pixels]) -> int:
        """Enrol a person; the number of templates kept."""

    def erase(self, person: str) -> bool:
        """Erase a person; False when nobody by that id was enrolled."""


class Stand:
    """Made before the agent's parts, taken down after them.

    Attributes:
        clock: for every part of the agent.
    """

    def __init__(self, station: Station, *, trace: Path | None, synced: bool = False) -> None:
        clock = self.clock = SimulatedClock()
        clock.synced = synced or None
        self._trace = Trace(trace, clock)
        self.world = World(station.profile, self._trace)
        self.cameras: dict[str, PushedCamera] = {}
        self._doorways: dict[str, Doorway] = {}
        for wiring in station.profile.cameras:
            if wiring.kind == "simulated":
                camera = self.cameras[wiring.id] = PushedCamera(clock, name=wiring.id)
                seed = zlib.crc32(f"{station.config.station}/{wiring.id}".encode())
                self._doorways[wiring.door] = Doorway(camera, wiring, clock=clock, seed=seed)
        self._parts = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parts.close()
        self.world.close()
        self._trace.close()

    def serve(  # noqa: D417 (each is the agent's part of that name)
        self,
        control: Path | None,
        *,
        inbox: queue.SimpleQueue[Fact],
        rack: Switches,
        store: Disk,
        link: Network,
        people: People,
        status: Callable[[], Mapping[str, Any]],
    ) -> None:
        """Let people stand before the cameras, and open the socket if one is wanted.

        Args:
            control: path of the socket.
        """
        for doorway in self._doorways.values():
            doorway.start()
            self._parts.callback(doorway.close)
        if control is None:
            return
        inside = _Inside(
            inbox=inbox,
            rack=rack,
            store=store,
            link=link,
            people=people,
            clock=self.clock,
            status=status,
        )
        served = ControlSocket(control, world=self.world, doorways=self._doorways, inside=inside)
        self._parts.callback(served.close)
        served.start()


class _Inside:
    """The agent, as far as the socket may ask."""

    def __init__(
        self,
        *,
        inbox: queue.SimpleQueue[Fact],
        rack: Switches,
        store: Disk,
        link: Network,
        people: People,
        clock: SimulatedClock,
        status: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._rack = rack
        self._store = store
        self._link = link
        self._people = people
        self._status = status

    def settle(self) -> None:
        done = queue.SimpleQueue[bool]()
        settled = self._rack.wait_settled(SETTLE_S)
        self._inbox.put(Settled(done=lambda: done.put(True)))
        try:
            done.get(timeout=SETTLE_S)
        except queue.Empty:
            settled = False
        if not (settled and self._store.barrier(SETTLE_S)):
            message = f"the agent has not dealt with it within {SETTLE_S:g} s"
            raise AgentError(message)

    def set_network(self, *, up: bool) -> None:
        self._link.set_network(up=up)

    def set_clock(self, *, synced: bool) -> None:
        self._clock.synced = synced

    def enrol(self, person: str, image: Path) -> int:
        return self._people.enrol(person, [read_picture(image)])

    def erase(self, person: str) -> bool:
        return self._people.erase(person)

    def status(self) -> Mapping[str, Any]:
        return {**self._status(), "connected": self._link.online}
