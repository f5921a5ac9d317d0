"""Groups with their opening hours, and the calendar of days that are not what their weekday says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.errors import Conflict, NotFound
from cloud_hub.models import CalendarDay, PeopleGroup, Station
from cloud_hub.people.services import invalid
from cloud_hub.roster.build import group_of
from cloud_hub.roster.services import touch
from firmware_config.roster import SpecialDay

MOST_GROUPS: Final = 64
MOST_DAYS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRules:
    """What a group is; the columns of ``PeopleGroup``."""

    weekly: list[Any]
    holiday: list[Any] | None = None
    stations: Sequence[str] = ()
    waits_for: str | None = None
    doors: Sequence[str] = ()
    guest_cap: int | None = None


def create_group(
    session: Session, *, group_id: str, rules: GroupRules, actor: str, now: datetime
) -> PeopleGroup:
    """Add a group.

    Raises:
        Invalid: with the field that breaks a rule.
        Conflict: the id is taken, or there are too many.
    """
    if session.get(PeopleGroup, group_id) is not None:
        raise Conflict(f"a group {group_id} exists")
    if (session.scalar(select(func.count()).select_from(PeopleGroup)) or 0) >= MOST_GROUPS:
        raise Conflict(f"at most {MOST_GROUPS} groups")
    group = PeopleGroup(id=group_id, created_at=now)
    _take(session, group, rules)
    session.add(group)
    return _keep(session, group, "group:create:done", actor=actor, now=now)


def replace_group(
    session: Session, *, group_id: str, rules: GroupRules, actor: str, now: datetime
) -> PeopleGroup:
    """Give a group other rules.

    Raises:
        NotFound: no such group.
        Invalid: with the field that breaks a rule.
    """
    group = session.get(PeopleGroup, group_id, with_for_update=True)
    if group is None:
        raise NotFound(f"no group {group_id!r}"[:120])
    with session.no_autoflush:
        _take(session, group, rules)
    return _keep(session, group, "group:replace:done", actor=actor, now=now)


def set_calendar(
    session: Session, days: Sequence[SpecialDay], *, actor: str, now: datetime
) -> Sequence[SpecialDay]:
    """Replace the calendar.

    Raises:
        Invalid: too many days, or one named twice.
    """
    if len(days) > MOST_DAYS:
        raise invalid("items", f"at most {MOST_DAYS} days")
    if len({day.day for day in days}) < len(days):
        raise invalid("items", "a day is named twice")
    session.execute(delete(CalendarDay))
    session.add_all(CalendarDay(day=day.day, kind=day.kind, as_weekday=day.as_weekday) for day in days)
    session.flush()
    touch(session)
    detail = {"days": sorted(f"{day.day} {day.kind} {day.as_weekday}" for day in days)}
    audit.record(
        session, actor=actor, action="calendar:replace:done", target="calendar", detail=detail, now=now
    )
    return sorted(days, key=lambda day: day.day)


def _take(session: Session, group: PeopleGroup, rules: GroupRules) -> None:
    group.weekly, group.holiday = rules.weekly, rules.holiday
    group.stations, group.doors = sorted(set(rules.stations)), sorted(set(rules.doors))
    group.waits_for, group.guest_cap = rules.waits_for, rules.guest_cap
    try:
        group_of(group)
    except msgspec.ValidationError as error:
        raise invalid("group", str(error)) from error
    known = set(session.scalars(select(Station.id).where(Station.id.in_(group.stations))))
    if unknown := sorted(set(group.stations) - known):
        raise invalid("stations", f"unknown: {', '.join(unknown)}"[:200])
    others = {row.id: row for row in session.scalars(select(PeopleGroup).where(PeopleGroup.id != group.id))}
    if (problem := _wrong_order(group, others)) is not None:
        raise invalid("waits_for", problem)


def _wrong_order(group: PeopleGroup, others: dict[str, PeopleGroup]) -> str | None:
    """Why nobody could ever open for somebody: every station of the waiting group must know the awaited one."""
    pairs = [(other, group) for other in others.values() if other.waits_for == group.id]
    if group.waits_for is not None:
        if (awaited := others.get(group.waits_for)) is None:
            return "no such group"
        if awaited.waits_for is not None:
            return f"{awaited.id} waits itself"
        if pairs:
            return f"{pairs[0][0].id} waits for this group"
        pairs = [(group, awaited)]
    for waiting, awaited in pairs:
        if awaited.stations and (not waiting.stations or set(waiting.stations) - set(awaited.stations)):
            return f"{awaited.id} does not count at every station of {waiting.id}"
    return None


def _keep(session: Session, group: PeopleGroup, action: str, *, actor: str, now: datetime) -> PeopleGroup:
    session.flush()
    touch(session)
    detail = {
        "weekly": group.weekly,
        "holiday": group.holiday,
        "stations": group.stations,
        "waits_for": group.waits_for,
        "doors": group.doors,
        "guest_cap": group.guest_cap,
    }
    audit.record(session, actor=actor, action=action, target=group.id, detail=detail, now=now)
    return group
