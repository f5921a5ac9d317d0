"""Is a sensor well, and is what it measures in range? Owned by the control thread; pure.

A change counts once every reading has said so for ``hold_s``, and a quantity is in range again only once it is inside by
``HYSTERESIS`` of the range, so that a value at a limit does not flap. Lost and out of range are two facts: each has
its own pair of events, and each pair alternates.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from firmware_config.profiles import Sensor
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar

HYSTERESIS: Final = 0.02
"""Fraction of the range; 0.7 C on the shipped 5-38 C, above the +-0.5 C of a DS18B20 (datasheet, page 1)."""
AGREEING_S_PER_PERIOD: Final = 0.9
"""A change needs two readings that agree; a little under one period, for the reader's jitter."""
SILENT_PERIODS: Final = 5.0
"""A reader that says nothing at all for this many periods has hung."""

Verdict: TypeAlias = Literal["ok", "out_of_range", "lost"]


@dataclass(frozen=True, slots=True)
class HealthChange:
    """An event in the making: its kind and its data."""

    kind: EventKind
    data: dict[str, Scalar]


class _Held:
    """A yes or no that turns only after having said the new one for ``hold_s``."""

    def __init__(self, hold_s: float) -> None:
        self.value = False
        self._hold_s = hold_s
        self._since_s: float | None = None

    def told(self, *, value: bool, now_s: float) -> bool:
        """Take in one reading; whether the held value has turned."""
        if value == self.value:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s < self._hold_s:
            return False
        self.value, self._since_s = value, None
        return True


class Health:
    """One sensor.

    Args:
        sensor: its name, unit, range and period.
        now_s: monotonic time.

    Attributes:
        value: the last reading, in the sensor's unit; None when it could not be read.
        deadline_s: monotonic time at which ``time_out`` is due if no reading comes.
    """

    def __init__(self, sensor: Sensor, *, now_s: float) -> None:
        self.value: float | None = None
        self._sensor = sensor
        self._margin = (sensor.high - sensor.low) * HYSTERESIS
        self._hold_s = sensor.period_s * AGREEING_S_PER_PERIOD
        self._lost = _Held(self._hold_s)
        self._out = _Held(self._hold_s)
        self.deadline_s = now_s + sensor.period_s * SILENT_PERIODS

    @property
    def verdict(self) -> Verdict:
        """What counts now."""
        if self._lost.value:
            return "lost"
        return "out_of_range" if self._out.value else "ok"

    def read(self, value: float | None, *, now_s: float) -> tuple[HealthChange, ...]:
        """Take in one reading.

        Args:
            value: in the sensor's unit; None, or not a number, when it could not be read.
            now_s: monotonic time.

        Returns:
            The changes that count now.
        """
        self.deadline_s = now_s + self._sensor.period_s * SILENT_PERIODS
        self.value = value if value is not None and math.isfinite(value) else None
        changes = []
        if self._lost.told(value=self.value is None, now_s=now_s):
            changes.append(
                self._change(EventKind.SENSOR_LOST, EventKind.SENSOR_RESTORED, yes=self._lost.value)
            )
        if self.value is not None and self._out.told(value=self._outside(self.value), now_s=now_s):
            changes.append(
                self._change(EventKind.SENSOR_OUT_OF_RANGE, EventKind.SENSOR_IN_RANGE, yes=self._out.value)
            )
        return tuple(changes)

    def time_out(self, *, now_s: float) -> tuple[HealthChange, ...]:
        """Take the reader's silence for readings that failed, if it has lasted long enough.

        Args:
            now_s: monotonic time.
        """
        if now_s < self.deadline_s:
            return ()
        return self.read(None, now_s=now_s - self._hold_s) + self.read(None, now_s=now_s)

    def _outside(self, value: float) -> bool:
        margin = self._margin if self._out.value else 0.0
        return not self._sensor.low + margin <= value <= self._sensor.high - margin

    def _change(self, begun: EventKind, ended: EventKind, *, yes: bool) -> HealthChange:
        kind = begun if yes else ended
        return HealthChange(
            kind=kind,
            data={
                "sensor": self._sensor.name,
                "value": self.value,
                "unit": self._sensor.unit,
                "low": self._sensor.low,
                "high": self._sensor.high,
            },
        )
