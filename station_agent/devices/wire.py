"""Wires of switches: port, pin and simulated twin. A wire tells its raw edges; what counts is decided in switch.py."""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from firmware_config.profiles import DigitalInput
from station_agent.devices.board import Board, driving
from station_agent.simulate.world import World

Watcher: TypeAlias = Callable[[bool, float], None]
"""Called with the new raw level (polarity applied) and how long ago the edge was, in seconds."""

OLDEST_EDGE_S: Final = 5.0
"""A kernel that stamps edges by another clock gives ages that cannot be; the edge is then taken as of now."""


class Wire(Protocol):
    """A switch's wire."""

    @property
    def active(self) -> bool:
        """The raw level now, with the polarity applied."""

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` at every raw edge, from a thread of the driver's. One watcher at a time."""

    def close(self) -> None:
        """Stop watching and give up the pin. Safe to call twice."""


class GpioWire:
    """A wire on a pin."""

    def __init__(self, wiring: DigitalInput, *, name: str, board: Board) -> None:
        self._name = name
        self._active_low = wiring.active_low
        self._factory = board.factory
        self._input = board.input(wiring, name=name)
        self._watcher: Watcher | None = None

    @property
    def active(self) -> bool:
        """The pin's level, seen through the polarity."""
        with driving(self._name):
            return bool(self._input.pin.state) != self._active_low

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` at every edge the kernel reports."""
        self._watcher = watcher
        with driving(self._name):
            self._input.pin.when_changed = self._changed

    def close(self) -> None:
        """Give up the pin."""
        self._watcher = None
        self._input.close()

    def _changed(self, ticks: float, state: int) -> None:
        if watcher := self._watcher:
            age_s = self._factory.ticks_diff(self._factory.ticks(), ticks)
            watcher(bool(state) != self._active_low, age_s if 0 <= age_s <= OLDEST_EDGE_S else 0.0)


class SimulatedWire:
    """A wire in the simulated world."""

    def __init__(self, wire: str, *, world: World) -> None:
        self._wire = wire
        self._world = world

    @property
    def active(self) -> bool:
        """The wire's level."""
        return self._world.level(self._wire)

    def watch(self, watcher: Watcher) -> None:
        """Call ``watcher`` at every edge."""
        self._world.watch(self._wire, lambda active: watcher(active, 0.0))

    def close(self) -> None:
        """Leave the world."""
        self._world.unwatch(self._wire)
