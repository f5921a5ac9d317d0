"""Whose templates may be kept no longer: each rule of core/retention.py."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_config.roster import RosterPerson
from station_agent.core.retention import DAY_MS, GRACE_MS, Cause, Kept, Steps, look
from station_agent.core.roster import Roster
from tests.support.rosters import NOON, at, roster

TODAY = NOON.wall_ms // DAY_MS
ALLOWED = RosterPerson(id="anna", groups=["always"], face=True, consent=1)
FORBIDDEN = RosterPerson(id="anna", groups=["always"])


def kept(**changes: Any) -> Kept:
    return Kept(**{"person": "anna", "visited_day": TODAY, **changes})


def steps(one: Kept, in_force: Roster | None, *, expire_days: int = 180) -> Steps:
    found = look([one], roster=in_force, at=NOON, expire_days=expire_days)
    assert found is not None
    return found


def test_a_clock_that_cannot_be_trusted_destroys_nothing() -> None:
    for trust in ("unsynced", "restored"):
        moment = at("2036-01-01", trust=trust)
        assert look([kept(confirmed=True)], roster=roster(), at=moment, expire_days=1) is None


def test_without_a_roster_nothing_is_destroyed_but_what_nobody_visited() -> None:
    assert steps(kept(confirmed=True), None).lapsed == {}
    assert steps(kept(visited_day=TODAY - 180), None).lapsed == {"anna": Cause.EXPIRED}


def test_a_withdrawn_consent_destroys_at_once_what_the_hub_knew_of() -> None:
    assert steps(kept(confirmed=True), roster(FORBIDDEN)).lapsed == {"anna": Cause.FACE_NOT_ALLOWED}


def test_a_roster_as_old_as_the_enrolment_destroys_and_confirms_nothing() -> None:
    for person in (FORBIDDEN, ALLOWED):
        found = steps(kept(said_at_roster=4), roster(person, version=4))
        assert (found.lapsed, found.confirmed) == ({}, [])
    assert steps(kept(said_at_roster=4, confirmed=True), roster(FORBIDDEN, version=4)).lapsed == {}


def test_a_newer_roster_that_allows_the_face_confirms_the_consent() -> None:
    assert steps(kept(said_at_roster=4), roster(ALLOWED, version=5)).confirmed == ["anna"]


@pytest.mark.parametrize(
    ("in_force", "cause"),
    [((), Cause.NOT_ON_ROSTER), ((FORBIDDEN,), Cause.FACE_NOT_ALLOWED)],
    ids=["not on it", "consent not heard of"],
)
def test_what_the_hub_may_not_have_heard_of_goes_only_when_a_later_roster_says_the_same(
    in_force: tuple[RosterPerson, ...], cause: Cause
) -> None:
    first = steps(kept(), roster(*in_force))
    assert (first.lapsed, first.barred) == ({}, ["anna"])
    noticed = kept(barred_at_ms=NOON.wall_ms)
    soon = roster(*in_force, version=2, issued_ms=NOON.wall_ms + GRACE_MS - 1)
    assert steps(noticed, soon).lapsed == {}
    later = roster(*in_force, version=2, issued_ms=NOON.wall_ms + GRACE_MS)
    assert steps(noticed, later).lapsed == {"anna": cause}


def test_somebody_removed_and_put_back_keeps_their_templates() -> None:
    noticed = kept(confirmed=True, barred_at_ms=NOON.wall_ms)
    found = steps(noticed, roster(ALLOWED, version=2, issued_ms=NOON.wall_ms + 2 * GRACE_MS))
    assert (found.lapsed, found.let_in_again) == ({}, ["anna"])


def test_a_person_barred_for_now_keeps_their_templates() -> None:
    inactive = RosterPerson(id="anna", groups=["always"], face=True, consent=1, active=False)
    assert steps(kept(confirmed=True), roster(inactive)).lapsed == {}


def test_templates_expire_on_the_day_and_not_before() -> None:
    assert steps(kept(visited_day=TODAY - 179), roster(ALLOWED)).lapsed == {}
    assert steps(kept(visited_day=TODAY - 180), roster(ALLOWED)).lapsed == {"anna": Cause.EXPIRED}


def test_a_visit_that_no_clock_dated_counts_as_today() -> None:
    found = steps(kept(visited_day=None), roster(ALLOWED))
    assert (found.undated, found.today, found.lapsed) == (["anna"], TODAY, {})


@settings(max_examples=60)
@given(
    st.builds(
        Kept,
        person=st.just("anna"),
        confirmed=st.booleans(),
        barred_at_ms=st.none() | st.integers(0, NOON.wall_ms),
        visited_day=st.none() | st.integers(TODAY - 100, TODAY),
        said_at_roster=st.integers(0, 9),
    ),
    st.integers(1, 9),
)
def test_whoever_the_roster_allows_and_who_was_here_lately_is_never_destroyed(
    one: Kept, version: int
) -> None:
    assert steps(one, roster(ALLOWED, version=version)).lapsed == {}
