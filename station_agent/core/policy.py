"""Whether somebody whose identity is established may come in now. PURE: decided here, with the network down.

Rules
  1. Who they are was found out before: by face, pass or PIN. This decides whether, never who.
  2. A person enters who is on the roster, active, and in a group that is open now and may use this door. One such group
     is enough; otherwise the most hopeful reason is told.
  3. Entry by face also needs the roster's word that face is allowed, or the person's own, given at this station's kiosk
     under this very roster; their withdrawal here beats it (``core.consents``).
  4. Hours need a synchronised clock, except for a group that is always open. Doubt means no.
  5. Without any roster, what the configuration says: ``nobody``, or ``enrolled``: faces enrolled at this very station.
     Passes and PINs need a roster in any case.
  6. A group that waits for another opens with that group's first entry in the same opening.
  7. Anti-passback only notes (safety.md S8): a second entry within ``PASSBACK_S`` is granted and marked.
  8. Guests have the hours and doors of the guests' group, and no more enter in a day than the roster allows. Without a
     synchronised clock nobody knows which day it is: no guests.
  9. A door that is locked down lets nobody in, whoever they are and however they ask.
  10. Exit, help, fire and remote orders never come here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from firmware_config.roster import Group
from station_agent.core.consents import Consents
from station_agent.core.moment import Moment
from station_agent.core.roster import Freshness, Roster
from station_agent.core.schedule import Current, always_open, at_station, current

PASSBACK_S: Final = 600.0
"""Time in which nobody is expected to enter twice (safety.md S8)."""

Way: TypeAlias = Literal["face", "pass", "pin"]
WithoutRoster: TypeAlias = Literal["enrolled", "nobody"]


class Refusal(StrEnum):
    """Why somebody known may not come in."""

    NO_ROSTER = "no_roster"
    NOT_ON_ROSTER = "not_on_roster"
    PERSON_INACTIVE = "person_inactive"
    FACE_NOT_ALLOWED = "face_not_allowed"
    NO_GROUP = "no_group"
    WRONG_DOOR = "wrong_door"
    OUTSIDE_HOURS = "outside_hours"
    CLOCK = "clock_unsynchronised"
    NOT_YET_OPENED = "not_yet_opened"
    NO_GUESTS = "no_guests"
    GUEST_CAP = "guest_cap"
    LOCKED_DOWN = "locked_down"


_HOPEFUL: Final = (
    Refusal.NOT_YET_OPENED,
    Refusal.CLOCK,
    Refusal.OUTSIDE_HOURS,
    Refusal.WRONG_DOOR,
    Refusal.NO_GROUP,
)
"""Of several groups' reasons the first of these is told."""


class Note(StrEnum):
    """What is worth keeping about a grant."""

    ROSTER_STALE = "roster_stale"
    ROSTER_AGE_UNKNOWN = "roster_age_unknown"
    WITHOUT_ROSTER = "without_roster"
    PASSBACK = "passback"


@dataclass(frozen=True, slots=True)
class Grant:
    """Come in.

    Attributes:
        extended: the door stays unlocked longer.
        notes: for the event.
    """

    extended: bool
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Deny:
    """Not now, not here, or not at all."""

    reason: Refusal


@dataclass(frozen=True, slots=True)
class Guest:
    """The holder of a guest pass.

    Attributes:
        label: pseudonymous.
        extended: as the pass says.
    """

    label: str
    extended: bool = False


Decision: TypeAlias = Grant | Deny


class Entries:
    """Who has entered, as far as decisions need it. Control thread only."""

    def __init__(
        self, *, group_entered_ms: Mapping[str, int] | None = None, guests: Mapping[str, int] | None = None
    ) -> None:
        """Go on from what was kept.

        Args:
            group_entered_ms: by group, its latest entry by a synchronised clock, milliseconds since the Unix epoch.
            guests: guests by day, ``2026-05-01``.
        """
        self._group_ms = dict(group_entered_ms or {})
        self._guests = dict(guests or {})
        self._person_mono_ms: dict[str, int] = {}

    def entered(self, person: str, groups: Iterable[str], at: Moment) -> dict[str, int]:
        """A person has opened the door. Returns the groups' new latest entries, to be kept."""
        self._person_mono_ms[person] = at.mono_ms
        if at.trust != "synced":
            return {}
        fresh = {group: max(at.wall_ms, self._group_ms.get(group, 0)) for group in groups}
        self._group_ms.update(fresh)
        return fresh

    def guest_admitted(self, day: date) -> None:
        """A guest pass was spent. Other days are forgotten."""
        self._guests = {day.isoformat(): self.guests_on(day) + 1}

    def guests_on(self, day: date) -> int:
        """Guest passes spent on a day, in the station's zone."""
        return self._guests.get(day.isoformat(), 0)

    def forget_people(self) -> None:
        """The room is empty, or nobody can know who is inside: passback begins anew."""
        self._person_mono_ms.clear()

    def forget(self, person: str) -> None:
        """The person was erased."""
        self._person_mono_ms.pop(person, None)

    def recently(self, person: str, at: Moment) -> bool:
        """They entered within ``PASSBACK_S``."""
        before = self._person_mono_ms.get(person)
        return before is not None and at.mono_ms - before < PASSBACK_S * 1000

    def group_since(self, group: str, opening: Current, at: Moment) -> bool:
        """A member of the group has entered in this opening."""
        latest = self._group_ms.get(group)
        return latest is not None and opening.began_at.timestamp() * 1000 <= latest <= at.wall_ms


def decide(
    who: str | Guest,
    *,
    via: Way,
    door: str,
    at: Moment,
    zone: ZoneInfo,
    roster: Roster | None,
    entries: Entries,
    without_roster: WithoutRoster,
    consents: Consents | None = None,
    locked_down: bool = False,
) -> Decision:
    """Decide one entry.

    Args:
        who: a person's id, or a guest.
        via: how their identity was established.
        door: which they want to open.
        at: this moment.
        zone: the station's.
        roster: in force; None when there is none.
        entries: who has entered.
        without_roster: whom to let in while there is no roster (rule 5).
        consents: what people said at this station's kiosk.
        locked_down: an administrator has stopped entry at this door.
    """
    if locked_down:
        return Deny(Refusal.LOCKED_DOWN)
    if roster is None:
        return _without(who, via, at, entries, without_roster)
    said = Consents() if consents is None else consents
    scene = _Scene(door=door, at=at, zone=zone, roster=roster, entries=entries, consents=said)
    if isinstance(who, Guest):
        reason, extended = _guest(scene), who.extended
    else:
        reason = _person(who, via, scene)
        extended = who in roster.people and roster.people[who].extended
    return Grant(extended, _notes(who, scene)) if reason is None else Deny(reason)


def local_day(at: Moment, zone: ZoneInfo) -> date:
    """The station's date."""
    return at_station(at.wall_ms, zone).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """Everything a decision looks at but who it is about."""

    door: str
    at: Moment
    zone: ZoneInfo
    roster: Roster
    entries: Entries
    consents: Consents


def _without(
    who: str | Guest, via: Way, at: Moment, entries: Entries, without_roster: WithoutRoster
) -> Decision:
    if without_roster != "enrolled" or via != "face" or isinstance(who, Guest):
        return Deny(Refusal.NO_ROSTER)
    passback = (Note.PASSBACK,) if entries.recently(who, at) else ()
    return Grant(extended=False, notes=(Note.WITHOUT_ROSTER, *passback))


def _person(who: str, via: Way, scene: _Scene) -> Refusal | None:
    person = scene.roster.people.get(who)
    if person is None:
        return Refusal.NOT_ON_ROSTER
    if not person.active:
        return Refusal.PERSON_INACTIVE
    if via == "face" and not scene.consents.face_allowed(
        who, roster_says=person.face, version=scene.roster.version
    ):
        return Refusal.FACE_NOT_ALLOWED
    reasons = {_group(scene.roster.groups[group], scene) for group in person.groups}
    if None in reasons:
        return None
    return next((reason for reason in _HOPEFUL if reason in reasons), Refusal.NO_GROUP)


def _guest(scene: _Scene) -> Refusal | None:
    rules = scene.roster.document.guests
    if rules is None:
        return Refusal.NO_GUESTS
    if scene.at.trust != "synced":
        return Refusal.CLOCK
    if scene.entries.guests_on(local_day(scene.at, scene.zone)) >= rules.daily_cap:
        return Refusal.GUEST_CAP
    return _group(scene.roster.groups[rules.group], scene)


def _group(group: Group, scene: _Scene) -> Refusal | None:
    if group.doors and scene.door not in group.doors:
        return Refusal.WRONG_DOOR
    if always_open(group) and group.waits_for is None:
        return None
    if scene.at.trust != "synced":
        return Refusal.CLOCK
    opening = current(at_station(scene.at.wall_ms, scene.zone), group, scene.roster.calendar)
    if opening is None:
        return Refusal.OUTSIDE_HOURS
    if group.waits_for is not None and not scene.entries.group_since(group.waits_for, opening, scene.at):
        return Refusal.NOT_YET_OPENED
    return None


def _notes(who: str | Guest, scene: _Scene) -> tuple[Note, ...]:
    freshness = scene.roster.freshness(scene.at)
    notes = []
    if freshness is Freshness.STALE:
        notes.append(Note.ROSTER_STALE)
    if freshness is Freshness.UNKNOWN:
        notes.append(Note.ROSTER_AGE_UNKNOWN)
    if isinstance(who, str) and scene.entries.recently(who, scene.at):
        notes.append(Note.PASSBACK)
    return tuple(notes)
