"""The computer's pins, by gpiozero. The only module that knows gpiozero or a driver; every driver error becomes ours.

The driver is lgpio or the factory that is handed in, never another one found by luck: a different driver may have
other levels at start, and a lock hangs on them.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from gpiozero import GPIOZeroError, InputDevice, OutputDevice
from gpiozero.pins.pi import PiFactory

from firmware_config.profiles import DigitalInput, RelayOutput
from station_agent.errors import DeviceError

REED_BOUNCE_S: Final = 0.001
"""The kernel drops shorter glitches: a reed switch rings for up to about 1 ms, and ringing is not chattering."""

_PULL_UP: Final = {"up": True, "down": False, "none": None}


class Board:
    """Opens pins.

    Args:
        factory: a gpiozero pin factory; lgpio's when None.

    Raises:
        DeviceError: the driver is missing, or there are no pins on this computer.
    """

    def __init__(self, factory: PiFactory | None = None) -> None:
        self.factory = _lgpio_factory() if factory is None else factory

    def output(self, wiring: RelayOutput, *, name: str) -> OutputDevice:
        """Claim a pin as output at its idle level, direction and level in one step.

        Raises:
            DeviceError: the pin is taken, or cannot be an output.
        """
        with driving(name, pin=wiring.pin):
            return OutputDevice(wiring.pin, active_high=wiring.active_high, pin_factory=self.factory)

    def input(self, wiring: DigitalInput, *, name: str) -> InputDevice:
        """Claim a pin as input with its bias.

        Raises:
            DeviceError: the pin is taken, or cannot be biased so.
        """
        floats = wiring.pull == "none"
        with driving(name, pin=wiring.pin):
            device = InputDevice(
                wiring.pin,
                pull_up=_PULL_UP[wiring.pull],
                active_state=not wiring.active_low if floats else None,
                pin_factory=self.factory,
            )
            device.pin.bounce = REED_BOUNCE_S
            device.pin.edges = "both"
            return device

    def close(self) -> None:
        """Give up the driver. Safe to call twice."""
        self.factory.close()


@contextmanager
def driving(name: str, *, pin: int | None = None) -> Iterator[None]:
    """Name the wire in every error of the driver.

    Raises:
        DeviceError: instead of whatever the driver raised.
    """
    try:
        yield
    except _driver_errors() as error:
        where = name if pin is None else f"{name} on BCM {pin}"
        raise DeviceError(f"{where}: {error}") from error


def _driver_errors() -> tuple[type[Exception], ...]:
    lgpio = sys.modules.get("lgpio")
    return (GPIOZeroError, OSError) if lgpio is None else (GPIOZeroError, OSError, lgpio.error)


def _lgpio_factory() -> PiFactory:
    try:
        import lgpio  # noqa: PLC0415 (published for the Pi only)
        from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin  # noqa: PLC0415 (imports lgpio)
    except ImportError as error:
        raise DeviceError("GPIO: the lgpio package is missing; without pins run with --simulate") from error

    class SteadyPin(LGPIOPin):  # type: ignore[misc]  # gpiozero publishes no types
        """An output that never passes through the wrong level.

        gpiozero 2.0.1 claims an lgpio output at low and then sets its level, which energises an active-low relay for a
        moment at every start; and closing turns it into a floating input. lgpio can claim at a level, and a released
        relay is best left driven at its idle level.
        """

        def output_with_state(self, state: Any) -> None:
            lgpio.gpio_claim_output(self.factory._handle, self._number, int(bool(state)))  # noqa: SLF001 (gpiozero offers no other way to the driver's handle)

        def close(self) -> None:
            if self.factory._handle is not None and self.function != "output":  # noqa: SLF001 (as above)
                super().close()

    with driving("GPIO"):
        factory = LGPIOFactory()
    factory.pin_class = SteadyPin
    return factory
