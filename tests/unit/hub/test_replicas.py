"""Sealed templates under way: what the hub carries, and when it lets go of the ciphertext."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from cloud_hub.ingest import people
from cloud_hub.ingest.people import Outcome, Word
from cloud_hub.models import Consent, Erasure, PeopleGroup, Replica, Station
from cloud_hub.models.people import ConsentKind
from cloud_hub.people import hours, services
from cloud_hub.people.hours import GroupRules
from cloud_hub.replicas.services import (
    LIFE,
    drop_late,
    note_answer,
    receivers,
    take,
    waiting,
)
from cloud_hub.roster.build import build
from cloud_hub.stations.services import note_sealing_keys
from firmware_config import receipts, replica
from firmware_config.roster import RosterDocument
from firmware_config.signing import Signer
from firmware_config.vocabulary import EventKind
from firmware_config.wire import ErasureReceipt, Scalar
from tests.support.hub import INSTALL, STATION, World

BY = "user:lin"
SOUTH, WEST = "st-test0002", "st-test0003"
ALWAYS = [[{"opens_min": 0, "closes_min": 1440}]] * 7
KEY = {STATION: "A" * 43 + "=", SOUTH: "B" * 42 + "A=", WEST: "C" * 42 + "A="}


@pytest.fixture
def town(world: World) -> World:
    for station in (SOUTH, WEST):
        world.add_station(station)
    with world.sessions.begin() as session:
        note_sealing_keys(session, KEY)
        hours.create_group(
            session, group_id="workers", rules=GroupRules(weekly=ALWAYS, stations=()), actor=BY, now=world.now
        )
    return world


def add_person(town: World, *kinds: ConsentKind, groups: tuple[str, ...] = ("workers",)) -> str:
    """A person who has agreed to these at the first station."""
    with town.sessions.begin() as session:
        person = services.create_person(
            session, groups=groups, number=None, extended=False, actor=BY, now=town.now
        ).id
    for kind in kinds:
        hear(town, EventKind.CONSENT_GIVEN, person=person, kind=kind.value, version=2)
    return person


def hear(town: World, kind: EventKind, station: str = STATION, /, **data: Scalar) -> Outcome:
    with town.sessions.begin() as session:
        return people.apply(session, [Word(station, kind, data, town.now)], now=town.now)


def arrive(town: World, person: str, *, number: int = 1, to: str = SOUTH, sender: str = STATION) -> bool:
    body = replica.Replica(
        station=sender, id=f"{number:032x}", install_id=INSTALL, to=to, person=person, sealed="c2VhbGVk"
    )
    with town.sessions.begin() as session:
        return take(session, [body], now=town.now)


def rows(town: World) -> list[tuple[str, str, bool]]:
    """Receiver, how it ended, and whether there is still ciphertext."""
    with town.sessions() as session:
        found = session.scalars(select(Replica).order_by(Replica.id))
        return [(row.to_station, row.ended, row.sealed is not None) for row in found]


def roster(town: World, station: str = STATION) -> RosterDocument:
    with town.sessions() as session:
        row = session.get_one(Station, station)
        return build(session, row, version=1, issued_at=town.now, pass_keys=())


BOTH = (ConsentKind.FACE, ConsentKind.REPLICATION)


def test_a_replica_is_kept_once_and_waits_for_its_station(town: World) -> None:
    person = add_person(town, *BOTH)
    assert arrive(town, person)
    assert not arrive(town, person)
    with town.sessions() as session:
        assert receivers(session) == [SOUTH]
        assert [row.sealed for row in waiting(session, SOUTH, now=town.now)] == ["c2VhbGVk"]
        assert waiting(session, WEST, now=town.now) == []


@pytest.mark.parametrize(
    ("kinds", "to", "ended"),
    [
        ((ConsentKind.FACE,), SOUTH, "no_replication_consent"),
        (BOTH, STATION, "unknown_receiver"),
    ],
)
def test_what_may_not_be_carried_is_recorded_without_its_ciphertext(
    town: World, kinds: tuple[ConsentKind, ...], to: str, ended: str
) -> None:
    person = add_person(town, *kinds)
    assert not arrive(town, person, to=to)
    assert rows(town) == [(to, ended, False)]


def test_nothing_is_kept_for_a_station_nobody_knows(town: World) -> None:
    assert not arrive(town, add_person(town, *BOTH), to="st-nowhere1")
    assert rows(town) == []


def test_a_newer_replica_takes_the_place_of_the_one_before(town: World) -> None:
    person = add_person(town, *BOTH)
    arrive(town, person, number=1)
    arrive(town, person, number=2)
    arrive(town, person, number=3, to=WEST)
    assert rows(town) == [(SOUTH, "superseded", False), (SOUTH, "", True), (WEST, "", True)]


@pytest.mark.parametrize(("word", "ended"), [({}, "received"), ({"refused": "duplicate"}, "duplicate")])
def test_the_ciphertext_goes_once_the_receiver_has_spoken(
    town: World, word: dict[str, Any], ended: str
) -> None:
    person = add_person(town, *BOTH)
    arrive(town, person)
    said = {"id": f"{1:032x}", "person": person, "from": STATION, **word}
    hear(town, EventKind.TEMPLATE_REPLICATED, WEST, **said)
    assert rows(town) == [(SOUTH, "", True)]  # not for that station to say
    outcome = hear(town, EventKind.TEMPLATE_REPLICATED, SOUTH, **said)
    assert rows(town) == [(SOUTH, ended, False)]
    assert [entry.action for entry in outcome.entries] == [
        "template:replicate:refused" if word else "template:replicate:done"
    ]
    assert hear(town, EventKind.TEMPLATE_REPLICATED, SOUTH, **said).entries == []


@pytest.mark.parametrize("how", ["replication at a kiosk", "face by an administrator", "erased"])
def test_waiting_ciphertext_goes_with_the_consent(town: World, how: str) -> None:
    person = add_person(town, *BOTH)
    arrive(town, person)
    if how == "replication at a kiosk":
        hear(town, EventKind.CONSENT_WITHDRAWN, WEST, person=person, kind="replication")
    else:
        with town.sessions.begin() as session:
            if how == "erased":
                services.erase_person(session, person_id=person, reason="asked", actor=BY, now=town.now)
            else:
                services.withdraw_for(
                    session, person_id=person, kind=ConsentKind.FACE, reason="asked", actor=BY, now=town.now
                )
    assert rows(town) == [(SOUTH, "erased" if how == "erased" else "withdrawn", False)]
    assert not arrive(town, person, number=2)


def test_an_erasure_is_asked_of_every_station_also_of_those_that_only_received(town: World) -> None:
    person = add_person(town, *BOTH)
    with town.sessions.begin() as session:
        services.erase_person(session, person_id=person, reason="asked", actor=BY, now=town.now)
        asked = session.scalars(select(Erasure.station_id).order_by(Erasure.station_id)).all()
    assert asked == [STATION, SOUTH, WEST]


def test_what_nobody_fetched_in_seven_days_is_destroyed(town: World) -> None:
    arrive(town, add_person(town, *BOTH))
    with town.sessions.begin() as session:
        drop_late(session, now=town.now + LIFE)
    assert rows(town) == [(SOUTH, "", True)]
    with town.sessions.begin() as session:
        drop_late(session, now=town.now + LIFE + timedelta(seconds=1))
    assert rows(town) == [(SOUTH, "late", False)]
    with town.sessions.begin() as session:
        assert note_answer(session, replica_id=f"{1:032x}", station_id=SOUTH, refused=None, now=town.now)


def test_rosters_name_peers_only_for_people_who_agreed_to_replication(town: World) -> None:
    add_person(town, ConsentKind.FACE)
    assert roster(town).peers == []
    person = add_person(town, *BOTH)
    document = roster(town)
    assert [(peer.station, peer.sealing_key) for peer in document.peers] == [
        (SOUTH, KEY[SOUTH]),
        (WEST, KEY[WEST]),
    ]
    assert {found.id: found.replication for found in document.people}[person] == 2
    assert [peer.station for peer in roster(town, SOUTH).peers] == [STATION, WEST]
    assert roster(town) == document


def test_peers_share_a_group_are_in_service_and_have_a_key(town: World) -> None:
    with town.sessions.begin() as session:
        session.get_one(PeopleGroup, "workers").stations = [STATION, SOUTH]
    add_person(town, *BOTH)
    assert [peer.station for peer in roster(town).peers] == [SOUTH]
    with town.sessions.begin() as session:
        note_sealing_keys(session, {SOUTH: ""})
    assert roster(town).peers == []
    with town.sessions.begin() as session:
        note_sealing_keys(session, {SOUTH: KEY[WEST]})
        session.get_one(Station, SOUTH).retired_at = town.now
    assert roster(town).peers == []


def expired(town: World, person: str, station: str, reason: str) -> Outcome:
    body = ErasureReceipt(
        station=station, request_id="9" * 32, person=person, found=True, root="0" * 64, people=3, wall_ms=1,
        clock="synced",
    )  # fmt: skip
    data = receipts.event_data(body, Signer(town.key))
    return hear(town, EventKind.TEMPLATE_EXPIRED, station, **data, reason=reason)


def consents(town: World) -> list[bool]:
    """Whether each is in force."""
    with town.sessions() as session:
        query = select(Consent.withdrawn_at).order_by(Consent.id)
        return [withdrawn is None for withdrawn in session.scalars(query)]


@pytest.mark.parametrize(
    ("kinds", "left"), [((ConsentKind.FACE,), [False]), (BOTH, [True, True])], ids=["only here", "replicated"]
)
def test_templates_that_expired_take_the_consent_with_them_unless_others_have_copies(
    town: World, kinds: tuple[ConsentKind, ...], left: list[bool]
) -> None:
    person = add_person(town, *kinds)
    outcome = expired(town, person, STATION, "expired")
    assert [entry.action for entry in outcome.entries] == ["template:expire:receipted"]
    assert consents(town) == left
    with town.sessions() as session:
        (row,) = session.scalars(select(Erasure)).all()
        assert (row.reason, row.station_id, row.found) == ("expired", STATION, True)


def test_a_forged_receipt_of_expiry_counts_for_nothing(town: World) -> None:
    person = add_person(town, ConsentKind.FACE)
    body = receipts.event_data(
        ErasureReceipt(
            station=STATION, request_id="9" * 32, person=person, found=True, root="0" * 64, people=3,
            wall_ms=1, clock="synced",
        ),
        Signer(town.key),
    )  # fmt: skip
    outcome = hear(town, EventKind.TEMPLATE_EXPIRED, **{**body, "people": 4}, reason="expired")
    assert [entry.action for entry in outcome.entries] == ["person:erase:refused"]
    assert consents(town) == [True]
