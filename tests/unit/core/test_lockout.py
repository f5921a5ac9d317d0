"""Failures slow a way down, for a person and for a door; nothing else, and nobody else's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.core.lockout import RULES, Locked, Lockout, Method, Subject

ANNA = Subject("pin", "person", "anna")
BO = Subject("pin", "person", "bo")
DOOR = Subject("pin", "door", "main")


def fail(lockout: Lockout, *subjects: Subject, times: int = 1, now_s: float = 0.0) -> float:
    """Fail as soon as it is allowed, that many times; when the last attempt was made."""
    for _ in range(times):
        if locked := lockout.locked(subjects, now_s=now_s):
            now_s += locked.wait_s
        assert isinstance(lockout.charge(subjects, now_s=now_s), dict)
    return now_s


def wait_s(lockout: Lockout, *subjects: Subject, now_s: float = 0.0) -> float:
    locked = lockout.locked(subjects, now_s=now_s)
    return 0.0 if locked is None else locked.wait_s


def test_five_failures_are_free_of_any_wait_and_the_sixth_attempt_is_not() -> None:
    lockout = Lockout({}, now_s=0)
    fail(lockout, ANNA, times=4)
    assert wait_s(lockout, ANNA) == 0
    fail(lockout, ANNA)
    assert lockout.locked([ANNA], now_s=0) == Locked("locked_out", 30.0)


def test_the_wait_doubles_up_to_a_limit() -> None:
    lockout = Lockout({}, now_s=0)
    now_s = fail(lockout, ANNA, times=5)
    waits = []
    for _ in range(8):
        waits.append(wait_s(lockout, ANNA, now_s=now_s))
        now_s = fail(lockout, ANNA, now_s=now_s)
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_at_fifty_only_an_operator_helps() -> None:
    lockout = Lockout({}, now_s=0)
    now_s = fail(lockout, ANNA, times=50)
    assert lockout.locked([ANNA], now_s=now_s + 1e9) == Locked("locked_until_forgiven", math.inf)
    assert lockout.forgive(ANNA) == {ANNA: 0}
    assert wait_s(lockout, ANNA, now_s=now_s) == 0


def test_a_door_is_never_shut_for_good() -> None:
    lockout = Lockout({}, now_s=0)
    now_s = fail(lockout, DOOR, times=200)
    assert wait_s(lockout, DOOR, now_s=now_s) == 300


def test_an_attempt_during_a_wait_is_refused_and_does_not_lengthen_it() -> None:
    lockout = Lockout({}, now_s=0)
    fail(lockout, ANNA, times=5)
    for second in range(30):
        assert isinstance(lockout.charge([ANNA], now_s=second), Locked)
    assert lockout.charge([ANNA], now_s=30) == {ANNA: 6}


def test_an_attempt_is_a_failure_until_it_is_found_good() -> None:
    lockout = Lockout({}, now_s=0)
    assert lockout.charge([ANNA, DOOR], now_s=0) == {ANNA: 1, DOOR: 1}
    assert lockout.tallies == {ANNA: 1, DOOR: 1}
    assert lockout.succeed([ANNA, DOOR]) == {ANNA: 0, DOOR: 0}
    assert lockout.tallies == {}


def test_a_success_forgives_its_person_everything_and_the_door_one_failure() -> None:
    lockout = Lockout({}, now_s=0)
    now_s = fail(lockout, BO, DOOR, times=4)
    fail(lockout, ANNA, DOOR, now_s=now_s)
    assert lockout.succeed([ANNA, DOOR]) == {ANNA: 0, DOOR: 3}
    assert lockout.tallies == {BO: 4, DOOR: 3}


def test_ones_own_pin_does_not_buy_guesses_at_others() -> None:
    lockout = Lockout({}, now_s=0)
    now_s, guesses = 0.0, 0
    for victim in range(200):
        now_s = fail(lockout, Subject("pin", "person", f"v{victim}"), DOOR, now_s=now_s, times=2)
        guesses += 2
        now_s = fail(lockout, ANNA, DOOR, now_s=now_s)
        lockout.succeed([ANNA, DOOR])
    assert now_s / guesses > 100


def test_whoever_comes_after_a_success_does_not_wait() -> None:
    lockout = Lockout({}, now_s=0)
    now_s = fail(lockout, BO, DOOR, times=9)
    now_s = fail(lockout, ANNA, DOOR, now_s=now_s)
    assert lockout.succeed([ANNA, DOOR])[DOOR] == 8
    assert wait_s(lockout, DOOR, now_s=now_s) == 0
    fail(lockout, DOOR, now_s=now_s)
    assert wait_s(lockout, DOOR, now_s=now_s) == 300


def test_the_longest_wait_of_person_and_door_counts() -> None:
    lockout = Lockout({ANNA: 5, DOOR: 7}, now_s=0)
    assert wait_s(lockout, ANNA, DOOR) == wait_s(lockout, DOOR, ANNA) == 120


def test_a_restart_begins_the_wait_anew_and_forgets_no_failure() -> None:
    lockout = Lockout({}, now_s=0)
    fail(lockout, ANNA, times=6)
    again = Lockout(lockout.tallies, now_s=5000)
    assert wait_s(again, ANNA, now_s=5000) == 60
    assert Lockout({ANNA: 0}, now_s=0).tallies == {}


@pytest.mark.parametrize("method", ["face", "pass", "pin", "code"])
def test_every_way_has_rules_within_the_limits_of_the_standard(method: Method) -> None:
    person, door = RULES[method, "person"], RULES[method, "door"]
    assert person.free <= 5
    assert door.free <= (10 if method == "face" else 5)
    assert min(person.wait_s(person.free), door.wait_s(door.free)) >= 30
    assert person.stop_at is not None
    assert person.stop_at <= 50
    assert door.stop_at is None
    assert person.wait_s(10**9) == person.longest_wait_s


# Over every history

METHODS: list[Method] = ["face", "pass", "pin", "code"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(METHODS),
            st.sampled_from(["anna", "bo", None]),
            st.floats(0, 100),
            st.booleans(),
        ),
        max_size=80,
    )
)
def test_failures_of_one_way_never_touch_another_way_or_another_person(
    history: list[tuple[Method, str | None, float, bool]],
) -> None:
    mixed = Lockout({}, now_s=0)
    alone: dict[Method, Lockout] = {}
    now_s = 0.0
    for method, person, later_s, good in history:
        now_s += later_s
        subjects = [Subject(method, "door", "main")]
        if person is not None:
            subjects.append(Subject(method, "person", person))
        own = alone.setdefault(method, Lockout({}, now_s=0))
        charged = mixed.charge(subjects, now_s=now_s)
        assert own.charge(subjects, now_s=now_s) == charged
        if good and isinstance(charged, dict):
            assert mixed.succeed(subjects) == own.succeed(subjects)


@given(st.lists(st.tuples(st.floats(0, 2000), st.booleans()), max_size=120))
def test_no_more_than_five_failures_in_a_row_without_half_a_minute(history: list[tuple[float, bool]]) -> None:
    lockout, now_s = Lockout({}, now_s=0), 0.0
    row: list[float] = []
    for later_s, good in history:
        now_s += later_s
        if isinstance(lockout.charge([ANNA], now_s=now_s), Locked):
            continue
        if good:
            lockout.succeed([ANNA])
            row = []
            continue
        row.append(now_s)
        assert len(row) <= 50
        if len(row) > 5:
            assert row[-1] - row[-2] >= min(900, 30 * 2 ** (len(row) - 6)) - 1e-6


def test_exit_help_fire_and_orders_are_not_counted() -> None:
    assert {method for method, _ in RULES} == {"face", "pass", "pin", "code"}
