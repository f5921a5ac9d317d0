"""Relays: port, pin and simulated twin. Switched by the control thread only."""

from typing import Protocol

from firmware_config.profiles import RelayOutput
from station_agent.devices.board import Board, driving
from station_agent.errors import DeviceError
from station_agent.simulate.world import World


class Relay(Protocol):
    """A relay's coil. Released is always the safe side."""

    @property
    def energised(self) -> bool:
        """What the pin says, read back; not what was asked of it."""

    def energise(self) -> None:
        """Energise the coil.

        Raises:
            DeviceError: the driver refused, or the relay is closed.
        """

    def release(self) -> None:
        """Release the coil. Allowed on a closed relay, which is released.

        Raises:
            DeviceError: the driver refused.
        """

    def close(self) -> None:
        """Release and give up the pin. Safe to call twice."""


class GpioRelay:
    """A relay on a pin, released from the moment the pin is claimed."""

    def __init__(self, wiring: RelayOutput, *, name: str, board: Board) -> None:
        self._name = name
        self._output = board.output(wiring, name=name)

    @property
    def energised(self) -> bool:
        """The pin's level, read back, seen through the polarity."""
        if self._output.closed:
            return False
        with driving(self._name):
            return bool(self._output.value)

    def energise(self) -> None:
        """Drive the pin to its active level."""
        if self._output.closed:
            raise DeviceError(f"{self._name}: is closed")
        with driving(self._name):
            self._output.on()

    def release(self) -> None:
        """Drive the pin to its idle level."""
        if not self._output.closed:
            with driving(self._name):
                self._output.off()

    def close(self) -> None:
        """Release, then give up the pin, whatever the driver says to the first."""
        try:
            self.release()
        finally:
            self._output.close()


class SimulatedRelay:
    """A relay in the simulated world."""

    def __init__(self, wire: str, *, world: World) -> None:
        self._wire = wire
        self._world = world
        self._closed = False
        world.drive(wire, active=False)

    @property
    def energised(self) -> bool:
        """The wire's level."""
        return self._world.level(self._wire)

    def energise(self) -> None:
        """Energise the coil."""
        if self._closed:
            raise DeviceError(f"{self._wire}: is closed")
        self._world.drive(self._wire, active=True)

    def release(self) -> None:
        """Release the coil."""
        if not self._closed:
            self._world.drive(self._wire, active=False)

    def close(self) -> None:
        """Release and leave the world."""
        self.release()
        self._closed = True
