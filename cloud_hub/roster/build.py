"""From rows to the roster of one station. The same rows, version and time make the same bytes.

A station gets no more than it needs: only groups that count there, and only people of those groups.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, aliased

from cloud_hub.models import (
    CalendarDay,
    Consent,
    EnrolmentCode,
    EntryPass,
    Membership,
    PeopleGroup,
    Person,
    Station,
)
from cloud_hub.models.people import ConsentKind
from firmware_config import roster
from firmware_config.passes import EVERYWHERE

log = logging.getLogger(__name__)

MOST_CODES: Final = 500
MOST_REVOKED: Final = 2_000
MOST_DAYS: Final = 400
_REGION: Final = re.compile(r"r-[a-z0-9-]{1,30}")


def build(
    session: Session, station: Station, *, version: int, issued_at: datetime, pass_keys: Sequence[str]
) -> roster.RosterDocument:
    """The roster of a station.

    Args:
        session: reading is enough.
        station: whose.
        version: of the roster.
        issued_at: in whole milliseconds.
        pass_keys: public keys, base64.

    Raises:
        ValueError: the rows contradict each other.
    """
    groups = groups_at(session, station.id)
    people = _people(session, station.id, [group.id for group in groups])
    guests = next((group for group in groups if group.guest_cap is not None), None)
    issued_ms = milliseconds(issued_at)
    return roster.RosterDocument(
        station=station.id,
        version=version,
        issued_ms=issued_ms,
        expires_ms=issued_ms + roster.ROSTER_LIFE_MS,
        region=region_of(station),
        groups=[group_of(group) for group in groups],
        calendar=_calendar(session, issued_at),
        people=people,
        guests=None
        if guests is None or guests.guest_cap is None
        else roster.GuestRules(group=guests.id, daily_cap=guests.guest_cap),
        pass_keys=[roster.PassKey(public) for public in pass_keys],
        revoked_passes=_revoked(session, station, issued_at),
        enrolment_codes=_codes(session, {person.id for person in people}, issued_at),
        peers=_peers(session, station, groups, people),
    )


def milliseconds(at: datetime) -> int:
    """Since the Unix epoch."""
    return round(at.timestamp() * 1000)


def region_of(station: Station) -> str | None:
    """The station's region where passes can name it."""
    return station.region if _REGION.fullmatch(station.region) else None


def groups_at(session: Session, station_id: str) -> list[PeopleGroup]:
    """Groups that count at a station, by id."""
    return [
        group
        for group in session.scalars(select(PeopleGroup).order_by(PeopleGroup.id))
        if not group.stations or station_id in group.stations
    ]


def group_of(row: PeopleGroup) -> roster.Group:
    """A group as stations know it.

    Raises:
        ValueError: it breaks a rule of the roster.
    """
    fields: dict[str, Any] = {
        "id": row.id,
        "weekly": row.weekly,
        "holiday": row.holiday,
        "waits_for": row.waits_for,
        "doors": row.doors,
    }
    return msgspec.convert(fields, roster.Group)


def _people(session: Session, station_id: str, groups: Sequence[str]) -> list[roster.RosterPerson]:
    members: dict[str, list[str]] = defaultdict(list)
    query = (
        select(Membership.person_id, Membership.group_id)
        .where(Membership.group_id.in_(groups))
        .order_by(Membership.person_id, Membership.group_id)
    )
    for person_id, group_id in session.execute(query):
        members[person_id].append(group_id)
    consents, replications = _consents(session, station_id), _replications(session)
    in_groups = select(Membership.person_id).where(Membership.group_id.in_(groups))
    rows = session.scalars(
        select(Person).where(Person.id.in_(in_groups), Person.erased_at.is_(None)).order_by(Person.id)
    )
    return [
        roster.RosterPerson(
            id=row.id,
            number=row.number,
            groups=members[row.id],
            active=row.active,
            extended=row.extended,
            face=row.id in consents,
            consent=consents.get(row.id, 0),
            replication=replications.get(row.id, 0) if row.id in consents else 0,
        )
        for row in rows
    ]


def _consents(session: Session, station_id: str) -> dict[str, int]:
    """By person, the version of the face notice in force here: agreed to here, or elsewhere with replication too."""
    other = aliased(Consent)
    replicated = (
        select(other.id)
        .where(
            other.person_id == Consent.person_id,
            other.kind == ConsentKind.REPLICATION,
            other.withdrawn_at.is_(None),
        )
        .exists()
    )
    query = (
        select(Consent.person_id, func.max(Consent.version).label("version"))
        .where(
            Consent.kind == ConsentKind.FACE,
            Consent.withdrawn_at.is_(None),
            or_(Consent.station_id == station_id, replicated),
        )
        .group_by(Consent.person_id)
    )
    return {row.person_id: row.version for row in session.execute(query)}


def _replications(session: Session) -> dict[str, int]:
    """By person, the version of the replication notice in force, wherever it was agreed to."""
    query = (
        select(Consent.person_id, func.max(Consent.version).label("version"))
        .where(Consent.kind == ConsentKind.REPLICATION, Consent.withdrawn_at.is_(None))
        .group_by(Consent.person_id)
    )
    return {row.person_id: row.version for row in session.execute(query)}


def _peers(
    session: Session,
    station: Station,
    groups: Sequence[PeopleGroup],
    people: Sequence[roster.RosterPerson],
) -> list[roster.Peer]:
    """Stations at which people of this one count who agreed to replication; those of its region before others."""
    shared = {group for person in people if person.replication for group in person.groups}
    named = [set(group.stations) for group in groups if group.id in shared]
    if not named or not station.sealing_key:
        return []
    query = select(Station).where(
        Station.retired_at.is_(None), Station.sealing_key != "", Station.id != station.id
    )
    if all(named):
        query = query.where(Station.id.in_(set().union(*named)))
    found = sorted(session.scalars(query), key=lambda row: (row.region != station.region, row.id))
    if len(found) > roster.MAX_PEERS:
        log.warning("too many stations to replicate to", extra={"station": station.id, "found": len(found)})
    nearest = sorted(found[: roster.MAX_PEERS], key=lambda row: row.id)
    return [roster.Peer(row.id, row.sealing_key) for row in nearest]


def _calendar(session: Session, issued_at: datetime) -> list[roster.SpecialDay]:
    """From the day before on: a night shift began yesterday, and stations lie in many zones."""
    first = (issued_at - timedelta(days=2)).date().isoformat()
    query = select(CalendarDay).where(CalendarDay.day >= first).order_by(CalendarDay.day).limit(MOST_DAYS)
    return [
        msgspec.convert({"day": row.day, "kind": row.kind, "as_weekday": row.as_weekday}, roster.SpecialDay)
        for row in session.scalars(query)
    ]


def _revoked(session: Session, station: Station, issued_at: datetime) -> list[str]:
    query = (
        select(EntryPass)
        .where(EntryPass.revoked_at.is_not(None), EntryPass.not_after > issued_at)
        .order_by(EntryPass.not_after.desc(), EntryPass.id)
    )
    here = {station.id, EVERYWHERE, region_of(station)}
    found = [row.id for row in session.scalars(query) if here & set(row.scope)]
    if len(found) > MOST_REVOKED:
        log.error("too many revoked passes: change the pass key", extra={"station": station.id})
    return sorted(found[:MOST_REVOKED])


def _codes(session: Session, people: set[str], issued_at: datetime) -> list[roster.EnrolmentCode]:
    query = (
        select(EnrolmentCode)
        .where(EnrolmentCode.used_at.is_(None), EnrolmentCode.expires_at > issued_at)
        .order_by(EnrolmentCode.id.desc())
    )
    codes: dict[str, roster.EnrolmentCode] = {}
    for row in session.scalars(query):
        if row.person_id in people and row.tag not in codes and len(codes) < MOST_CODES:
            codes[row.tag] = roster.EnrolmentCode(
                person=row.person_id,
                tag=row.tag,
                salt=row.salt,
                digest=row.digest,
                expires_ms=milliseconds(row.expires_at),
            )
    return [codes[tag] for tag in sorted(codes)]
