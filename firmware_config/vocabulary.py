"""The words both sides use: kinds of events, states of doors, outcomes of orders."""

from enum import IntEnum, StrEnum
from typing import Final


class EventKind(StrEnum):
    """What can happen at a station, ``subject.fact``."""

    ACCESS_GRANTED = "access.granted"
    ACCESS_DENIED = "access.denied"
    ACCESS_WRONGFUL_DENIAL = "access.wrongful_denial"
    ACCESS_DURESS = "access.duress"
    ACCESS_LOCKED_OUT = "access.locked_out"
    DOOR_OPENED = "door.opened"
    DOOR_CLOSED = "door.closed"
    DOOR_FORCED = "door.forced"
    DOOR_PREALARM = "door.prealarm"
    DOOR_HELD_OPEN = "door.held_open"
    DOOR_CONTACT_FAULT = "door.contact_fault"
    DOOR_CONTACT_RESTORED = "door.contact_restored"
    DOOR_RELAY_FAULT = "door.relay_fault"
    DOOR_MODE_CHANGED = "door.mode_changed"
    EXIT_REQUESTED = "exit.requested"
    HELP_REQUESTED = "help.requested"
    FIRE_ACTIVE = "fire.active"
    FIRE_CLEARED = "fire.cleared"
    TAMPER_OPENED = "tamper.opened"
    TAMPER_CLOSED = "tamper.closed"
    MAINS_LOST = "mains.lost"
    MAINS_RESTORED = "mains.restored"
    CAMERA_LOST = "camera.lost"
    CAMERA_RESTORED = "camera.restored"
    SENSOR_OUT_OF_RANGE = "sensor.out_of_range"
    SENSOR_IN_RANGE = "sensor.in_range"
    SENSOR_LOST = "sensor.lost"
    SENSOR_RESTORED = "sensor.restored"
    OCCUPANCY_CHANGED = "occupancy.changed"
    ORDER_REFUSED = "order.refused"
    CLOCK_SYNCED = "clock.synced"
    CLOCK_STEPPED = "clock.stepped"
    EVENTS_LOST = "events.lost"
    EVENT_REPEATED = "event.repeated"
    LINK_REBUILT = "link.rebuilt"
    STORAGE_DAMAGED = "storage.damaged"
    STORAGE_FULL = "storage.full"
    STORAGE_RECOVERED = "storage.recovered"
    STORAGE_WORN = "storage.worn"
    STATION_STARTED = "station.started"
    STATION_STOPPED = "station.stopped"
    ENROLMENT_REFUSED = "enrolment.refused"
    PERSON_ENROLLED = "person.enrolled"
    PERSON_ERASED = "person.erased"
    CONSENT_GIVEN = "consent.given"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    TEMPLATE_REPLICATED = "template.replicated"
    TEMPLATE_EXPIRED = "template.expired"


class Lane(IntEnum):
    """How urgent an event is: what waits goes up in this order, and is given up in the reverse (safety.md D8)."""

    ALARM = 0
    ACCESS = 1
    AUDIT = 2


_ALARMS: Final = frozenset(
    {
        EventKind.ACCESS_DURESS,
        EventKind.ACCESS_LOCKED_OUT,
        EventKind.DOOR_FORCED,
        EventKind.DOOR_HELD_OPEN,
        EventKind.DOOR_RELAY_FAULT,
        EventKind.DOOR_CONTACT_FAULT,
        EventKind.DOOR_CONTACT_RESTORED,
        EventKind.HELP_REQUESTED,
        EventKind.FIRE_ACTIVE,
        EventKind.FIRE_CLEARED,
        EventKind.TAMPER_OPENED,
        EventKind.TAMPER_CLOSED,
        EventKind.MAINS_LOST,
        EventKind.MAINS_RESTORED,
        EventKind.CAMERA_LOST,
        EventKind.CAMERA_RESTORED,
        EventKind.SENSOR_OUT_OF_RANGE,
        EventKind.SENSOR_IN_RANGE,
        EventKind.SENSOR_LOST,
        EventKind.SENSOR_RESTORED,
        EventKind.ORDER_REFUSED,
        EventKind.EVENTS_LOST,
        EventKind.STORAGE_DAMAGED,
        EventKind.STORAGE_FULL,
        EventKind.STORAGE_RECOVERED,
        EventKind.STORAGE_WORN,
    }
)
"""What raises or clears an alert, each with the end of what it began: they must not overtake one another."""

_ACCESS: Final = frozenset(
    {
        EventKind.ACCESS_GRANTED,
        EventKind.ACCESS_DENIED,
        EventKind.ACCESS_WRONGFUL_DENIAL,
        EventKind.DOOR_OPENED,
        EventKind.DOOR_CLOSED,
        EventKind.DOOR_PREALARM,
        EventKind.DOOR_MODE_CHANGED,
        EventKind.EXIT_REQUESTED,
    }
)


def lane_of(kind: EventKind) -> Lane:
    """Where an event waits."""
    if kind in _ALARMS:
        return Lane.ALARM
    return Lane.ACCESS if kind in _ACCESS else Lane.AUDIT


class DoorMode(StrEnum):
    """What an administrator may order for a door, for a time."""

    NORMAL = "normal"
    HOLD_OPEN = "hold_open"
    LOCK_DOWN = "lock_down"


class DoorState(StrEnum):
    """The door core's states, as shown to people."""

    LOCKED = "locked"
    UNLOCKED = "unlocked"
    EXITING = "exiting"
    GRACE = "grace"
    OPEN = "open"
    PREALARM = "prealarm"
    HELD_OPEN = "held_open"
    FORCED = "forced"
    FIRE_CLOSED = "fire_closed"
    FIRE_OPEN = "fire_open"
    FIRE_UNSENSED = "fire_unsensed"
    UNSENSED = "unsensed"
    UNSENSED_UNLOCKED = "unsensed_unlocked"


class Outcome(StrEnum):
    """What the station says became of an order; ``APPLIED``: the door's mode is as ordered."""

    PULSING = "pulsing"
    OPENED = "opened"
    PULSED_NOT_OPENED = "pulsed_not_opened"
    APPLIED = "applied"
    ACTUATOR_FAULT = "actuator_fault"
    REJECTED = "rejected"
    EXPIRED = "expired"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Nothing may follow."""
        return self is not Outcome.PULSING
