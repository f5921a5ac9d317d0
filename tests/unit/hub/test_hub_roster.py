"""What rows become in a station's roster, and how its version moves."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.access import audit
from cloud_hub.models import Consent, EntryPass, PeopleGroup, Station
from cloud_hub.models.people import ConsentKind
from cloud_hub.people import codes, hours, services
from cloud_hub.people.hours import GroupRules
from cloud_hub.roster import build
from cloud_hub.roster.services import REFRESH, current, digest_of, issue, note_applied, revision, touch
from firmware_config.roster import ROSTER_LIFE_MS, RosterDocument, SpecialDay
from tests.support.hub import STATION, World

ELSEWHERE = "st-test0002"
BY = "user:lin"
ALWAYS = [[{"opens_min": 0, "closes_min": 1440}]] * 7


@pytest.fixture
def town(world: World) -> World:
    world.add_station(ELSEWHERE)
    return world


def add_group(town: World, name: str = "workers", *stations: str, guest_cap: int | None = None) -> None:
    with town.sessions.begin() as session:
        rules = GroupRules(weekly=ALWAYS, stations=stations, guest_cap=guest_cap)
        hours.create_group(session, group_id=name, rules=rules, actor=BY, now=town.now)


def add_person(town: World, *groups: str) -> str:
    with town.sessions.begin() as session:
        return services.create_person(
            session, groups=groups, number=None, extended=False, actor=BY, now=town.now
        ).id


def agree(town: World, person: str, kind: ConsentKind, station: str = STATION, version: int = 2) -> None:
    with town.sessions.begin() as session:
        session.add(
            Consent(
                person_id=person, station_id=station, kind=kind, version=version, channel="kiosk",
                given_at=town.now, withdrawn_at=None, withdrawn_by=None,
            )
        )  # fmt: skip
        touch(session)


def roster(town: World, station: str = STATION, *, reported: int = 0) -> RosterDocument:
    """What the station should have now, issued anew where the rows moved on."""
    with town.sessions.begin() as session:
        row = session.get_one(Station, station)
        held = current(session, row, pass_keys=(), reported=reported, now=town.now)
        return held or issue(session, row, pass_keys=(), reported=reported, now=town.now)


def test_a_station_gets_only_people_of_groups_that_count_there(town: World) -> None:
    add_group(town, "everywhere")
    add_group(town, "north", STATION)
    everybody, north = add_person(town, "everywhere", "north"), add_person(town, "north")
    add_person(town)
    assert {person.id: person.groups for person in roster(town).people} == {
        everybody: ["everywhere", "north"],
        north: ["north"],
    }
    away = roster(town, ELSEWHERE)
    assert [(person.id, person.groups) for person in away.people] == [(everybody, ["everywhere"])]
    assert [group.id for group in away.groups] == ["everywhere"]


def test_a_face_counts_where_it_was_agreed_to_and_elsewhere_only_with_the_second_consent(town: World) -> None:
    add_group(town)
    person = add_person(town, "workers")

    def faces() -> list[tuple[bool, int]]:
        return [
            (found.face, found.consent)
            for station in (STATION, ELSEWHERE)
            for found in roster(town, station).people
        ]

    assert faces() == [(False, 0), (False, 0)]
    agree(town, person, ConsentKind.FACE)
    assert faces() == [(True, 2), (False, 0)]
    agree(town, person, ConsentKind.REPLICATION)
    assert faces() == [(True, 2), (True, 2)]


def test_the_same_rows_keep_the_version_and_a_change_raises_it(town: World) -> None:
    add_group(town)
    first = roster(town)
    town.forward(hours=1)
    assert roster(town) == first
    add_person(town, "workers")
    second = roster(town)
    assert (first.version, second.version, len(second.people)) == (1, 2, 1)
    assert second.expires_ms - second.issued_ms == ROSTER_LIFE_MS


def test_an_unchanged_roster_is_issued_anew_before_it_grows_stale(town: World) -> None:
    add_group(town)
    first = roster(town)
    town.forward(seconds=REFRESH.total_seconds() + 1)
    again = roster(town)
    assert (again.version, again.issued_ms > first.issued_ms) == (2, True)


def test_after_a_restore_the_version_goes_beyond_what_the_station_has(town: World) -> None:
    add_group(town)
    roster(town)
    assert roster(town, reported=90).version == 91


def test_what_a_station_says_it_has_is_kept_once(town: World) -> None:
    add_group(town)
    roster(town)
    with town.sessions.begin() as session:
        assert note_applied(session, STATION, 1, now=town.now)
        assert not note_applied(session, STATION, 1, now=town.now)
        assert not note_applied(session, "st-unheard1", 1, now=town.now)


def test_guests_special_days_and_codes_travel_too_and_what_is_over_does_not(town: World) -> None:
    add_group(town, "guests", guest_cap=7)
    person = add_person(town, "guests")
    with town.sessions.begin() as session:
        days = [SpecialDay(day=day, kind="holiday") for day in ("2020-01-01", "2099-10-01")]
        hours.set_calendar(session, days, actor=BY, now=town.now)
        codes.create(session, person_id=person, life=timedelta(days=1), actor=BY, now=town.now)
    found = roster(town)
    assert found.guests is not None
    assert (found.guests.group, found.guests.daily_cap) == ("guests", 7)
    assert [day.day for day in found.calendar] == ["2099-10-01"]
    assert [code.person for code in found.enrolment_codes] == [person]
    town.forward(hours=25)
    assert roster(town).enrolment_codes == []


@pytest.mark.parametrize(
    ("scope", "listed"), [([STATION], True), (["*"], True), ([ELSEWHERE], False), (["r-north"], False)]
)
def test_a_revoked_pass_is_told_where_it_could_be_used(
    town: World, scope: list[str], *, listed: bool
) -> None:
    add_group(town)
    with town.sessions.begin() as session:
        session.add(
            EntryPass(
                id="ab" * 8, key_id="0" * 8, person_id=None, holder="guest-1", scope=scope, not_before=town.now,
                not_after=town.now + timedelta(days=1), uses=0, extended=False, created_at=town.now, created_by=BY,
                revoked_at=town.now, revoked_by=BY,
            )
        )  # fmt: skip
        touch(session)
    assert roster(town).revoked_passes == (["ab" * 8] if listed else [])
    town.forward(days=2)
    assert roster(town).revoked_passes == []


def test_rows_that_contradict_each_other_make_no_roster_and_leave_the_old_one(town: World) -> None:
    add_group(town)
    held = roster(town)
    with town.sessions.begin() as session:
        session.get_one(PeopleGroup, "workers").waits_for = "nobody"
    with pytest.raises(ValueError, match="waits for nobody"):
        roster(town)
    with town.sessions.begin() as session:
        session.get_one(PeopleGroup, "workers").waits_for = None
    assert digest_of(roster(town)) == digest_of(held)


def test_a_change_of_anything_is_counted_and_audited(town: World, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        assert revision(session) == 0
    add_group(town)
    add_person(town, "workers")
    with sessions() as session:
        assert revision(session) == 2
        assert audit.verify(session).ok


@pytest.mark.parametrize(("region", "told"), [("r-north", "r-north"), ("浦东新区", None), ("", None)])
def test_a_region_is_told_where_a_pass_could_name_it(town: World, region: str, told: str | None) -> None:
    with town.sessions.begin() as session:
        station = session.get_one(Station, STATION)
        station.region = region
        assert build.region_of(station) == told
