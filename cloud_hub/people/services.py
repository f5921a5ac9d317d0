"""What administrators do to people. Every change is audited, and every one that matters to stations reaches rosters."""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.errors import Conflict, Invalid, NotFound
from cloud_hub.models import (
    Consent,
    EnrolmentCode,
    EntryPass,
    Erasure,
    Membership,
    PeopleGroup,
    Person,
    Station,
)
from cloud_hub.models.people import ConsentKind
from cloud_hub.replicas import services as replicas
from cloud_hub.roster.services import touch
from firmware_config.roster import MAX_PEOPLE

MOST_GROUPS: Final = 8
_NUMBER_DIGITS: Final = 6
_TRIES: Final = 50


def create_person(
    session: Session,
    *,
    groups: Sequence[str],
    number: str | None,
    extended: bool,
    actor: str,
    now: datetime,
) -> Person:
    """Add a worker, under a pseudonym made here.

    Args:
        session: a writing session.
        groups: ids.
        number: 4 to 8 digits typed before a PIN; chosen here when None.
        extended: the door stays unlocked longer for them.
        actor: who adds them.
        now: aware time.

    Raises:
        Invalid: a group is not known.
        Conflict: the number is taken, or there are too many people for a roster.
    """
    _check_groups(session, groups)
    living = session.scalar(select(func.count()).select_from(Person).where(Person.erased_at.is_(None))) or 0
    if living >= MAX_PEOPLE:
        raise Conflict(f"a hub serves at most {MAX_PEOPLE} people")
    person = Person(
        id=f"p-{secrets.token_hex(6)}",
        number=_free_number(session) if number is None else _unused(session, number),
        active=True,
        extended=extended,
        created_at=now,
        erased_at=None,
    )
    session.add(person)
    session.flush()
    _join(session, person.id, groups)
    touch(session)
    detail = {"number": person.number, "groups": sorted(set(groups)), "extended": extended}
    audit.record(session, actor=actor, action="person:create:done", target=person.id, detail=detail, now=now)
    return person


def change_person(
    session: Session,
    *,
    person_id: str,
    actor: str,
    now: datetime,
    active: bool | None = None,
    extended: bool | None = None,
    number: str | None = None,
    groups: Sequence[str] | None = None,
) -> Person:
    """Change what is not None.

    Raises:
        NotFound: no such person, or they are erased.
        Invalid: a group is not known.
        Conflict: the number is taken.
    """
    person = living_person(session, person_id)
    changes: dict[str, object] = {}
    if active is not None and active != person.active:
        person.active = changes["active"] = active
    if extended is not None and extended != person.extended:
        person.extended = changes["extended"] = extended
    if number is not None and number != person.number:
        person.number = changes["number"] = _unused(session, number)
    if groups is not None:
        _check_groups(session, groups)
        session.execute(delete(Membership).where(Membership.person_id == person_id))
        _join(session, person_id, groups)
        changes["groups"] = sorted(set(groups))
    if changes:
        session.flush()
        touch(session)
        audit.record(
            session, actor=actor, action="person:change:done", target=person_id, detail=changes, now=now
        )
    return person


def erase_person(
    session: Session, *, person_id: str, reason: str, actor: str, now: datetime
) -> Sequence[Erasure]:
    """Bar a person at once, and have every station destroy what it keeps of them. Harmless when done twice.

    Every station in service is asked, not only those that say they know them: then nobody has to believe our books.

    Raises:
        NotFound: no such person.
    """
    person = session.get(Person, person_id, with_for_update=True)
    if person is None:
        raise NotFound(f"no person {person_id!r}"[:120])
    known = session.scalars(select(Erasure).where(Erasure.person_id == person_id)).all()
    if person.erased_at is not None:
        return known
    person.erased_at, person.active, person.number = now, False, None
    session.execute(delete(Membership).where(Membership.person_id == person_id))
    end_all(session, person_id, actor=actor, now=now)
    replicas.drop(session, person=person_id, reason=replicas.ERASED)
    stations = session.scalars(select(Station.id).where(Station.retired_at.is_(None)).order_by(Station.id))
    asked = [
        Erasure(
            request_id=secrets.token_hex(16),
            person_id=person_id,
            station_id=station_id,
            reason=reason,
            requested_at=now,
            requested_by=actor,
        )
        for station_id in stations
    ]
    session.add_all(asked)
    session.flush()
    touch(session)
    detail = {"reason": reason, "stations": len(asked)}
    audit.record(
        session, actor=actor, action="person:erase:ordered", target=person_id, detail=detail, now=now
    )
    return [*known, *asked]


def end_all(session: Session, person_id: str, *, actor: str, now: datetime) -> None:
    """Withdraw a person's consents, and end their codes and passes."""
    session.execute(
        update(Consent)
        .where(Consent.person_id == person_id, Consent.withdrawn_at.is_(None))
        .values(withdrawn_at=now, withdrawn_by=actor)
    )
    session.execute(
        update(EnrolmentCode)
        .where(EnrolmentCode.person_id == person_id, EnrolmentCode.used_at.is_(None))
        .values(used_at=now)
    )
    session.execute(
        update(EntryPass)
        .where(EntryPass.person_id == person_id, EntryPass.revoked_at.is_(None))
        .values(revoked_at=now, revoked_by=actor)
    )


def withdraw_for(
    session: Session, *, person_id: str, kind: ConsentKind, reason: str, actor: str, now: datetime
) -> None:
    """Withdraw a consent for somebody who asked for it. Harmless when there is none.

    Raises:
        NotFound: no such person.
    """
    living_person(session, person_id)
    withdraw(session, person=person_id, kind=kind, by=actor, at=now)
    touch(session)
    detail = {"kind": kind.value, "reason": reason}
    audit.record(
        session, actor=actor, action="consent:withdraw:done", target=person_id, detail=detail, now=now
    )


def withdraw(
    session: Session, *, person: str, kind: ConsentKind, by: str, at: datetime, station: str | None = None
) -> None:
    """Withdraw consents, at all stations or one, whenever they were given: clocks of stations may be wrong.

    Args:
        session: a writing session.
        person: whose.
        kind: that of the face takes that of replication with it.
        by: who does it.
        at: aware time.
        station: only those given there.
    """
    kinds = list(ConsentKind) if kind is ConsentKind.FACE else [kind]
    statement = update(Consent).where(
        Consent.person_id == person,
        Consent.kind.in_(kinds),
        Consent.withdrawn_at.is_(None),
    )
    if station is not None:
        statement = statement.where(Consent.station_id == station)
    session.execute(statement.values(withdrawn_at=at, withdrawn_by=by))
    replicas.drop(session, person=person, reason=replicas.WITHDRAWN, station=station)


def living_person(session: Session, person_id: str) -> Person:
    """A person who is not erased, locked until the commit.

    Raises:
        NotFound: there is none.
    """
    person = session.get(Person, person_id, with_for_update=True)
    if person is None or person.erased_at is not None:
        raise NotFound(f"no person {person_id!r}"[:120])
    return person


def invalid(field: str, problem: str) -> Invalid:
    """One field is wrong."""
    return Invalid(f"{field}: {problem}", errors=[{"field": field, "problem": problem}])


def _check_groups(session: Session, groups: Sequence[str]) -> None:
    if len(set(groups)) > MOST_GROUPS:
        raise invalid("groups", f"at most {MOST_GROUPS}")
    known = set(session.scalars(select(PeopleGroup.id).where(PeopleGroup.id.in_(groups))))
    if unknown := sorted(set(groups) - known):
        raise invalid("groups", f"unknown: {', '.join(unknown)}"[:200])


def _join(session: Session, person_id: str, groups: Sequence[str]) -> None:
    session.add_all(Membership(person_id=person_id, group_id=group) for group in sorted(set(groups)))
    session.flush()


def _unused(session: Session, number: str) -> str:
    if session.scalar(select(Person.id).where(Person.number == number)) is not None:
        raise Conflict(f"the number {number} is taken")
    return number


def _free_number(session: Session) -> str:
    for _ in range(_TRIES):
        number = f"{secrets.randbelow(9 * 10 ** (_NUMBER_DIGITS - 1)) + 10 ** (_NUMBER_DIGITS - 1)}"
        if session.scalar(select(Person.id).where(Person.number == number)) is None:
            return number
    raise Conflict("no free number found; give one")
