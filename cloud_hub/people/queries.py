"""Reads of people for pages and API. A bounded number of queries, however many people."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.errors import NotFound
from cloud_hub.models import (
    CalendarDay,
    Consent,
    EnrolmentCode,
    Erasure,
    Membership,
    PeopleGroup,
    Person,
    RosterState,
)
from cloud_hub.models.people import ConsentKind


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person with all that is shown of them.

    Attributes:
        consents: in force.
        erasures: only where asked for.
    """

    person: Person
    groups: Sequence[str] = ()
    consents: Sequence[Consent] = ()
    erasures: Sequence[Erasure] = ()


def page(
    session: Session, *, group_id: str | None, after: str | None, limit: int, search: str = ""
) -> list[PersonView]:
    """People who are not erased, in order of id; ``search`` is a number, or how the id begins."""
    query = select(Person).where(Person.erased_at.is_(None)).order_by(Person.id).limit(limit)
    if group_id is not None:
        query = query.join(Membership, Membership.person_id == Person.id).where(
            Membership.group_id == group_id
        )
    if after is not None:
        query = query.where(Person.id > after)
    if search:
        query = query.where(or_(Person.number == search, Person.id.startswith(search, autoescape=True)))
    return _with_details(session, session.scalars(query).all())


def one(session: Session, person_id: str) -> PersonView:
    """One person, erased ones too: then with the receipts of the stations.

    Raises:
        NotFound: no person has this id.
    """
    person = session.get(Person, person_id)
    if person is None:
        raise NotFound(f"no person {person_id!r}"[:120])
    view = _with_details(session, [person])[0]
    erasures = session.scalars(
        select(Erasure)
        .where(Erasure.person_id == person_id)
        .order_by(Erasure.requested_at, Erasure.station_id, Erasure.request_id)
    ).all()
    return PersonView(person=person, groups=view.groups, consents=view.consents, erasures=erasures)


def groups(session: Session, *, after: str | None, limit: int) -> Sequence[PeopleGroup]:
    """Groups in order of id."""
    query = select(PeopleGroup).order_by(PeopleGroup.id).limit(limit)
    return session.scalars(query if after is None else query.where(PeopleGroup.id > after)).all()


def members(session: Session) -> dict[str, int]:
    """By group, how many people are in it."""
    query = select(Membership.group_id, func.count().label("people")).group_by(Membership.group_id)
    return {row.group_id: row.people for row in session.execute(query)}


def open_code(session: Session, person_id: str, *, now: datetime) -> EnrolmentCode | None:
    """The enrolment code somebody may still use."""
    query = select(EnrolmentCode).where(
        EnrolmentCode.person_id == person_id,
        EnrolmentCode.used_at.is_(None),
        EnrolmentCode.expires_at > now,
    )
    return session.scalars(query.order_by(EnrolmentCode.id.desc()).limit(1)).first()


def calendar(session: Session) -> Sequence[CalendarDay]:
    """All special days, in order."""
    return session.scalars(select(CalendarDay).order_by(CalendarDay.day)).all()


def consents(
    session: Session, *, person_id: str | None, kind: ConsentKind | None, after: int | None, limit: int
) -> Sequence[Consent]:
    """Consents beyond row ``after``, withdrawn ones too."""
    query = select(Consent).order_by(Consent.id).limit(limit)
    if person_id is not None:
        query = query.where(Consent.person_id == person_id)
    if kind is not None:
        query = query.where(Consent.kind == kind)
    if after is not None:
        query = query.where(Consent.id > after)
    return session.scalars(query).all()


def rosters(session: Session, *, after: str | None, limit: int) -> Sequence[RosterState]:
    """Which roster each station should have and has, in order of station."""
    query = select(RosterState).order_by(RosterState.station_id).limit(limit)
    return session.scalars(query if after is None else query.where(RosterState.station_id > after)).all()


@dataclass(frozen=True, slots=True)
class RosterView:
    """What a station should have and has.

    Attributes:
        state: None before the first roster.
        erasures: orders to destroy somebody's data without a receipt yet.
        oldest_at: of these.
    """

    state: RosterState | None
    erasures: int
    oldest_at: datetime | None


def roster_of(session: Session, station_id: str) -> RosterView:
    """Of one station."""
    waiting = session.execute(
        select(func.count().label("erasures"), func.min(Erasure.requested_at).label("oldest_at")).where(
            Erasure.station_id == station_id, Erasure.receipted_at.is_(None)
        )
    ).one()
    return RosterView(session.get(RosterState, station_id), waiting.erasures, waiting.oldest_at)


def note_view(session: Session, *, what: str, target: str, people: int, actor: str, now: datetime) -> None:
    """Somebody looked at people: one entry for a whole page.

    Args:
        session: a writing session.
        what: subject, for example ``person`` or ``consent``.
        target: id of the one, or ``list``.
        people: how many they saw.
        actor: who looked.
        now: aware time.
    """
    audit.record(
        session, actor=actor, action=f"{what}:view:done", target=target, detail={"people": people}, now=now
    )


def _with_details(session: Session, people: Sequence[Person]) -> list[PersonView]:
    ids = [person.id for person in people]
    members: dict[str, list[str]] = defaultdict(list)
    for row in session.execute(
        select(Membership.person_id, Membership.group_id)
        .where(Membership.person_id.in_(ids))
        .order_by(Membership.group_id)
    ):
        members[row.person_id].append(row.group_id)
    agreed: dict[str, list[Consent]] = defaultdict(list)
    for consent in session.scalars(
        select(Consent).where(Consent.person_id.in_(ids), Consent.withdrawn_at.is_(None)).order_by(Consent.id)
    ):
        agreed[consent.person_id].append(consent)
    return [
        PersonView(person=person, groups=members[person.id], consents=agreed[person.id]) for person in people
    ]
