"""The words both sides use: kinds of events, states of doors, outcomes of orders."""

from enum import StrEnum


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
    STATION_STARTED = "station.started"
    STATION_STOPPED = "station.stopped"
    ENROLMENT_REFUSED = "enrolment.refused"
    PERSON_ENROLLED = "person.enrolled"
    PERSON_ERASED = "person.erased"
    CONSENT_GIVEN = "consent.given"
    CONSENT_WITHDRAWN = "consent.withdrawn"
    TEMPLATE_REPLICATED = "template.replicated"
    TEMPLATE_EXPIRED = "template.expired"


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
    """What the station says became of an order."""

    PULSING = "pulsing"
    OPENED = "opened"
    PULSED_NOT_OPENED = "pulsed_not_opened"
    ACTUATOR_FAULT = "actuator_fault"
    REJECTED = "rejected"
    EXPIRED = "expired"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """Nothing may follow."""
        return self is not Outcome.PULSING
