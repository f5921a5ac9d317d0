"""Who may come in, and why not."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_config.roster import GuestRules, RosterPerson, SpecialDay
from firmware_config.wire import Clock
from station_agent.clock import Stamp
from station_agent.core.policy import (
    PASSBACK_S,
    Decision,
    Deny,
    Entries,
    Grant,
    Guest,
    Note,
    Refusal,
    Way,
    WithoutRoster,
    decide,
    local_day,
)
from station_agent.core.roster import Roster
from tests.support.rosters import ALWAYS, ANNA, GROUPS, NOON, OFFICE, at, roster

SHANGHAI = ZoneInfo("Asia/Shanghai")
TODAY = date(2026, 5, 6)


def person(*groups: str, **fields: Any) -> RosterPerson:
    return msgspec.structs.replace(ANNA, groups=list(groups), **fields)


def here(text: str, *, trust: Clock = "synced", mono_ms: int = 1_000_000) -> Stamp:
    """A moment by the station's wall clock."""
    return at(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI), trust=trust, mono_ms=mono_ms)


def ask(
    who: str | Guest = "anna",
    *,
    held: Roster | None,
    via: Way = "pin",
    door: str = "main",
    moment: Stamp = NOON,
    entries: Entries | None = None,
    without_roster: WithoutRoster = "nobody",
    locked_down: bool = False,
) -> Decision:
    return decide(
        who,
        via=via,
        door=door,
        at=moment,
        zone=SHANGHAI,
        roster=held,
        entries=entries or Entries(),
        without_roster=without_roster,
        locked_down=locked_down,
    )


@pytest.mark.parametrize("via", ["face", "pass", "pin"])
def test_a_person_on_the_roster_comes_in_by_every_way(via: Way) -> None:
    assert ask(held=roster(ANNA), via=via) == Grant(extended=False)


def test_whoever_needs_longer_gets_longer() -> None:
    assert ask(held=roster(person("always", extended=True))) == Grant(extended=True)


@pytest.mark.parametrize(
    ("someone", "via", "reason"),
    [
        pytest.param(msgspec.structs.replace(ANNA, id="bo"), "pin", Refusal.NOT_ON_ROSTER, id="removed"),
        pytest.param(person("always", active=False), "pin", Refusal.PERSON_INACTIVE, id="inactive"),
        pytest.param(person("always", face=False), "face", Refusal.FACE_NOT_ALLOWED, id="no face"),
        pytest.param(person(), "pin", Refusal.NO_GROUP, id="no group"),
        pytest.param(person("night"), "pin", Refusal.OUTSIDE_HOURS, id="closed"),
        pytest.param(person("after-staff"), "pin", Refusal.NOT_YET_OPENED, id="nobody there yet"),
        pytest.param(person("night", "after-staff"), "pin", Refusal.NOT_YET_OPENED, id="most hopeful"),
    ],
)
def test_each_denial_has_its_reason(someone: RosterPerson, via: Way, reason: Refusal) -> None:
    assert ask(held=roster(someone), via=via) == Deny(reason)


def test_face_not_allowed_leaves_the_other_ways_open() -> None:
    held = roster(person("always", face=False))
    assert ask(held=held, via="pin") == ask(held=held, via="pass") == Grant(extended=False)


def test_one_group_that_is_open_is_enough() -> None:
    assert ask(held=roster(person("night", "after-staff", "office"))) == Grant(extended=False)


def test_a_group_may_be_kept_to_its_doors() -> None:
    back = msgspec.structs.replace(ALWAYS, id="back-only", doors=["back"])
    held = roster(person("back-only"), groups=[back])
    assert ask(held=held, door="main") == Deny(Refusal.WRONG_DOOR)
    assert ask(held=held, door="back") == Grant(extended=False)
    both = roster(person("back-only", "night"), groups=[back, *GROUPS])
    assert ask(held=both, door="main") == Deny(Refusal.OUTSIDE_HOURS)


def test_holidays_and_make_up_workdays_count() -> None:
    calendar = [
        SpecialDay(day="2026-10-01", kind="holiday"),
        SpecialDay(day="2026-10-10", kind="workday", as_weekday=3),
    ]
    moments = ["2026-09-30T12:00", "2026-10-01T12:00", "2026-10-10T12:00", "2026-10-11T12:00"]
    decisions = [
        ask(held=roster(person("office"), calendar=calendar, issued_ms=here(text).wall_ms), moment=here(text))
        for text in moments
    ]
    closed = Deny(Refusal.OUTSIDE_HOURS)
    assert decisions == [Grant(extended=False), closed, Grant(extended=False), closed]


# Without a roster, without a clock, with an old roster


@pytest.mark.parametrize(
    ("without_roster", "who", "via", "granted"),
    [
        ("enrolled", "anna", "face", True),
        ("nobody", "anna", "face", False),
        ("enrolled", "anna", "pin", False),
        ("enrolled", "anna", "pass", False),
        ("enrolled", Guest("g-1"), "pass", False),
    ],
)
def test_without_a_roster_the_configuration_decides_and_only_about_faces(
    without_roster: WithoutRoster, who: str | Guest, via: Way, *, granted: bool
) -> None:
    decision = ask(who, held=None, via=via, without_roster=without_roster)
    expected: Decision = (
        Grant(extended=False, notes=(Note.WITHOUT_ROSTER,)) if granted else Deny(Refusal.NO_ROSTER)
    )
    assert decision == expected


@pytest.mark.parametrize("trust", ["unsynced", "restored"])
def test_without_a_clock_hours_cannot_be_judged_and_always_can(trust: Clock) -> None:
    moment = here("2026-05-06T12:00", trust=trust)
    unknown_age = (Note.ROSTER_AGE_UNKNOWN,)
    assert ask(held=roster(person("office")), moment=moment) == Deny(Refusal.CLOCK)
    assert ask(held=roster(person("office", "always")), moment=moment) == Grant(
        extended=False, notes=unknown_age
    )


def test_an_old_roster_is_obeyed_and_told_about() -> None:
    late = here("2026-06-06T12:00")
    assert ask(held=roster(ANNA), moment=late) == Grant(extended=False, notes=(Note.ROSTER_STALE,))


# First person in


def test_a_group_that_waits_comes_in_once_the_other_has() -> None:
    held, entries = roster(person("after-staff")), Entries()
    assert ask(held=held, entries=entries) == Deny(Refusal.NOT_YET_OPENED)
    entries.entered("stefan", ["staff"], here("2026-05-06T08:30"))
    assert ask(held=held, entries=entries) == Grant(extended=False)
    assert ask(held=held, entries=entries, moment=here("2026-05-07T08:30")) == Deny(Refusal.NOT_YET_OPENED)


def test_an_entry_before_the_opening_does_not_count_for_it() -> None:
    entries = Entries()
    entries.entered("stefan", ["staff"], here("2026-05-06T07:59"))
    assert ask(held=roster(person("after-staff")), entries=entries) == Deny(Refusal.NOT_YET_OPENED)


def test_an_entry_from_the_future_or_by_an_unknown_clock_does_not_count() -> None:
    entries = Entries(group_entered_ms={"staff": here("2026-05-06T13:00").wall_ms})
    assert ask(held=roster(person("after-staff")), entries=entries) == Deny(Refusal.NOT_YET_OPENED)
    entries = Entries()
    assert entries.entered("stefan", ["staff"], here("2026-05-06T11:00", trust="unsynced")) == {}
    assert ask(held=roster(person("after-staff")), entries=entries) == Deny(Refusal.NOT_YET_OPENED)


def test_what_has_to_be_kept_brings_first_person_in_back_after_a_restart() -> None:
    kept = Entries().entered("stefan", ["staff"], here("2026-05-06T08:30"))
    again = Entries(group_entered_ms=kept)
    assert ask(held=roster(person("after-staff")), entries=again) == Grant(extended=False)


# Anti-passback


def test_a_second_entry_is_granted_and_noted() -> None:
    held, entries = roster(ANNA), Entries()
    entries.entered("anna", ["always"], NOON)
    later = at("2026-05-06T04:00", mono_ms=NOON.mono_ms + int(PASSBACK_S * 1000))
    assert ask(held=held, entries=entries) == Grant(extended=False, notes=(Note.PASSBACK,))
    assert ask(held=held, entries=entries, moment=later) == Grant(extended=False)
    assert ask("bo", held=roster(msgspec.structs.replace(ANNA, id="bo")), entries=entries) == Grant(
        extended=False
    )
    alone = ask(held=None, via="face", entries=entries, without_roster="enrolled")
    assert alone == Grant(extended=False, notes=(Note.WITHOUT_ROSTER, Note.PASSBACK))


@pytest.mark.parametrize("how", ["room empty", "erased"])
def test_passback_is_forgotten(how: str) -> None:
    entries = Entries()
    entries.entered("anna", [], NOON)
    if how == "erased":
        entries.forget("anna")
    else:
        entries.forget_people()
    assert ask(held=roster(ANNA), entries=entries) == Grant(extended=False)


# Guests

GUESTS = GuestRules(group="office", daily_cap=2)


def test_a_guest_has_the_hours_of_the_guests_group() -> None:
    held = roster(guests=GUESTS)
    assert ask(Guest("g-1"), held=held, via="pass") == Grant(extended=False)
    assert ask(Guest("g-1", extended=True), held=held, via="pass") == Grant(extended=True)
    evening = here("2026-05-06T19:00")
    assert ask(Guest("g-1"), held=held, via="pass", moment=evening) == Deny(Refusal.OUTSIDE_HOURS)


def test_no_more_guests_than_the_cap_on_one_day() -> None:
    held, entries = roster(guests=GUESTS), Entries()
    for _ in range(2):
        assert ask(Guest("g-1"), held=held, entries=entries) == Grant(extended=False)
        entries.guest_admitted(TODAY)
    assert ask(Guest("g-1"), held=held, entries=entries) == Deny(Refusal.GUEST_CAP)
    assert ask(Guest("g-1"), held=held, entries=Entries(guests={"2026-05-06": 2})) == Deny(Refusal.GUEST_CAP)
    tomorrow = here("2026-05-07T12:00")
    assert ask(Guest("g-1"), held=held, entries=entries, moment=tomorrow) == Grant(extended=False)
    entries.guest_admitted(date(2026, 5, 7))
    assert entries.guests_on(TODAY) == 0


def test_a_station_without_guests_takes_none() -> None:
    assert ask(Guest("g-1"), held=roster()) == Deny(Refusal.NO_GUESTS)


@pytest.mark.parametrize("via", ["face", "pass", "pin"])
@pytest.mark.parametrize("who", ["anna", "nobody-knows-them", Guest("g-1")])
@pytest.mark.parametrize("known", [True, False])
def test_a_door_that_is_locked_down_lets_nobody_in(who: str | Guest, via: Way, *, known: bool) -> None:
    held = roster(ANNA, guests=GuestRules(group="always", daily_cap=2)) if known else None
    shut = ask(who, held=held, via=via, without_roster="enrolled", locked_down=True)
    assert shut == Deny(Refusal.LOCKED_DOWN)


def test_without_a_clock_there_are_no_guests_even_of_an_always_open_group() -> None:
    held = roster(guests=GuestRules(group="always", daily_cap=2))
    moment = at("2026-05-06T04:00", trust="unsynced")
    assert ask(Guest("g-1"), held=held, moment=moment) == Deny(Refusal.CLOCK)


def test_the_day_is_the_stations() -> None:
    assert local_day(at("2026-05-06T17:00"), SHANGHAI) == date(2026, 5, 7)


# Over every roster and moment


@settings(max_examples=300, deadline=None)
@given(
    someone=st.builds(
        lambda groups, active, face: person(*groups, active=active, face=face),
        st.lists(st.sampled_from([group.id for group in GROUPS]), max_size=3, unique=True),
        st.booleans(),
        st.booleans(),
    ),
    who=st.sampled_from(["anna", "bo"]),
    via=st.sampled_from(["face", "pass", "pin"]),
    trust=st.sampled_from(["synced", "restored", "unsynced"]),
    minute=st.integers(0, 7 * 1440),
    has_roster=st.booleans(),
)
def test_nobody_is_let_in_by_doubt(
    someone: RosterPerson, who: str, via: Way, trust: Clock, minute: int, *, has_roster: bool
) -> None:
    moment = Stamp("b" * 32, 0, NOON.wall_ms + minute * 60_000, trust)
    held = roster(someone) if has_roster else None
    decision = ask(who, held=held, via=via, moment=moment)
    assert isinstance(decision, Grant | Deny)
    if isinstance(decision, Grant):
        assert has_roster
        assert who == "anna"
        assert someone.active
        assert someone.face or via != "face"
        assert trust == "synced" or "always" in someone.groups
        wall = datetime.fromtimestamp(moment.wall_ms / 1000, SHANGHAI)
        if someone.groups == [OFFICE.id]:
            assert 8 <= wall.hour < 18
            assert wall.weekday() < 5
