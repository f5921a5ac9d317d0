"""Opening hours of a group, by the clock on the wall in the station's own zone. PURE: no clock, thread or file.

Rules
  1. The wall clock decides: an opening from 08:00 to 18:00 is meant as a person there reads it, in summer and in winter.
     What a changing clock skips is never seen; what it repeats counts both times.
  2. An opening belongs to the day on which it begins and may run past midnight; that day's calendar decides, so a night
     that begins before a holiday goes on into it.
  3. A holiday has the group's holiday hours, or its ordinary ones when the group has none for holidays. A make-up
     workday (调休) has the hours of the weekday it stands for.
  4. Openings that touch or overlap are one: whoever is inside at midnight is not sent out and in again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from firmware_config.roster import Group, Opening, SpecialDay

_DAY: Final = timedelta(days=1)
_DAY_MIN: Final = 24 * 60
_LONGEST_CHAIN: Final = 8
"""Days looked back for the start of touching openings; an always-open group began long ago in any case."""


@dataclass(frozen=True, slots=True)
class Current:
    """The opening that is going on.

    Attributes:
        began_at: aware, UTC. The first of two moments where a repeated hour leaves a choice.
    """

    began_at: datetime


def at_station(wall_ms: int, zone: ZoneInfo) -> datetime:
    """The time on the station's wall.

    Args:
        wall_ms: milliseconds since the Unix epoch.
        zone: the station's.
    """
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=wall_ms)).astimezone(zone)


def hours_on(day: date, group: Group, calendar: Mapping[str, SpecialDay]) -> list[Opening]:
    """The openings that begin on a day."""
    special = calendar.get(day.isoformat())
    if special is None:
        return group.weekly[day.weekday()]
    if special.kind == "workday":
        return group.weekly[special.as_weekday]
    return group.weekly[day.weekday()] if group.holiday is None else group.holiday


def current(now: datetime, group: Group, calendar: Mapping[str, SpecialDay]) -> Current | None:
    """The opening that ``now`` falls into, or None when it is closed.

    Args:
        now: aware, in the station's zone.
        group: whose hours.
        calendar: special days by date.
    """
    today = now.date()
    start_min = _start(now.hour * 60 + now.minute, today, group, calendar)
    if start_min is None:
        return None
    day, minute = today + _DAY * (start_min // _DAY_MIN), start_min % _DAY_MIN
    wall = datetime.combine(day, time(minute // 60, minute % 60), now.tzinfo)
    return Current(began_at=wall.astimezone(UTC))


def _start(at_min: int, today: date, group: Group, calendar: Mapping[str, SpecialDay]) -> int | None:
    """First minute of the chain of openings that holds ``at_min``, counted from today's midnight."""
    openings = [
        (back * _DAY_MIN + opening.opens_min, back * _DAY_MIN + opening.closes_min)
        for back in range(-_LONGEST_CHAIN, 1)
        for opening in hours_on(today + _DAY * back, group, calendar)
    ]
    live = [opens for opens, closes in openings if opens <= at_min < closes]
    if not live:
        return None
    start = min(live)
    for _ in openings:
        start = min([start, *(opens for opens, closes in openings if opens < start <= closes)])
    return start


def always_open(group: Group) -> bool:
    """Open at every minute of every day, holiday or not, so that no clock is needed to say so."""
    days = [*group.weekly, *([] if group.holiday is None else [group.holiday])]
    return all(_whole_day(openings) for openings in days)


def _whole_day(openings: list[Opening]) -> bool:
    reached = 0
    for opening in sorted(openings, key=lambda opening: opening.opens_min):
        if opening.opens_min > reached:
            return False
        reached = max(reached, opening.closes_min)
    return reached >= _DAY_MIN
