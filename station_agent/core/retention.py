"""Whose templates may be kept no longer. PURE.

Rules
  1. An unsynchronised clock destroys nothing, and nothing is destroyed for a roster that is not there.
  2. Once a roster newer than the enrolment has allowed somebody's face, the hub knows of their consent. From then on a
     roster that forbids it means that the consent was withdrawn: the templates go at once.
  3. Before that, a roster that forbids it may not have heard of the consent yet: an enrolment can be days older than the
     connection. The same holds for somebody who is no longer on the roster, because lists are mended as they are spoiled.
     The station notes when it first saw this, and destroys when a roster says the same that was issued ``GRACE_MS`` or
     more after that. The hub issues one at least every day.
  4. Templates of somebody who was last here ``expire_days`` ago are destroyed whatever the roster says. A day that is not
     known, because the clock was not, counts as the day on which the clock is known again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from station_agent.core.moment import Moment
from station_agent.core.roster import Roster

GRACE_MS: Final = 12 * 3_600_000
DAY_MS: Final = 24 * 3_600_000


class Cause(StrEnum):
    """Why templates were destroyed."""

    FACE_NOT_ALLOWED = "face_not_allowed"
    NOT_ON_ROSTER = "not_on_roster"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One enrolled person.

    Attributes:
        origin: the station their templates came from; empty when they were made here.
        confirmed: a roster newer than the enrolment has allowed their face (rule 2).
        barred_at_ms: when a roster was first seen to forbid what is not confirmed (rule 3); None while none does.
        visited_day: of the last visit or of the enrolment, in days since 1970-01-01; None while it is not known.
        said_at_roster: version of the roster in force when they agreed at this kiosk; 0 without one.
    """

    person: str
    origin: str = ""
    confirmed: bool = False
    barred_at_ms: int | None = None
    visited_day: int | None = None
    said_at_roster: int = 0


@dataclass(slots=True)
class Steps:
    """What one look has found.

    Attributes:
        now_ms: wall clock of the look, in milliseconds since the Unix epoch.
        today: in days since 1970-01-01.
        lapsed: by person, why their templates are to be destroyed now.
        confirmed: newly so.
        barred: newly so.
        let_in_again: barred no longer.
        undated: whose last visit counts as today's.
    """

    now_ms: int
    today: int
    lapsed: dict[str, Cause] = field(default_factory=dict)
    confirmed: list[str] = field(default_factory=list)
    barred: list[str] = field(default_factory=list)
    let_in_again: list[str] = field(default_factory=list)
    undated: list[str] = field(default_factory=list)


def look(people: Iterable[Kept], *, roster: Roster | None, at: Moment, expire_days: int) -> Steps | None:
    """Look at everybody enrolled; None by a clock that cannot be trusted (rule 1).

    Args:
        people: everybody.
        roster: in force.
        at: this moment.
        expire_days: rule 4.
    """
    if at.trust != "synced":
        return None
    steps = Steps(now_ms=at.wall_ms, today=at.wall_ms // DAY_MS)
    for kept in people:
        if kept.visited_day is None:
            steps.undated.append(kept.person)
        elif steps.today - kept.visited_day >= expire_days:
            steps.lapsed[kept.person] = Cause.EXPIRED
            continue
        if roster is not None:
            _judge(kept, roster, steps)
    return steps


def _judge(kept: Kept, roster: Roster, steps: Steps) -> None:
    listed = roster.people.get(kept.person)
    newer = roster.version > kept.said_at_roster
    if listed is not None and listed.face:
        if not kept.confirmed and newer:
            steps.confirmed.append(kept.person)
        elif kept.barred_at_ms is not None:
            steps.let_in_again.append(kept.person)
    elif listed is not None and kept.confirmed and newer:
        steps.lapsed[kept.person] = Cause.FACE_NOT_ALLOWED
    elif kept.barred_at_ms is None:
        steps.barred.append(kept.person)
    elif newer and roster.document.issued_ms - kept.barred_at_ms >= GRACE_MS:
        steps.lapsed[kept.person] = Cause.NOT_ON_ROSTER if listed is None else Cause.FACE_NOT_ALLOWED
