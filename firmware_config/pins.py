"""BCM pins of the 40-pin header, with the traps that open a door at power-up.

Source: BCM2711 ARM peripherals, section 5.2 (pull state at reset) and the Raspberry Pi pinout; the same header is on
the Pi 5. A GPIO whose reset pull is *up* reads high from power-on until the agent starts, so an active-high relay on it
would open the door at every boot.
"""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

HIGH_AT_RESET: Final = frozenset(range(9))
"""BCM 0-8 have their pull-up on at reset (2, 4-8 observed high: usbboot README; 0, 1 and 3 by the datasheet)."""

RESERVED: Final[dict[int, str]] = {
    0: "HAT identification EEPROM",
    1: "HAT identification EEPROM",
    2: "I2C data",
    3: "I2C clock, and it wakes a halted Pi",
    14: "serial console, which toggles while booting",
    15: "serial console, which toggles while booting",
}

BcmPin = Annotated[int, Field(ge=0, le=27)]


def relay_pin_fault(pin: int, *, active_high: bool) -> str | None:
    """Say why a lock relay must not hang on this pin, or None when it may."""
    if pin in RESERVED:
        return f"BCM {pin} is taken: {RESERVED[pin]}"
    if active_high and pin in HIGH_AT_RESET:
        return f"BCM {pin} is high at reset, so an active-high relay on it opens the door at every boot"
    if not active_high and pin not in HIGH_AT_RESET:
        return f"BCM {pin} is low at reset, so an active-low relay on it opens the door at every boot"
    return None


def _not_reserved(pin: int) -> int:
    if pin in RESERVED:
        message = f"BCM {pin} is taken: {RESERVED[pin]}"
        raise ValueError(message)
    return pin


FreePin = Annotated[BcmPin, AfterValidator(_not_reserved)]
