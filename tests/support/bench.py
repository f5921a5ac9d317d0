"""A rack on a test bench: the same pokes and probes for pins and for the simulated world."""

import queue
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from gpiozero.pins.mock import MockFactory, MockPin

from firmware_config.pins import HIGH_AT_RESET
from firmware_config.profiles import HardwareProfile, load_profile
from station_agent.clock import Clock
from station_agent.devices.rack import Rack
from station_agent.facts import Fact
from station_agent.simulate.trace import Trace
from station_agent.simulate.world import World
from tests.support.hand_clock import HandClock

ORDINARY = {"contact:main": False, "exit:main": False, "fire": False, "tamper": False, "mains": True}
"""Switches on a quiet night."""


class BootedPin(MockPin):  # type: ignore[misc]  # gpiozero publishes no types
    """A pin as the Pi has it at reset, claimed as output in one step as ``board.py`` makes lgpio do it."""

    def __init__(self, factory: Any, info: Any) -> None:
        super().__init__(factory, info)
        self._state = self._number in HIGH_AT_RESET
        self.clear_states()

    def _set_pull(self, value: Any) -> None:
        # what is wired to the pin is stronger than its bias
        wired = getattr(self.factory, "wired", {}).get(self._number)
        super()._set_pull(value)
        if wired is not None:
            self.drive_high() if wired else self.drive_low()

    def output_with_state(self, state: Any) -> None:
        self._function = "output"
        self._change_state(bool(state))

    def history(self) -> list[bool]:
        """Every level since reset."""
        return [bool(state.state) for state in self.states]


def booted_factory() -> MockFactory:
    """Pins just after power-on."""
    return MockFactory(pin_class=BootedPin)


def profile(name: str = "pi4-relay-a") -> HardwareProfile:
    """A shipped profile without its sensors, whose files this machine does not have."""
    return load_profile(name, beside=Path("station.toml")).model_copy(update={"sensors": []})


class Bench(Protocol):
    """What a contract test needs."""

    rack: Rack
    clock: HandClock
    inbox: "queue.SimpleQueue[Fact]"

    def set_wire(self, wire: str, *, active: bool) -> None:
        """Move a switch."""

    def coil(self, wire: str) -> list[bool]:
        """Every state of a coil since power-on, energised or not."""


class GpioBench:
    """A rack on mock pins of gpiozero."""

    def __init__(
        self, *, clock: Clock | None = None, name: str = "pi4-relay-a", trouble: Collection[str] = ()
    ) -> None:
        self.clock = HandClock()
        self.inbox: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        self.profile = profile(name)
        self.factory = booted_factory()
        self.factory.wired = {
            self._wiring(wire).pin: (active != (wire in trouble)) != self._wiring(wire).active_low
            for wire, active in ORDINARY.items()
        }
        self.rack = Rack.gpio(self.profile, self.inbox.put, self.factory, clock=clock or self.clock)

    def set_wire(self, wire: str, *, active: bool) -> None:
        wiring = self._wiring(wire)
        pin = self.factory.pin(wiring.pin)
        pin.drive_high() if active != wiring.active_low else pin.drive_low()

    def coil(self, wire: str) -> list[bool]:
        wiring = self._wiring(wire)
        return [level == wiring.active_high for level in self.factory.pin(wiring.pin).history()]

    def _wiring(self, wire: str) -> Any:
        kind, _, door = wire.partition(":")
        return getattr(self.profile.doors[0] if door else self.profile, kind.replace("prealarm", "buzzer"))


class SimulatedBench:
    """The same rack in a simulated world."""

    def __init__(self, *, clock: Clock | None = None, trouble: Collection[str] = ()) -> None:
        self.clock = HandClock()
        self.inbox: queue.SimpleQueue[Fact] = queue.SimpleQueue()
        self.trace = RememberingTrace()
        self.world = World(profile(), self.trace)
        for wire in trouble:
            self.world.drive(wire, active=not ORDINARY[wire])
        self.rack = Rack.simulated(profile(), self.inbox.put, self.world, clock=clock or self.clock)

    def set_wire(self, wire: str, *, active: bool) -> None:
        self.world.drive(wire, active=active)

    def coil(self, wire: str) -> list[bool]:
        return [active for name, active in self.trace.edges if name == wire]


class RememberingTrace(Trace):
    """A trace that can be asked."""

    def __init__(self) -> None:
        super().__init__(None, HandClock())
        self.edges: list[tuple[str, bool]] = []

    def write(self, device: str, *, active: bool) -> None:
        self.edges.append((device, active))


def pass_time(bench: Bench, seconds: float) -> None:
    """Let time pass and the switches look at their wires, as the settler would."""
    bench.clock.advance(seconds)
    for switch in bench.rack._switches():  # stands in for the settler's thread
        switch.look()


def told(bench: Bench) -> list[Fact]:
    """All facts put into the inbox since the last call."""
    facts = []
    while not bench.inbox.empty():
        facts.append(bench.inbox.get_nowait())
    return facts
