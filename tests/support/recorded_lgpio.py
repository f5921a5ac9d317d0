"""A recording stand-in for the lgpio driver, which needs a Pi. Knows just what gpiozero asks of it for plain pins."""

from types import ModuleType
from typing import Any

IS_OUT = 1 << 1


class DriverError(Exception):
    """As ``lgpio.error``: neither an OSError nor one of gpiozero's."""


class RecordedLgpio(ModuleType):
    """Pins as a dict; ``calls`` holds every claim and write in order."""

    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 0, 1, 2
    RISING_EDGE, FALLING_EDGE, BOTH_EDGES = 1, 2, 3
    error = DriverError

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.calls: list[tuple[Any, ...]] = []
        self.modes: dict[int, int] = {}
        self.levels: dict[int, int] = {}
        self.broken = False

    def gpiochip_open(self, chip: int) -> int:
        self.calls.append(("open", chip))
        return 7

    def gpiochip_close(self, handle: int) -> None:
        self.calls.append(("close", handle))

    def gpio_claim_input(self, _: int, gpio: int, __: int = 0) -> None:
        self.calls.append(("input", gpio))
        self.modes[gpio] = 0

    def gpio_claim_output(self, _: int, gpio: int, level: int = 0) -> None:
        self.calls.append(("output", gpio, level))
        self.modes[gpio], self.levels[gpio] = IS_OUT, level

    def gpio_get_mode(self, _: int, gpio: int) -> int:
        return self.modes.get(gpio, 0)

    def gpio_write(self, _: int, gpio: int, level: int) -> None:
        if self.broken:
            raise DriverError("GPIO not allocated")
        self.calls.append(("write", gpio, int(level)))
        self.levels[gpio] = int(level)

    def gpio_read(self, _: int, gpio: int) -> int:
        return self.levels[gpio]
