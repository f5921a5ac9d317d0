"""The room behind the doors on the control thread: siren, people inside, sensors, cameras, case and mains."""

import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from firmware_config.profiles import Sensor
from firmware_config.vocabulary import EventKind
from firmware_config.wire import OccupancyStatus, Scalar
from station_agent import facts
from station_agent.clock import Clock, Stamp
from station_agent.core.alarm import Alarm, AlarmAction
from station_agent.core.health import Health, HealthChange
from station_agent.core.occupancy import Occupancy, Passage
from station_agent.devices.siren import Siren
from station_agent.doorkeeper import Cause
from station_agent.errors import DeviceError

log = logging.getLogger(__name__)

Record = Callable[[EventKind, Mapping[str, Scalar]], None]

_PASSAGES: Final = {
    "face": Passage.ENTERED,
    "pass": Passage.ENTERED,
    "pin": Passage.ENTERED,
    "held_open": Passage.ENTERED,
    "order": Passage.UNKNOWN,
    "exit": Passage.LEFT,
}
"""An order opens for somebody outside or inside: nobody said which."""


class Readings(Protocol):
    """Where readings are kept until the hub has them."""

    def put_reading(self, name: str, value: float, stamp: Stamp) -> None:
        """Keep one reading; returns at once."""


class Room:
    """One for the station. Control thread only."""

    def __init__(
        self,
        *,
        clock: Clock,
        siren: Siren | None,
        alarm: Alarm,
        occupancy: Occupancy,
        sensors: Mapping[str, Sensor],
        cameras: list[str],
        readings: Readings,
        record: Record,
    ) -> None:
        self._clock = clock
        self._siren = siren
        self._alarm = alarm
        self._occupancy = occupancy
        self._readings = readings
        self._record = record
        now_s = clock.monotonic_s()
        self._health = {name: Health(sensor, now_s=now_s) for name, sensor in sensors.items()}
        self._cameras = dict.fromkeys(cameras, "ok")

    @property
    def deadline_s(self) -> float | None:
        """When ``tick`` is due, on the monotonic clock."""
        deadlines = [health.deadline_s for health in self._health.values()]
        if self._alarm.deadline_s is not None:
            deadlines.append(self._alarm.deadline_s)
        return min(deadlines, default=None)

    def tick(self) -> None:
        """A deadline has passed: the siren's limit, or a sensor's reader that says nothing."""
        now_s = self._clock.monotonic_s()
        self._sound(self._alarm.time_out(now_s=now_s))
        for health in self._health.values():
            self._tell(health.time_out(now_s=now_s))

    def occupancy(self) -> OccupancyStatus:
        """People inside, for the heartbeat."""
        return self._occupancy.status

    def cameras(self) -> dict[str, str]:
        """Cameras by id, ``ok`` or ``lost``."""
        return dict(self._cameras)

    def passed(self, cause: Cause) -> None:
        """A door was opened legally."""
        if self._occupancy.opened(_PASSAGES.get(cause.via, Passage.UNKNOWN)):
            status = self._occupancy.status
            self._record(
                EventKind.OCCUPANCY_CHANGED,
                {
                    "estimate": status.estimate,
                    "low": status.low,
                    "high": status.high,
                    "capacity": status.capacity,
                },
            )

    def forced(self, door: str) -> None:
        """A door was opened without a grant: sound at once, hub or no hub."""
        self._raise(f"forced:{door}")

    def closed(self, door: str) -> None:
        """A door was closed."""
        self._alarm.clear(f"forced:{door}")

    def fire(self, fact: facts.FireChanged) -> None:
        """The doors are released by their keepers; here it is put on record."""
        self._record(EventKind.FIRE_ACTIVE if fact.active else EventKind.FIRE_CLEARED, {})

    def tamper(self, fact: facts.TamperChanged) -> None:
        """The case was opened or closed."""
        self._record(EventKind.TAMPER_OPENED if fact.open else EventKind.TAMPER_CLOSED, {})
        if fact.open:
            self._raise("tamper")
        else:
            self._alarm.clear("tamper")

    def mains(self, fact: facts.MainsChanged) -> None:
        """Mains power went or came."""
        self._record(EventKind.MAINS_RESTORED if fact.present else EventKind.MAINS_LOST, {})

    def camera(self, fact: facts.CameraChanged) -> None:
        """A camera stopped or resumed delivering frames."""
        state = "ok" if fact.present else "lost"
        if self._cameras.get(fact.camera) == state:
            return
        self._cameras[fact.camera] = state
        kind = EventKind.CAMERA_RESTORED if fact.present else EventKind.CAMERA_LOST
        self._record(kind, {"camera": fact.camera})

    def sensor(self, fact: facts.SensorRead) -> None:
        """A sensor was read, or could not be."""
        if fact.value is not None:
            self._readings.put_reading(fact.name, fact.value, self._clock.stamp())
        self._tell(self._health[fact.name].read(fact.value, now_s=self._clock.monotonic_s()))

    def _tell(self, changes: tuple[HealthChange, ...]) -> None:
        for change in changes:
            self._record(change.kind, change.data)

    def _raise(self, cause: str) -> None:
        self._sound(self._alarm.raise_cause(cause, now_s=self._clock.monotonic_s()))

    def _sound(self, actions: tuple[AlarmAction, ...]) -> None:
        for action in actions:
            if self._siren is None:
                continue
            try:
                if action is AlarmAction.SOUND_SIREN:
                    self._siren.sound()
                else:
                    self._siren.silence()
            except DeviceError:
                # A dead siren must not take the doors with it; the alarm goes to the hub all the same.
                log.exception("siren_failed", extra={"action": action.value})
