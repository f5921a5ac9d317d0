"""Which facts raise and clear which alerts. PURE: typed facts in, effects out; no session, no clock.

Rules
  1. A fact raises at most one alert of one key, ``{station}:{kind}:{source}``; a repeat counts on the one not closed.
  2. What is latching stays until somebody acknowledges it, even when the condition is gone.
  3. A moment (``holds`` false) has no condition that could end: it waits for its acknowledgement alone.
  4. A fact that is older than the end of what it says is over too; lanes let facts overtake one another.
  5. A backfilled event has no effects (the caller does not ask). What still holds after an outage is found by
     ``standing``: the state in a heartbeat ensures or clears, and never counts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from cloud_hub.models.alert import Severity
from firmware_config.units import NAME_PATTERN
from firmware_config.vocabulary import DoorState, EventKind
from firmware_config.wire import DoorStatus, OccupancyStatus, Scalar

OVER_CAPACITY: Final = "occupancy.over_capacity"
SILENT: Final = "station.silent"
STORE_LOST: Final = "order.unknown_final"
CONTRADICTED: Final = "order.contradicted"
SIGNER_REFUSED: Final = "order.signer_refused"
ROSTER_BEHIND: Final = "roster.behind"
LIVENESS_OFF: Final = "liveness.off"
ERASURE_UNRECEIPTED: Final = "erasure.unreceipted"

CAMERA_LOST_WORD: Final = "lost"
"""Value of ``Heartbeat.cameras`` for a camera that delivers nothing."""

UNWRITABLE: Final = frozenset({"full", "read_only"})
"""Values of ``Heartbeat.storage.state`` at which the station can keep nothing."""

MOST_SPANS: Final = 16
"""Spans of lost numbers that one alert names."""

_CODE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")


@dataclass(frozen=True, slots=True)
class Raise:
    """Something is wrong.

    Attributes:
        source: door, camera, sensor or code; empty for the station itself.
        counts: a repeat; False where it only says that the condition (still) holds.
        holds: the condition lasts until a ``Clear``.
        renews: a repeat brings newer ``data``.
        resumes: soon after its end it is the same incident again: a flapping line is told of once (safety.md, fault 9).
    """

    kind: str
    severity: Severity
    source: str = ""
    latching: bool = False
    holds: bool = True
    counts: bool = True
    renews: bool = False
    resumes: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clear:
    """The condition is gone.

    Attributes:
        ordered: only what was raised before it: lanes and resends let facts of a station overtake one another.
    """

    kind: str
    source: str = ""
    ordered: bool = False


Effect: TypeAlias = Raise | Clear


def key_of(station_id: str, effect: Effect) -> str:
    """What at most one alert that is not closed may be about."""
    return f"{station_id}:{effect.kind}:{effect.source}"


@dataclass(frozen=True, slots=True)
class Rule:
    """An event of this kind raises an alert named like it; the event's data names the source under ``source``."""

    severity: Severity
    source: str | None
    latching: bool = False
    holds: bool = True


RULES: Final[dict[EventKind, Rule]] = {
    EventKind.DOOR_FORCED: Rule(Severity.CRITICAL, "door", latching=True),
    EventKind.DOOR_HELD_OPEN: Rule(Severity.MAJOR, "door"),
    EventKind.DOOR_CONTACT_FAULT: Rule(Severity.MAJOR, "door"),
    EventKind.DOOR_RELAY_FAULT: Rule(Severity.MAJOR, "door", latching=True, holds=False),
    EventKind.ACCESS_WRONGFUL_DENIAL: Rule(Severity.MAJOR, "door", latching=True, holds=False),
    EventKind.ACCESS_DURESS: Rule(Severity.CRITICAL, "door", latching=True, holds=False),
    EventKind.ACCESS_LOCKED_OUT: Rule(Severity.MINOR, "door", latching=True, holds=False),
    EventKind.HELP_REQUESTED: Rule(Severity.MAJOR, "door", latching=True, holds=False),
    EventKind.FIRE_ACTIVE: Rule(Severity.CRITICAL, None, latching=True),
    EventKind.TAMPER_OPENED: Rule(Severity.CRITICAL, None, latching=True),
    EventKind.MAINS_LOST: Rule(Severity.MAJOR, None),
    EventKind.CAMERA_LOST: Rule(Severity.MAJOR, "camera"),
    EventKind.SENSOR_OUT_OF_RANGE: Rule(Severity.MAJOR, "sensor"),
    EventKind.SENSOR_LOST: Rule(Severity.MAJOR, "sensor"),
    EventKind.ORDER_REFUSED: Rule(Severity.MINOR, "reason", latching=True, holds=False),
    EventKind.EVENTS_LOST: Rule(Severity.MAJOR, None, latching=True, holds=False),
    EventKind.STORAGE_DAMAGED: Rule(Severity.MAJOR, None, latching=True, holds=False),
    EventKind.STORAGE_FULL: Rule(Severity.CRITICAL, None),
    EventKind.STORAGE_WORN: Rule(Severity.MINOR, None, latching=True, holds=False),
}

CLEARS: Final[dict[EventKind, tuple[EventKind, ...]]] = {
    EventKind.DOOR_CLOSED: (EventKind.DOOR_FORCED, EventKind.DOOR_HELD_OPEN),
    EventKind.DOOR_CONTACT_RESTORED: (EventKind.DOOR_CONTACT_FAULT,),
    EventKind.FIRE_CLEARED: (EventKind.FIRE_ACTIVE,),
    EventKind.TAMPER_CLOSED: (EventKind.TAMPER_OPENED,),
    EventKind.MAINS_RESTORED: (EventKind.MAINS_LOST,),
    EventKind.CAMERA_RESTORED: (EventKind.CAMERA_LOST,),
    EventKind.SENSOR_IN_RANGE: (EventKind.SENSOR_OUT_OF_RANGE,),
    EventKind.SENSOR_RESTORED: (EventKind.SENSOR_LOST,),
    EventKind.STORAGE_RECOVERED: (EventKind.STORAGE_FULL,),
}

NO_ALERT: Final = frozenset(
    {
        EventKind.ACCESS_GRANTED,
        EventKind.ACCESS_DENIED,
        EventKind.DOOR_OPENED,
        EventKind.DOOR_PREALARM,  # the person at the door is warned; the hub is told when it did not help
        EventKind.EXIT_REQUESTED,
        EventKind.STATION_STARTED,
        EventKind.STATION_STOPPED,
        EventKind.ENROLMENT_REFUSED,
        EventKind.PERSON_ENROLLED,
        EventKind.PERSON_ERASED,
        EventKind.CONSENT_GIVEN,
        EventKind.CONSENT_WITHDRAWN,
        EventKind.TEMPLATE_REPLICATED,
        EventKind.TEMPLATE_EXPIRED,
        EventKind.DOOR_MODE_CHANGED,
        EventKind.CLOCK_SYNCED,
        EventKind.CLOCK_STEPPED,
        EventKind.EVENT_REPEATED,
        EventKind.LINK_REBUILT,
    }
)
"""Events that only fill history. Every kind is in exactly one of the tables, or is ``OCCUPANCY_CHANGED``."""


def of_event(kind: EventKind, data: Mapping[str, Scalar]) -> tuple[Effect, ...]:
    """Effects of one live event."""
    if (rule := RULES.get(kind)) is not None:
        return (
            Raise(
                kind=kind.value,
                severity=rule.severity,
                source=source_of(data, rule.source),
                latching=rule.latching,
                holds=rule.holds,
                data=dict(data),
            ),
        )
    if (cleared := CLEARS.get(kind)) is not None:
        return tuple(
            Clear(other.value, source_of(data, RULES[other].source), ordered=True) for other in cleared
        )
    if kind is EventKind.OCCUPANCY_CHANGED:
        return _crowd(data.get("estimate"), data.get("capacity"), counts=True)
    return ()


def source_of(data: Mapping[str, Scalar], name: str | None) -> str:
    """The part of a station that an event is about; what is no name counts as the station itself."""
    value = data.get(name) if name else None
    return value if isinstance(value, str) and _CODE.fullmatch(value) else ""


def standing(
    doors: tuple[DoorStatus, ...], cameras: Mapping[str, str], occupancy: OccupancyStatus
) -> tuple[Effect, ...]:
    """What the state in a heartbeat says of conditions whose events may have come too late."""
    effects: list[Effect] = []
    for door in doors:
        effects += _door(door)
    for camera, word in cameras.items():
        if not re.fullmatch(NAME_PATTERN, camera):
            continue
        effects.append(
            _ensure(EventKind.CAMERA_LOST, camera, {"camera": camera})
            if word == CAMERA_LOST_WORD
            else Clear(EventKind.CAMERA_LOST.value, camera, ordered=True)
        )
    return (*effects, *_crowd(occupancy.estimate, occupancy.capacity, counts=False))


def storage(state: str) -> Effect:
    """What a heartbeat says of the station's disk."""
    if state in UNWRITABLE:
        return _ensure(EventKind.STORAGE_FULL, "", {"storage": state})
    return Clear(EventKind.STORAGE_FULL.value, ordered=True)


def events_lost(count: int) -> Raise:
    """The station counts more lost events than before."""
    rule = RULES[EventKind.EVENTS_LOST]
    return Raise(
        EventKind.EVENTS_LOST.value,
        rule.severity,
        latching=rule.latching,
        holds=rule.holds,
        counts=False,
        renews=True,
        data={"lost": count},
    )


def numbers_lost(spans: Sequence[tuple[int, int]]) -> Raise:
    """Events with these numbers will never come."""
    lost = events_lost(sum(last - first + 1 for first, last in spans))
    shown = [str(first) if first == last else f"{first}–{last}" for first, last in spans[:MOST_SPANS]]
    more = ["…"] if len(spans) > MOST_SPANS else []
    return replace(lost, counts=True, data={**lost.data, "numbers": ", ".join([*shown, *more])})


def liveness(mode: str, engine: str) -> Effect:
    """A standing notice while faces open doors and nobody checks that they are no pictures.

    Args:
        mode: of the station's latest birth.
        engine: its face engine; empty where entry by face is off.
    """
    if mode == "off" and engine:
        return Raise(LIVENESS_OFF, Severity.MINOR, counts=False)
    return Clear(LIVENESS_OFF)


def roster_behind(versions: tuple[int, int] | None) -> Effect:
    """A station lacks its roster although it has been online for long: the version it should have, and has."""
    if versions is None:
        return Clear(ROSTER_BEHIND)
    version, applied = versions
    return Raise(ROSTER_BEHIND, Severity.MAJOR, counts=False, data={"roster": version, "applied": applied})


def erasure_unreceipted(waiting: int) -> Effect:
    """Erasures whose receipt is overdue at a station: somebody's data is still there."""
    if not waiting:
        return Clear(ERASURE_UNRECEIPTED)
    return Raise(ERASURE_UNRECEIPTED, Severity.MAJOR, counts=False, data={"erasures": waiting})


def _door(door: DoorStatus) -> list[Effect]:
    kinds = {DoorState.FORCED: EventKind.DOOR_FORCED, DoorState.HELD_OPEN: EventKind.DOOR_HELD_OPEN}
    if (kind := kinds.get(door.state)) is not None:
        return [_ensure(kind, door.id, {"door": door.id})]
    if door.contact_open is False:
        return [Clear(kind.value, door.id, ordered=True) for kind in kinds.values()]
    return []


def _ensure(kind: EventKind, source: str, data: Mapping[str, Any]) -> Raise:
    rule = RULES[kind]
    return Raise(kind.value, rule.severity, source, latching=rule.latching, counts=False, data=data)


def _crowd(estimate: Scalar, capacity: Scalar, *, counts: bool) -> tuple[Effect, ...]:
    """Capacity 0 means that nobody set one."""
    if not isinstance(estimate, int) or not isinstance(capacity, int):
        return ()
    if 0 < capacity < estimate:
        crowd = {"estimate": estimate, "capacity": capacity}
        return (Raise(OVER_CAPACITY, Severity.MAJOR, counts=counts, data=crowd),)
    return (Clear(OVER_CAPACITY, ordered=True),)
