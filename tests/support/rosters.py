"""Rosters, groups and moments for tests."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from firmware_config.roster import (
    ROSTER_LIFE_MS,
    Group,
    Opening,
    RosterDocument,
    RosterPerson,
    content_digest,
)
from firmware_config.wire import Clock
from station_agent.clock import Stamp
from station_agent.core.roster import Roster

STATION = "st-test0001"
DAY = Opening(0, 24 * 60)
ALWAYS = Group(id="always", weekly=[[DAY]] * 7)
NIGHT = Group(id="night", weekly=[[Opening(22 * 60, 30 * 60)]] * 7)
OFFICE = Group(id="office", weekly=[*[[Opening(8 * 60, 18 * 60)]] * 5, [], []], holiday=[])
STAFF = Group(id="staff", weekly=[[Opening(6 * 60, 20 * 60)]] * 7)
AFTER_STAFF = Group(id="after-staff", weekly=[[Opening(8 * 60, 18 * 60)]] * 7, waits_for="staff")
GROUPS = [ALWAYS, NIGHT, OFFICE, STAFF, AFTER_STAFF]

ANNA = RosterPerson(id="anna", number="1042", groups=["always"], face=True, consent=1)


def at(when: str | datetime, *, trust: Clock = "synced", mono_ms: int = 1_000_000) -> Stamp:
    """A moment, from ISO text in UTC or an aware time."""
    moment = datetime.fromisoformat(when).replace(tzinfo=UTC) if isinstance(when, str) else when
    return Stamp(boot_id="b" * 32, mono_ms=mono_ms, wall_ms=round(moment.timestamp() * 1000), trust=trust)


NOON = at("2026-05-06T04:00")
"""Noon on a Wednesday in Shanghai."""


def document(
    *people: RosterPerson, version: int = 1, issued_ms: int = NOON.wall_ms, **fields: Any
) -> RosterDocument:
    """A roster with the groups above."""
    return RosterDocument(
        station=STATION,
        version=version,
        issued_ms=issued_ms,
        expires_ms=issued_ms + ROSTER_LIFE_MS,
        people=list(people),
        **{"groups": GROUPS, **fields},
    )


def roster(*people: RosterPerson, received_mono_ms: int | None = None, **fields: Any) -> Roster:
    """The same, indexed."""
    made = document(*people, **fields)
    return Roster(made, content_digest(msgspec.json.encode(made)), received_mono_ms=received_mono_ms)
