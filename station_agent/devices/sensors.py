"""Sensors: port, the kernel's files, simulated twin, and the one thread that reads them all.

Reading a file of the kernel may block (a DS18B20 takes 750 ms), so no other thread does it. A sensor that cannot be
read is a fact like any other, told as None.
"""

import logging
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from firmware_config.profiles import Sensor
from station_agent.clock import Clock
from station_agent.devices.switch import Put
from station_agent.facts import SensorRead
from station_agent.simulate.world import World

log = logging.getLogger(__name__)

POWER_ON_RAW: Final = 85_000.0
"""A DS18B20 says exactly +85 C when it lost power before it measured (datasheet, table 1); no room is so warm."""


class Probe(Protocol):
    """One sensor."""

    def read(self) -> float | None:
        """The value in the sensor's unit; None when it cannot be read. Never raises, may block for a second."""


class IioProbe:
    """A sensor of the kernel's industrial I/O subsystem: one number in a file."""

    def __init__(self, sensor: Sensor) -> None:
        self._path = Path(sensor.source)
        self._scale = sensor.scale
        self._offset = sensor.offset

    def read(self) -> float | None:
        """Raw number x scale + offset."""
        try:
            raw = float(self._path.read_text(encoding="ascii"))
        except (OSError, ValueError):  # gone, no answer on the bus, a checksum that failed, no number
            return None
        return raw * self._scale + self._offset if self.believed(raw) else None

    def believed(self, raw: float) -> bool:
        """Whether the raw number is a measurement."""
        return math.isfinite(raw)


class OnewireProbe(IioProbe):
    """A DS18B20, read through the kernel's w1 driver, which checks the checksum."""

    def believed(self, raw: float) -> bool:
        """Not the number it says before it has measured."""
        return super().believed(raw) and raw != POWER_ON_RAW


class SimulatedProbe:
    """A sensor in the simulated world."""

    def __init__(self, sensor: Sensor, *, world: World) -> None:
        self._name = sensor.name
        self._world = world

    def read(self) -> float | None:
        """The value the world was given."""
        return self._world.sensor(self._name)


class SensorReader:
    """Reads each sensor once in its period and tells the inbox.

    Args:
        sensors: their wiring.
        probes: by name, the same names.
        put: the inbox.
        clock: monotonic time.
    """

    def __init__(self, sensors: list[Sensor], probes: Mapping[str, Probe], *, put: Put, clock: Clock) -> None:
        self._sensors = {sensor.name: sensor for sensor in sensors}
        self._probes = probes
        self._put = put
        self._clock = clock
        self._lost: set[str] = set()
        self._due_s = dict.fromkeys(self._sensors, clock.monotonic_s())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sensors", daemon=True)

    def start(self) -> None:
        """Begin; the first readings are taken at once."""
        if self._sensors:
            self._thread.start()

    def read_due(self) -> float:
        """Read every sensor whose turn has come; seconds until the next turn."""
        now_s = self._clock.monotonic_s()
        for name, due_s in self._due_s.items():
            if due_s <= now_s:
                self._read(name)
                self._due_s[name] = now_s + self._sensors[name].period_s
        return max(0.0, min(self._due_s.values()) - self._clock.monotonic_s())

    def close(self) -> None:
        """End the thread; a reading that hangs is left to the end of the process. Safe to call twice."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _read(self, name: str) -> None:
        value = self._probes[name].read()
        if value is None and name not in self._lost:
            self._lost.add(name)
            log.warning("sensor lost", extra={"sensor": name})
        elif value is not None and name in self._lost:
            self._lost.discard(name)
            log.info("sensor back", extra={"sensor": name})
        self._put(SensorRead(name=name, value=value))

    def _run(self) -> None:
        try:
            while not self._stopped.wait(self.read_due()):
                pass
        except Exception:
            log.exception("sensor reader ended")  # the core takes its silence for lost sensors
