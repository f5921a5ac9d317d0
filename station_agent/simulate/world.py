"""The world outside a simulated agent: wires, people at the doors, and what the sensors would measure.

It knows nothing of the agent. The simulated devices watch and drive its wires; a test, the demo or the control socket
moves them. Every edge of every wire goes into the trace in the order in which it happened.

On a real door the exit button and the fire panel also cut the lock's power in hardware (safety.md S1, S2). Here they
energise nothing by themselves: the trace shows what the *agent* drives, which is the worse case.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

from firmware_config.profiles import HardwareProfile
from station_agent.errors import AgentError
from station_agent.simulate.trace import Trace

REACH_S: Final = 0.3
"""A person at the door needs this long from the click of the lock to the opening."""
PASS_S: Final = 1.0
"""And this long to walk through and let the door fall shut."""
PRESS_S: Final = 0.2
"""A finger stays this long on the exit button."""
PATIENCE_S: Final = 15.0
"""Whoever waits at a locked door longer than this goes away."""

Watcher: TypeAlias = Callable[[bool], None]


class UnknownWireError(AgentError, KeyError):
    """This station has no such wire or sensor."""

    def __str__(self) -> str:
        return str(self.args[0])


class World:
    """Simulated wires. Any thread; watchers are called one at a time, in the order of the edges.

    Args:
        profile: which wires there are.
        trace: where every edge is written.

    Attributes:
        doors: the doors' ids.
    """

    def __init__(self, profile: HardwareProfile, trace: Trace) -> None:
        self.doors = tuple(door.id for door in profile.doors)
        self._trace = trace
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._levels = _levels_at_start(profile)
        self._watchers: dict[str, Watcher] = {}
        self._sensors: dict[str, float | None] = {
            sensor.name: (sensor.low + sensor.high) / 2 for sensor in profile.sensors
        }
        self._entrances = {door: threading.Lock() for door in self.doors}
        for wire, active in self._levels.items():
            trace.write(wire, active=active)

    # for the simulated devices

    def level(self, wire: str) -> bool:
        """A wire's level; takes no lock, so that a watcher may ask.

        Raises:
            UnknownWireError: there is no such wire.
        """
        self._check(wire)
        return self._levels[wire]

    def drive(self, wire: str, *, active: bool) -> None:
        """Set a wire's level; an edge is traced, then told to its watcher.

        Raises:
            UnknownWireError: there is no such wire.
        """
        self._check(wire)
        with self._changed:
            if self._levels[wire] == active:
                return
            self._levels[wire] = active
            self._trace.write(wire, active=active)
            self._changed.notify_all()
            if watcher := self._watchers.get(wire):
                watcher(active)

    def watch(self, wire: str, watcher: Watcher) -> None:
        """Call ``watcher`` at every edge of a wire.

        Raises:
            UnknownWireError: there is no such wire.
        """
        self._check(wire)
        with self._changed:
            self._watchers[wire] = watcher

    def unwatch(self, wire: str) -> None:
        """Tell nobody any more."""
        with self._changed:
            self._watchers.pop(wire, None)

    def sensor(self, name: str) -> float | None:
        """What a sensor measures; None while it cannot be read.

        Raises:
            UnknownWireError: there is no such sensor.
        """
        self._check_sensor(name)
        return self._sensors[name]

    # for whoever plays the world

    def levels(self) -> dict[str, int]:
        """All wires, 0 or 1, by the names used in the trace."""
        with self._changed:
            return {wire: int(active) for wire, active in self._levels.items()}

    def wait_for(self, wire: str, *, active: bool, within_s: float) -> bool:
        """Wait until a wire has a level; False when it took longer than ``within_s`` or the world ended."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._levels[wire] == active or self._closed.is_set(), timeout=max(0.0, within_s)
            )
            return self._levels[wire] == active

    def set_contact(self, door: str, *, is_open: bool) -> None:
        """Move a door."""
        self.drive(f"contact:{door}", active=is_open)

    def chatter(self, door: str, *, edges: int = 30) -> None:
        """Shake a contact's wire loose for a moment: so many edges at once."""
        for _ in range(edges):
            self.drive(f"contact:{door}", active=not self.level(f"contact:{door}"))

    def press_exit(self, door: str) -> None:
        """Press an exit button and let it go after ``PRESS_S``. Returns at the press."""
        self.drive(f"exit:{door}", active=True)
        self._later(lambda: self._let_go(door), name="exit-button")

    def set_exit(self, door: str, *, pressed: bool) -> None:
        """Hold an exit button down, or let it go."""
        self.drive(f"exit:{door}", active=pressed)

    def set_fire(self, *, active: bool) -> None:
        """Move the fire panel's contact."""
        self.drive("fire", active=active)

    def set_tamper(self, *, is_open: bool) -> None:
        """Open or close the case."""
        self.drive("tamper", active=is_open)

    def set_mains(self, *, present: bool) -> None:
        """Take mains power away or give it back."""
        self.drive("mains", active=present)

    def set_sensor(self, name: str, value: float | None) -> None:
        """Give a sensor something to measure, in its unit; None unplugs it.

        Raises:
            UnknownWireError: there is no such sensor.
        """
        self._check_sensor(name)
        self._sensors[name] = value

    def walk_through(self, door: str, *, patience_s: float = PATIENCE_S) -> None:
        """Have a person wait at a door, walk through once the lock is released, and let it fall shut.

        Returns at once. People at one door go one after another; each needs a release of the lock of their own.
        """
        self._check(f"relay:{door}")
        self._later(lambda: self._walk(door, patience_s), name="walker")

    def close(self) -> None:
        """Everybody goes home; wires keep their levels. Safe to call twice."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    def _later(self, act: Callable[[], None], *, name: str) -> None:
        threading.Thread(target=act, name=name, daemon=True).start()

    def _let_go(self, door: str) -> None:
        self._closed.wait(PRESS_S)
        self.drive(f"exit:{door}", active=False)

    def _walk(self, door: str, patience_s: float) -> None:
        until_s = time.monotonic() + patience_s
        with suppress(_GaveUpError), self._entrances[door]:
            while not self._pulls(door, until_s):
                pass
            self.set_contact(door, is_open=True)
            self._closed.wait(PASS_S)
            self.set_contact(door, is_open=False)

    def _pulls(self, door: str, until_s: float) -> bool:
        """Wait for the lock, reach for the door; whether it is still unlocked by then."""
        if not self.wait_for(f"relay:{door}", active=True, within_s=until_s - time.monotonic()):
            raise _GaveUpError
        if self._closed.wait(REACH_S):
            raise _GaveUpError
        return self.level(f"relay:{door}")

    def _check(self, wire: str) -> None:
        if wire not in self._levels:
            raise UnknownWireError(
                f"this station has no {wire!r}; there are {', '.join(sorted(self._levels))}"
            )

    def _check_sensor(self, name: str) -> None:
        if name not in self._sensors:
            raise UnknownWireError(
                f"this station has no sensor {name!r}; there are {', '.join(sorted(self._sensors))}"
            )


class _GaveUpError(Exception):
    """The person went away."""


def _levels_at_start(profile: HardwareProfile) -> dict[str, bool]:
    """A quiet night: doors shut, nobody at a button, power present."""
    levels: dict[str, bool] = {}
    for door in profile.doors:
        levels |= {f"relay:{door.id}": False, f"contact:{door.id}": False}
        if door.exit:
            levels[f"exit:{door.id}"] = False
        if door.buzzer:
            levels[f"prealarm:{door.id}"] = False
    for wire in ("fire", "tamper", "mains", "siren"):
        if getattr(profile, wire):
            levels[wire] = wire == "mains"
    return levels
