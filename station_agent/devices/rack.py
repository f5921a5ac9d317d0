"""All devices of one station, real or simulated: the one place where the twins are told apart."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from gpiozero.pins.pi import PiFactory

from firmware_config.profiles import DigitalInput, DoorWiring, HardwareProfile, RelayOutput, Sensor
from station_agent.clock import Clock, SystemClock
from station_agent.core.debounce import Level
from station_agent.devices import switch
from station_agent.devices.board import Board
from station_agent.devices.relay import GpioRelay, Relay, SimulatedRelay
from station_agent.devices.sensors import IioProbe, OnewireProbe, Probe, SensorReader, SimulatedProbe
from station_agent.devices.siren import Buzzer, Siren
from station_agent.devices.switch import Put, Settler, Switch, Telling
from station_agent.devices.wire import GpioWire, SimulatedWire, Wire
from station_agent.errors import DeviceError
from station_agent.simulate.world import World


class Closable(Protocol):
    """Anything that gives its pin back."""

    def close(self) -> None:
        """Safe to call twice."""


ClosableT = TypeVar("ClosableT", bound=Closable)


@dataclass(frozen=True, slots=True)
class Backend:
    """How wires are opened. Names of wires are those of the trace: ``relay:main``, ``fire``, ...

    Attributes:
        relay: opens an output, released.
        wire: opens an input.
        probe: opens a sensor.
        close: gives up what they share, once they are all closed.
    """

    relay: Callable[[RelayOutput, str], Relay]
    wire: Callable[[DigitalInput, str], Wire]
    probe: Callable[[Sensor], Probe]
    close: Callable[[], None]


class Rack:
    """The devices. Nothing is watched, read or told before ``start``.

    Attributes:
        relays: lock relays, by door.
        buzzers: by door; a door without one has a silent one.
        contacts: door contacts, by door; active is open.
        exits: exit buttons, by door, where there is one.
        fire: active is a fire.
        tamper: active is an open case.
        mains: active is power.
        siren: the station's.
    """

    def __init__(self, profile: HardwareProfile, put: Put, *, backend: Backend, clock: Clock) -> None:
        """Open everything; on any fault give back what was opened.

        Raises:
            DeviceError: naming the wire that cannot be opened.
        """
        self._backend = backend
        self._put = put
        self._clock = clock
        self._settler = Settler(clock=clock, put=put)
        self._opened = ExitStack()
        self._opened.callback(backend.close)
        with ExitStack() as undo:
            undo.callback(self.close)
            # Relays first: one that a killed agent left energised is released before anything else can fail.
            self.relays: dict[str, Relay] = {}
            for door in profile.doors:
                self.relays[door.id] = self._relay(door.relay, f"relay:{door.id}")
            self.siren = Siren(self._relay(profile.siren, "siren")) if profile.siren else None
            self.buzzers = {door.id: self._buzzer(door) for door in profile.doors}
            self.contacts = {
                door.id: self._switch(door.contact, f"contact:{door.id}", switch.contact(door.id))
                for door in profile.doors
            }
            self.exits = {
                door.id: self._switch(door.exit, f"exit:{door.id}", switch.exit_button(door.id))
                for door in profile.doors
                if door.exit
            }
            self.fire = self._single(profile.fire, "fire", switch.fire, Level.INACTIVE)
            self.tamper = self._single(profile.tamper, "tamper", switch.tamper, Level.INACTIVE)
            self.mains = self._single(profile.mains, "mains", switch.mains, Level.ACTIVE)
            probes = {sensor.name: backend.probe(sensor) for sensor in profile.sensors}
            self._reader = SensorReader(profile.sensors, probes, put=put, clock=clock)
            self._opened.callback(self._reader.close)
            self._opened.callback(self._settler.close)
            undo.pop_all()

    @classmethod
    def gpio(
        cls,
        profile: HardwareProfile,
        put: Put,
        factory: PiFactory | None = None,
        *,
        clock: Clock | None = None,
    ) -> Self:
        """The devices on this computer's pins.

        Args:
            profile: what is wired where.
            put: the inbox.
            factory: gpiozero's pin factory; lgpio's when None.
            clock: monotonic time; the machine's when None.

        Raises:
            DeviceError: this profile has no pins, the driver is missing, or a pin cannot be opened.
        """
        if profile.board == "bench":
            raise DeviceError(f"{profile.title}: has no pins; run it with --simulate")
        board = Board(factory)
        backend = Backend(
            relay=lambda wiring, name: GpioRelay(wiring, name=name, board=board),
            wire=lambda wiring, name: GpioWire(wiring, name=name, board=board),
            probe=_probe,
            close=board.close if factory is None else _nothing,
        )
        return cls(profile, put, backend=backend, clock=clock or SystemClock())

    @classmethod
    def simulated(
        cls, profile: HardwareProfile, put: Put, world: World, *, clock: Clock | None = None
    ) -> Self:
        """The same devices in a simulated world.

        Args:
            profile: what is wired.
            put: the inbox.
            world: made for the same profile.
            clock: monotonic time; the machine's when None.
        """
        backend = Backend(
            relay=lambda _, name: SimulatedRelay(name, world=world),
            wire=lambda _, name: SimulatedWire(name, world=world),
            probe=lambda sensor: SimulatedProbe(sensor, world=world),
            close=_nothing,
        )
        return cls(profile, put, backend=backend, clock=clock or SystemClock())

    def start(self) -> None:
        """Watch every switch and read every sensor from now on.

        The inbox is told at once of a fire, an open case or missing mains; where the contacts stand at start is read
        from ``contacts``.
        """
        for one in self._switches():
            one.start()
        self._settler.start()
        self._reader.start()

    def wait_settled(self, within_s: float) -> bool:
        """Wait until no switch holds an edge back; False when that took longer than ``within_s``."""
        return self._settler.wait_settled(within_s)

    def release(self) -> None:
        """Release all lock relays, whatever one of them says to it."""
        with ExitStack() as last:
            for relay in self.relays.values():
                last.callback(relay.release)

    def close(self) -> None:
        """Release all relays, then give everything back, whatever fails on the way. Safe to call twice."""
        with ExitStack() as last:
            last.push(self._opened.pop_all())
            for relay in self.relays.values():
                last.callback(relay.close)

    def _switches(self) -> list[Switch]:
        singles = [one for one in (self.fire, self.tamper, self.mains) if one]
        return [*self.contacts.values(), *self.exits.values(), *singles]

    def _keep(self, device: ClosableT) -> ClosableT:
        self._opened.callback(device.close)
        return device

    def _relay(self, wiring: RelayOutput, name: str) -> Relay:
        return self._keep(self._backend.relay(wiring, name))

    def _buzzer(self, door: DoorWiring) -> Buzzer:
        return Buzzer(self._relay(door.buzzer, f"prealarm:{door.id}") if door.buzzer else None)

    def _single(
        self, wiring: DigitalInput | None, name: str, telling: Telling, normal: Level
    ) -> Switch | None:
        return self._switch(wiring, name, telling, normal) if wiring else None

    def _switch(
        self, wiring: DigitalInput, name: str, telling: Telling, normal: Level | None = None
    ) -> Switch:
        made = Switch(
            self._keep(self._backend.wire(wiring, name)),
            hold_s=wiring.debounce_ms / 1000,
            telling=telling,
            normal=normal,
            put=self._put,
            settler=self._settler,
            clock=self._clock,
        )
        self._opened.callback(made.close)
        return made


def _nothing() -> None:
    """What was handed in is closed by whoever made it."""


def _probe(sensor: Sensor) -> Probe:
    match sensor.kind:
        case "iio":
            return IioProbe(sensor)
        case "onewire":
            return OnewireProbe(sensor)
        case "simulated":
            raise DeviceError(f"sensor {sensor.name}: is simulated; run it with --simulate")
