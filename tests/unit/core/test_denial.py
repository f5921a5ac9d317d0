"""Somebody who may be shut out is told about, once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.core.denial import CALM_S, GAP_S, REPEAT_S, SOMEBODY, WAIT_S, Waiting, WrongfulDenial


def stand(waiting: Waiting, seconds: float, *, from_s: float = 0.0) -> list[WrongfulDenial]:
    """Stay at the door, seen once a second."""
    found = [waiting.present(now_s=from_s + second) for second in range(int(seconds) + 1)]
    return [incident for incident in found if incident]


def deny(waiting: Waiting, person: str | None, now_s: float) -> WrongfulDenial | None:
    return waiting.denied(person, reason="outside_hours", now_s=now_s)


def test_two_denials_of_one_person_within_a_minute_are_an_incident() -> None:
    waiting = Waiting()
    assert deny(waiting, "anna", 0) is None
    assert deny(waiting, "anna", REPEAT_S) == WrongfulDenial(
        cause="denied_twice",
        person="anna",
        reason="outside_hours",
        waited_s=0.0,
        denials=2,
        reasons=("outside_hours",),
    )


def test_what_an_administrator_ordered_is_not_wrongful_however_often_and_long() -> None:
    waiting = Waiting()
    for now_s in range(0, int(WAIT_S) * 3, int(WAIT_S / 2)):
        assert waiting.denied("anna", reason="locked_down", now_s=now_s) is None
        assert waiting.present(now_s=now_s + 1) is None


def test_denials_further_apart_are_not() -> None:
    waiting = Waiting()
    assert deny(waiting, "anna", 0) is None
    assert deny(waiting, "anna", REPEAT_S + 0.1) is None
    assert deny(waiting, "anna", REPEAT_S + 5) is not None


def test_denials_of_two_people_are_not() -> None:
    waiting = Waiting()
    assert deny(waiting, "anna", 0) is None
    assert deny(waiting, "bo", 1) is None


def test_strangers_are_denied_as_often_as_they_try() -> None:
    waiting = Waiting()
    assert [deny(waiting, None, second) for second in range(30)] == [None] * 30


def test_somebody_near_an_enrolled_person_counts_without_a_name() -> None:
    waiting = Waiting()
    assert deny(waiting, SOMEBODY, 0) is None
    incident = deny(waiting, SOMEBODY, 4)
    assert incident is not None
    assert incident.person is None
    assert incident.data("main") == {
        "door": "main",
        "cause": "denied_twice",
        "reason": "outside_hours",
        "waited_ms": 4000,
        "denials": 2,
        "reasons": "outside_hours",
    }


def test_an_incident_counts_the_denials_since_the_person_came_and_names_each_reason_once() -> None:
    waiting = Waiting()
    waiting.denied(None, reason="unknown_face", now_s=0)
    for second, reason in enumerate(["unknown_face", "pass_expired", "unknown_face"], start=200):
        waiting.denied(None, reason=reason, now_s=second)
    (incident,) = stand(waiting, WAIT_S, from_s=203)
    assert (incident.denials, incident.reasons) == (3, ("pass_expired", "unknown_face"))
    assert incident.data("main")["reasons"] == "pass_expired unknown_face"


def test_a_minute_at_the_door_is_an_incident_once() -> None:
    incidents = stand(Waiting(), WAIT_S + 30)
    assert incidents == [WrongfulDenial(cause="waiting", person=None, reason=None, waited_s=WAIT_S)]
    assert incidents[0].data("main") == {"door": "main", "cause": "waiting", "waited_ms": 60_000}


def test_a_stranger_who_waits_is_told_about_with_the_last_reason_known() -> None:
    waiting = Waiting()
    deny(waiting, None, 0)
    assert [incident.cause for incident in stand(waiting, WAIT_S)] == ["waiting"]


def test_a_short_absence_does_not_end_the_wait_and_a_long_one_does() -> None:
    waiting = Waiting()
    assert stand(waiting, 40) == []
    assert len(stand(waiting, 20, from_s=40 + GAP_S)) == 1
    waiting = Waiting()
    assert stand(waiting, 40) == []
    assert stand(waiting, 50, from_s=40 + GAP_S + 1) == []


def test_an_entry_ends_everything() -> None:
    waiting = Waiting()
    deny(waiting, "anna", 0)
    assert stand(waiting, 50) == []
    waiting.entered()
    assert stand(waiting, 50, from_s=51) == []
    assert deny(waiting, "anna", 52) is None


def test_an_incident_that_goes_on_is_told_again_after_a_while() -> None:
    assert len(stand(Waiting(), WAIT_S + CALM_S + 1)) == 2


def test_both_causes_at_once_are_one_incident() -> None:
    waiting = Waiting()
    deny(waiting, "anna", 50)
    assert deny(waiting, "anna", 55) is not None
    assert stand(waiting, WAIT_S, from_s=56) == []


def test_the_next_person_after_an_empty_doorway_is_told_about_at_once() -> None:
    waiting = Waiting()
    deny(waiting, "anna", 0)
    assert deny(waiting, "anna", 5) is not None
    deny(waiting, "bo", 5 + GAP_S + 1)
    assert deny(waiting, "bo", 5 + GAP_S + 4) is not None


@pytest.mark.parametrize("cause", ["denied_twice", "waiting"])
def test_waiting_time_is_counted_from_the_arrival(cause: str) -> None:
    waiting = Waiting()
    waiting.present(now_s=100)
    if cause == "waiting":
        (incident,) = stand(waiting, 55, from_s=105)
    else:
        deny(waiting, "anna", 103)
        found = deny(waiting, "anna", 106)
        assert found is not None
        incident = found
    assert incident.waited_s == (60 if cause == "waiting" else 6)


STEPS = st.lists(
    st.tuples(st.floats(0, 20), st.sampled_from(["present", "anna", "bo", "stranger", "entered"])),
    max_size=80,
)


@given(STEPS)
def test_an_incident_has_its_cause_and_is_not_told_twice(steps: list[tuple[float, str]]) -> None:
    waiting, now_s, told_s = Waiting(), 0.0, -1e9
    arrived_s = seen_s = -1e9
    denied: dict[str, float] = {}
    for later_s, what in steps:
        now_s += later_s
        if what == "entered":
            waiting.entered()
            arrived_s = seen_s = told_s = -1e9
            denied = {}
            continue
        if now_s - seen_s > GAP_S:
            arrived_s, told_s = now_s, -1e9
        seen_s = now_s
        if what == "present":
            incident = waiting.present(now_s=now_s)
            expected = now_s - arrived_s >= WAIT_S
        else:
            person = None if what == "stranger" else what
            incident = deny(waiting, person, now_s)
            expected = person is not None and now_s - denied.get(what, -1e9) <= REPEAT_S
            denied[what] = now_s
        assert (incident is not None) == (expected and now_s - told_s >= CALM_S)
        if incident is not None:
            told_s = now_s
