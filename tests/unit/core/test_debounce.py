"""Raw edges of a switch, with their times, to levels that count."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.core.debounce import CHATTER_EDGES, Debounce, Level

HOLD_S = 0.05
UP, DOWN, FAULT = Level.ACTIVE, Level.INACTIVE, Level.FAULTED
Trace = list[tuple[float, bool]]


def play(trace: Trace, *, look_at_deadlines: bool = True, until_s: float = 1000.0) -> list[Level]:
    """Levels told for a switch that starts inactive at 0 s."""
    debounce = Debounce(active=False, hold_s=HOLD_S, now_s=0.0)
    told: list[Level] = []
    raw = False
    for at_s, active in [*trace, (until_s, trace[-1][1] if trace else False)]:
        while look_at_deadlines and (due_s := debounce.deadline_s) is not None and due_s < at_s:
            told += debounce.take(active=raw, now_s=due_s)
        raw = active
        told += debounce.take(active=active, now_s=at_s)
    return told


@pytest.mark.parametrize(
    ("trace", "told"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([(1.0, True)], [UP], id="one edge"),
        pytest.param([(1.0, True), (1.001, False), (1.002, True)], [UP], id="a bounce counts once"),
        pytest.param([(1.0, True), (1.04, False)], [], id="a blip below the holding time is nothing"),
        pytest.param([(1.0, True), (1.05, False)], [UP, DOWN], id="a blip of the holding time counts"),
        pytest.param([(1.0, True), (2.0, False), (3.0, True)], [UP, DOWN, UP], id="slow edges all count"),
    ],
)
def test_levels_count_once_they_have_held(trace: Trace, told: list[Level]) -> None:
    assert play(trace) == told
    assert play(trace, look_at_deadlines=False) == told


def test_the_first_level_counts_at_once() -> None:
    assert Debounce(active=True, hold_s=HOLD_S, now_s=0).level is UP
    assert Debounce(active=False, hold_s=HOLD_S, now_s=0).deadline_s is None


def test_a_chattering_switch_is_faulted_until_it_has_been_quiet() -> None:
    debounce = Debounce(active=False, hold_s=HOLD_S, now_s=0)
    told = [debounce.take(active=n % 2 == 0, now_s=n * 0.01) for n in range(CHATTER_EDGES + 1)]
    assert [level for levels in told for level in levels] == [FAULT]
    assert debounce.deadline_s == pytest.approx(5.2)
    assert debounce.take(active=True, now_s=5.1) == ()
    assert debounce.take(active=True, now_s=5.3) == (UP,)


def test_an_edge_while_faulted_starts_the_quiet_time_again() -> None:
    debounce = Debounce(active=False, hold_s=HOLD_S, now_s=0)
    for n in range(CHATTER_EDGES + 1):
        debounce.take(active=n % 2 == 0, now_s=n * 0.01)
    assert debounce.take(active=False, now_s=4.0) == ()
    assert debounce.deadline_s == 9.0
    assert debounce.take(active=False, now_s=9.0) == (DOWN,)


def test_after_a_fault_the_count_of_edges_begins_anew() -> None:
    chatter = [(n * 0.01, n % 2 == 0) for n in range(CHATTER_EDGES + 1)]
    assert play([*chatter, (6.0, False), (7.0, True)]) == [FAULT, UP, DOWN, UP]


def test_as_many_edges_spread_over_a_longer_time_are_no_fault() -> None:
    slow = [(n * 0.6, n % 2 == 0) for n in range(60)]
    assert FAULT not in play(slow)


def test_an_edge_that_was_missed_is_found_when_somebody_looks() -> None:
    debounce = Debounce(active=False, hold_s=HOLD_S, now_s=0)
    debounce.take(active=True, now_s=1.0)
    assert debounce.take(active=False, now_s=1.01) == ()
    assert debounce.deadline_s is None


def reference(trace: Trace) -> list[Level]:
    """The levels that held for the holding time, without immediate repeats. No chatter."""
    held = [
        UP if active else DOWN
        for (at_s, active), (next_s, _) in pairwise([*trace, (1000.0, False)])
        if next_s - at_s >= HOLD_S
    ]
    return [level for before, level in pairwise([DOWN, *held]) if level is not before]


@given(st.lists(st.integers(1, 200), max_size=CHATTER_EDGES))
def test_levels_told_are_those_that_held_whenever_anybody_looks(gaps: list[int]) -> None:
    at, trace = 0, []
    for n, gap in enumerate(gaps):
        at += gap
        trace.append((at / 128, n % 2 == 0))  # exact in binary
    assert play(trace) == reference(trace)
    assert play(trace, look_at_deadlines=False) == reference(trace)
