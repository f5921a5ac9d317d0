"""From a row in the hub to a roster in force at a station, and from an order to erase to a receipt."""

import pytest
from sqlalchemy import select

from cloud_hub.bell import BRIDGE, PEOPLE, Ringer
from cloud_hub.db import make_sessions, utc_now, whole_views
from cloud_hub.models import AuditEntry, Consent, Erasure, Membership, Person, RosterState
from cloud_hub.passes.keys import public_keys
from cloud_hub.people import hours, services
from cloud_hub.people.hours import GroupRules
from firmware_config import receipts
from firmware_config.roster import RosterDocument, join
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Erase, ErasureReceipt, Scalar
from tests.support.bridge import BACKENDS, STATIONS, Field
from tests.support.station import ScriptedStation, wait_for

pytestmark = BACKENDS

ALWAYS = [[{"opens_min": 0, "closes_min": 1440}]] * 7


def ring(field: Field) -> None:
    ringer = Ringer(field.hub.data_dir / "bells")
    ringer.ring(BRIDGE, PEOPLE)
    ringer.close()


def add_group(field: Field, name: str = "workers", *stations: str) -> None:
    with field.sessions.begin() as session:
        hours.create_group(
            session,
            group_id=name,
            rules=GroupRules(weekly=ALWAYS, stations=stations),
            actor="user:lin",
            now=utc_now(),
        )
    ring(field)


def add_person(field: Field, *groups: str) -> str:
    with field.sessions.begin() as session:
        person = services.create_person(
            session, groups=groups, number=None, extended=False, actor="user:lin", now=utc_now()
        )
    ring(field)
    return person.id


def roster_of(station: ScriptedStation, version: int) -> RosterDocument:
    """The roster of a version, once all its parts have come."""

    def whole() -> RosterDocument | None:
        parts = {part.part: part for part in list(station.roster_parts) if part.version == version}
        if not parts or len(parts) < next(iter(parts.values())).parts:
            return None
        return join([parts[number] for number in sorted(parts)])

    found = wait_for(whole, what=f"roster {version}")
    assert found is not None
    return found


def newest_with_people(field: Field, station: str) -> int:
    versions: list[int] = [
        row.version for row in field.all(RosterState) if row.station_id == station and row.people
    ]
    return max(versions, default=0)


def apply(station: ScriptedStation, version: int) -> None:
    station.roster_version = version
    station.heartbeat()


def test_a_station_gets_the_people_of_its_groups_and_the_hub_hears_that_it_did(field: Field) -> None:
    north, south = field.station(), field.station(STATIONS[1])
    add_group(field, "workers", north.id)
    person = add_person(field, "workers")
    version = wait_for(lambda: newest_with_people(field, north.id), what="a roster with people")
    document = roster_of(north, version)
    assert [found.id for found in document.people] == [person]
    assert [key.public for key in document.pass_keys] == public_keys(field.hub)
    elsewhere = wait_for(lambda: list(south.roster_parts))[-1]
    assert (join([elsewhere]).groups, join([elsewhere]).people) == ([], [])

    def heard() -> bool:
        apply(north, version)  # a heartbeat may get lost (QoS 0): stations send one every few seconds
        return version in {row.applied_version for row in field.all(RosterState)}

    wait_for(heard, what="its word")


def test_a_report_counts_also_while_a_newer_roster_is_under_way(field: Field) -> None:
    station = field.station()
    add_group(field)
    roster_of(station, 1)
    add_person(field, "workers")
    roster_of(station, 2)
    apply(station, 1)
    wait_for(lambda: {row.applied_version for row in field.all(RosterState)} == {1}, what="its word")


def test_a_roster_is_built_from_the_database_as_of_one_moment(field: Field) -> None:
    add_group(field)
    engine = whole_views(field.sessions.kw["bind"])
    with make_sessions(engine.execution_options(read_only=True))() as session:
        assert session.scalars(select(Membership)).all() == []
        add_person(field, "workers")
        assert session.scalars(select(Person)).all() == []
    assert len(field.all(Person)) == 1


def test_nothing_is_sent_before_the_first_change(field: Field) -> None:
    station = field.station()
    ring(field)
    station.send_events(station.event_of(1, EventKind.STATION_STARTED))
    wait_for(lambda: station.acknowledged("events") == [1])
    station.heartbeat()
    assert (station.roster_parts, field.all(RosterState)) == ([], [])


def test_every_change_is_a_higher_version_and_the_same_rows_are_the_same_bytes(field: Field) -> None:
    station = field.station()
    add_group(field)
    first = roster_of(station, 1)
    apply(station, 1)
    person = add_person(field, "workers")
    second = roster_of(station, 2)
    assert (first.people, [found.active for found in second.people]) == ([], [True])
    field.stop_bridge()
    field.start_bridge()
    before = len(station.roster_parts)
    station.die()
    station.connect()
    wait_for(lambda: len(station.roster_parts) > before, what="the roster again")
    assert {(part.version, part.digest) for part in station.roster_parts[before - 1 :]} == {
        (2, station.roster_parts[before - 1].digest)
    }
    with field.sessions.begin() as session:
        services.change_person(session, person_id=person, active=False, actor="user:lin", now=utc_now())
    ring(field)
    apply(station, 2)
    assert [found.active for found in roster_of(station, 3).people] == [False]


def test_a_station_ahead_of_a_restored_hub_gets_a_version_beyond_its_own(field: Field) -> None:
    station = field.station()
    station.roster_version = 40
    station.heartbeat()
    add_group(field)
    assert roster_of(station, 41).version == 41


def test_a_consent_lets_the_face_in_and_a_withdrawal_bars_it(field: Field) -> None:
    station, elsewhere = field.station(), field.station(STATIONS[1])
    add_group(field)
    person = add_person(field, "workers")
    given: dict[str, Scalar] = {"person": person, "kind": "face", "version": 3}
    station.send_events(station.event_of(1, EventKind.CONSENT_GIVEN, given, age_ms=120_000))

    def faces(at: ScriptedStation) -> list[tuple[bool, int]]:
        newest = max((part.version for part in at.roster_parts), default=0)
        return [(found.face, found.consent) for found in roster_of(at, newest).people] if newest else []

    wait_for(lambda: faces(station) == [(True, 3)], what="the face's consent")
    wait_for(lambda: faces(elsewhere) == [(False, 0)], what="none elsewhere")
    station.send_events(station.event_of(2, EventKind.CONSENT_WITHDRAWN, {"person": person, "kind": "face"}))
    wait_for(lambda: faces(station) == [(False, 0)], what="the withdrawal")
    (consent,) = field.all(Consent)
    assert (consent.station_id, consent.withdrawn_by) == (station.id, f"station:{station.id}")


def receipt(station: ScriptedStation, erase: Erase, **changes: Scalar) -> dict[str, Scalar]:
    body = ErasureReceipt(
        station=station.id,
        request_id=erase.request_id,
        person=erase.person,
        found=True,
        root="0" * 64,
        people=0,
        wall_ms=1,
        clock="synced",
    )
    return {**receipts.event_data(body, station.signer), **changes}


def test_an_erasure_is_ordered_until_the_station_s_signed_receipt_has_come(field: Field) -> None:
    station = field.station()
    add_group(field)
    person = add_person(field, "workers")
    with field.sessions.begin() as session:
        services.erase_person(session, person_id=person, reason="asked", actor="user:lin", now=utc_now())
    ring(field)
    erase = wait_for(lambda: list(station.erases))[0]
    assert erase.person == person
    forged = receipt(station, erase, root="1" * 64)
    station.send_events(station.event_of(1, EventKind.PERSON_ERASED, forged))
    wait_for(lambda: station.acknowledged("events") == [1])
    assert [row.receipted_at for row in field.all(Erasure)] == [None]
    station.send_events(station.event_of(2, EventKind.PERSON_ERASED, receipt(station, erase)))
    wait_for(lambda: [row.found for row in field.all(Erasure)] == [True])
    (row,) = field.all(Erasure)
    assert (row.root, row.sent_at is not None, row.request_id) == ("0" * 64, True, erase.request_id)
    actions = [entry.action for entry in field.all(AuditEntry)]
    assert actions[-2:] == ["person:erase:refused", "person:erase:receipted"]


@pytest.mark.parametrize("known", [True, False])
def test_an_erasure_begun_at_the_kiosk_leaves_its_receipt_too(field: Field, *, known: bool) -> None:
    station = field.station()
    add_group(field)
    person = add_person(field, "workers") if known else "p-nobody"
    erase = Erase(station=station.id, request_id="a" * 32, person=person, issued_ms=0)
    station.send_events(station.event_of(1, EventKind.PERSON_ERASED, receipt(station, erase)))
    wait_for(lambda: [row.requested_by for row in field.all(Erasure)] == [f"station:{station.id}"])
