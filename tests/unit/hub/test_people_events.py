"""What stations say of people, and what the hub makes of it."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import select

from cloud_hub.ingest import people
from cloud_hub.ingest.people import Outcome, Word
from cloud_hub.models import Consent, EnrolmentCode, Erasure
from cloud_hub.people import codes, services
from cloud_hub.roster.services import revision
from firmware_config import receipts
from firmware_config.signing import Signer
from firmware_config.vocabulary import EventKind
from firmware_config.wire import ErasureReceipt, Scalar
from tests.support.hub import STATION, World

BY = "user:lin"
OTHER = "st-test0002"
FACE: dict[str, Scalar] = {"kind": "face", "version": 1}


def add_person(world: World) -> str:
    with world.sessions.begin() as session:
        return services.create_person(
            session, groups=(), number=None, extended=False, actor=BY, now=world.now
        ).id


def hear(world: World, kind: EventKind, station: str = STATION, /, **data: Scalar) -> Outcome:
    with world.sessions.begin() as session:
        return people.apply(session, [Word(station, kind, data, world.now)], now=world.now)


def consents(world: World) -> Sequence[Consent]:
    with world.sessions() as session:
        return session.scalars(select(Consent).order_by(Consent.id)).all()


def sealed(world: World, person: str, request_id: str, station: str = STATION) -> dict[str, Scalar]:
    receipt = ErasureReceipt(
        station=station, request_id=request_id, person=person, found=True, root="0" * 64, people=3, wall_ms=1,
        clock="synced",
    )  # fmt: skip
    return receipts.event_data(receipt, Signer(world.key))


def test_each_consent_is_a_row_and_withdrawing_the_face_withdraws_replication_too(world: World) -> None:
    person = add_person(world)
    for kind in ("face", "replication"):
        hear(world, EventKind.CONSENT_GIVEN, person=person, kind=kind, version=2)
    world.forward(hours=1)
    outcome = hear(world, EventKind.CONSENT_WITHDRAWN, person=person, kind="face")
    assert outcome.changed
    assert [entry.action for entry in outcome.entries] == ["consent:withdraw:done"]
    assert [(row.kind, row.version, row.withdrawn_at, row.withdrawn_by) for row in consents(world)] == [
        ("face", 2, world.now, f"station:{STATION}"),
        ("replication", 2, world.now, f"station:{STATION}"),
    ]


def test_withdrawing_replication_leaves_the_face(world: World) -> None:
    person = add_person(world)
    for kind in ("face", "replication"):
        hear(world, EventKind.CONSENT_GIVEN, person=person, kind=kind, version=2)
    hear(world, EventKind.CONSENT_WITHDRAWN, person=person, kind="replication")
    assert [row.withdrawn_at is None for row in consents(world)] == [True, False]


def test_a_withdrawal_counts_even_when_a_clock_says_it_came_before_the_consent(world: World) -> None:
    person = add_person(world)
    hear(world, EventKind.CONSENT_GIVEN, person=person, kind="face", version=2)
    world.now -= timedelta(days=3)
    hear(world, EventKind.CONSENT_WITHDRAWN, person=person, kind="face")
    assert [row.withdrawn_at is None for row in consents(world)] == [False]


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "fingerprint", "version": 1},
        {"kind": "face"},
        {"kind": "face", "version": True},
        {"kind": "face", "version": "1"},
        {"kind": "face", "version": 0},
        {"kind": None, "version": 1},
    ],
)
def test_a_consent_that_cannot_be_read_is_none(world: World, data: dict[str, Scalar]) -> None:
    outcome = hear(world, EventKind.CONSENT_GIVEN, person=add_person(world), **data)
    assert (outcome.changed, outcome.entries, consents(world)) == (False, [], [])


@pytest.mark.parametrize("kind", sorted(people.KINDS - {EventKind.PERSON_ERASED, EventKind.TEMPLATE_EXPIRED}))
@pytest.mark.parametrize("person", ["p-nobody", "", 7, None])
def test_nothing_is_kept_of_people_the_hub_does_not_know(
    world: World, kind: EventKind, person: Scalar
) -> None:
    outcome = hear(world, kind, person=person, **FACE)
    assert (outcome.changed, outcome.entries, consents(world)) == (False, [], [])


def test_who_enrolled_has_used_up_the_code(world: World) -> None:
    person = add_person(world)
    with world.sessions.begin() as session:
        codes.create(session, person_id=person, life=timedelta(days=1), actor=BY, now=world.now)
    outcome = hear(world, EventKind.PERSON_ENROLLED, person=person)
    with world.sessions() as session:
        assert session.scalars(select(EnrolmentCode.used_at)).one() == world.now
    assert [entry.action for entry in outcome.entries] == ["person:enrol:done"]


def test_a_receipt_ends_the_order_once_and_withdraws_the_station_s_consents(world: World) -> None:
    person = add_person(world)
    hear(world, EventKind.CONSENT_GIVEN, person=person, kind="face", version=2)
    with world.sessions.begin() as session:
        (order,) = services.erase_person(session, person_id=person, reason="asked", actor=BY, now=world.now)
    data = sealed(world, person, order.request_id)
    outcome = hear(world, EventKind.PERSON_ERASED, **data)
    assert [entry.action for entry in outcome.entries] == ["person:erase:receipted"]
    assert hear(world, EventKind.PERSON_ERASED, **data).entries == []
    with world.sessions() as session:
        kept = session.get_one(Erasure, order.request_id)
        assert (kept.receipt, kept.found, kept.receipted_at) == (data["receipt"], True, world.now)


@pytest.mark.parametrize("change", ["person", "request_id", "root", "receipt", "found"])
def test_a_receipt_that_proves_nothing_ends_nothing(world: World, change: str) -> None:
    person = add_person(world)
    with world.sessions.begin() as session:
        (order,) = services.erase_person(session, person_id=person, reason="asked", actor=BY, now=world.now)
    wrong: dict[str, Scalar] = {
        "person": "p-other", "request_id": "e" * 32, "root": "1" * 64, "receipt": "{}", "found": False,
    }  # fmt: skip
    outcome = hear(
        world, EventKind.PERSON_ERASED, **{**sealed(world, person, order.request_id), change: wrong[change]}
    )
    assert [entry.action for entry in outcome.entries] == ["person:erase:refused"]
    with world.sessions() as session:
        assert session.scalars(select(Erasure.receipted_at)).all() == [None]


def test_one_station_cannot_answer_for_another(world: World) -> None:
    world.add_station(OTHER)
    person = add_person(world)
    with world.sessions.begin() as session:
        orders = services.erase_person(session, person_id=person, reason="asked", actor=BY, now=world.now)
    ours = next(order for order in orders if order.station_id == STATION)
    data = sealed(world, person, ours.request_id, OTHER)
    outcome = hear(world, EventKind.PERSON_ERASED, OTHER, **data)
    assert [entry.action for entry in outcome.entries] == ["person:erase:refused"]


def test_words_that_change_something_reach_the_rosters(world: World) -> None:
    person = add_person(world)
    with world.sessions() as session:
        before = revision(session)
    hear(world, EventKind.CONSENT_GIVEN, person=person, kind="face", version=2)
    hear(world, EventKind.CONSENT_GIVEN, person="p-nobody", kind="face", version=2)
    with world.sessions() as session:
        assert revision(session) == before + 1
