"""Groups and people of the demo, so that its pages show something and its roster lets the worker in.

Made once: what an administrator changes afterwards stays as they left it. The two whose faces the demo enrols at its
stations have ids of their own; their consent is written down here, because nobody stands at a kiosk for them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.db import make_engine, make_sessions, url_of, utc_now
from cloud_hub.demo.stations import VISITOR, WORKER
from cloud_hub.models import Consent, Membership, PeopleGroup, Person
from cloud_hub.models.people import ConsentKind
from cloud_hub.people import hours, services
from cloud_hub.people.hours import GroupRules
from cloud_hub.roster.services import touch
from cloud_hub.settings import Hub

ACTOR: Final = "hub"
EVERYBODY: Final = "everybody"
_NIGHT: Final = [{"opens_min": 22 * 60, "closes_min": 30 * 60}]
_DAY: Final = [{"opens_min": 7 * 60, "closes_min": 21 * 60}]
_GROUPS: Final = {
    EVERYBODY: GroupRules(weekly=[[{"opens_min": 0, "closes_min": 24 * 60}]] * 7, guest_cap=50),
    "night-cleaners": GroupRules(weekly=[_NIGHT] * 7),
    "volunteers": GroupRules(weekly=[_DAY] * 6 + [[]], holiday=[], waits_for="night-cleaners"),
}
_NUMBERS: Final = {WORKER: "100001", VISITOR: "100002"}
_OTHERS: Final = (("night-cleaners", "100003", False), ("volunteers", "100004", True))


def furnish(hub: Hub, stations: Sequence[str]) -> None:
    """Make the groups and people that the hub does not have yet; ``stations`` are ids of registered ones."""
    engine = make_engine(url_of(hub))
    try:
        with make_sessions(engine).begin() as session:
            now = utc_now()
            if session.scalar(select(PeopleGroup.id).limit(1)) is None:
                _make(session, now)
            for person_id in _NUMBERS:
                _agree(session, person_id, stations, now)
            touch(session)
    finally:
        engine.dispose()


def _make(session: Session, now: datetime) -> None:
    for group_id, rules in _GROUPS.items():
        hours.create_group(session, group_id=group_id, rules=rules, actor=ACTOR, now=now)
    for group_id, number, extended in _OTHERS:
        services.create_person(
            session, groups=[group_id], number=number, extended=extended, actor=ACTOR, now=now
        )
    for person_id, number in _NUMBERS.items():
        session.add(
            Person(
                id=person_id, number=number, active=True, extended=False, created_at=now, erased_at=None
            )
        )  # fmt: skip
        session.flush()
        session.add(Membership(person_id=person_id, group_id=EVERYBODY))
        session.flush()
        detail = {"number": number, "groups": [EVERYBODY], "extended": False}
        audit.record(
            session, actor=ACTOR, action="person:create:done", target=person_id, detail=detail, now=now
        )


def _agree(session: Session, person_id: str, stations: Sequence[str], now: datetime) -> None:
    """To face entry at stations where they never were asked; a withdrawal stays one."""
    if (person := session.get(Person, person_id)) is None or person.erased_at is not None:
        return
    asked = set(session.scalars(select(Consent.station_id).where(Consent.person_id == person_id)))
    session.add_all(
        Consent(
            person_id=person_id, station_id=station_id, kind=ConsentKind.FACE, version=1,
            channel="demo", given_at=now, withdrawn_at=None, withdrawn_by=None,
        )
        for station_id in stations
        if station_id not in asked
    )  # fmt: skip
    session.flush()
