"""The rules of an attempt, one by one, then over ten thousand histories."""

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station_agent.core.challenge import (
    CLOSER,
    FLAT_FRAMES,
    HELD_FRAMES,
    LEAST_ASPECT,
    MOST_STEPS,
    NARROWEST,
    STRAIGHT_FRAMES,
    STRAIGHT_YAW,
    TURN_YAW,
    Step,
    draw_steps,
)
from station_agent.core.entry import SAME_PERSON
from station_agent.core.liveness import (
    JUDGED_YAW,
    LONGEST_S,
    LOST_S,
    PASSIVE_FRAMES,
    Asked,
    Cue,
    Demands,
    Gate,
    Live,
    Look,
    Mode,
    NotLive,
    Outcome,
    Reason,
)

FRAME_S = 0.125
"""Exact in binary, so that times can be compared."""

STRAIGHT = Look(
    taken_s=0,
    number=0,
    usable=True,
    fresh=True,
    same_as_before=0.8,
    yaw=0.0,
    width_px=100.0,
    aspect=1.0,
    passive=0.99,
    cues=frozenset(),
)
LEFT = replace(STRAIGHT, yaw=0.3, aspect=0.9)
RIGHT = replace(STRAIGHT, yaw=-0.3, aspect=0.9)
CLOSE = replace(STRAIGHT, width_px=130.0)
NOBODY = Look(taken_s=0, number=0, usable=False)
OBEYED = {
    Step.LOOK_STRAIGHT: STRAIGHT,
    Step.TURN_LEFT: LEFT,
    Step.TURN_RIGHT: RIGHT,
    Step.COME_CLOSER: CLOSE,
}

BOTH = Demands(mode="both", threshold=0.5)
ACTIVE = Demands(mode="active")
PASSIVE = Demands(mode="passive", threshold=0.5)


def drawing(*numbers: int) -> Callable[[int], int]:
    """Chance that gives the nonce 0 and then these numbers, over and over."""
    left = iter((0, *numbers * 10))
    return lambda limit: next(left) % limit


def gate(demands: Demands = ACTIVE, *numbers: int) -> Gate:
    """A new attempt at time 0; its steps are left, then right, unless other numbers are drawn."""
    return Gate(demands, below=drawing(*(numbers or (0, 0))), now_s=0.0)


class Play:
    """Shows looks to a gate, ``FRAME_S`` apart, and keeps all outcomes."""

    def __init__(self, attempt: Gate) -> None:
        self.gate = attempt
        self.count = 0
        self.told: list[Outcome] = []

    def show(self, *looks: Look) -> "Play":
        for look in looks:
            self.count += 1
            self.told += self.gate.step(replace(look, taken_s=self.count * FRAME_S, number=self.count))
        return self

    def obey(self, frames: int = 40, **changed: object) -> "Play":
        """Do what is asked; every look changed in the same way."""
        for _ in range(frames):
            if self.gate.asked is None:
                break
            self.show(replace(OBEYED[self.gate.asked], **changed))  # type: ignore[arg-type]
        return self

    @property
    def reason(self) -> Reason | None:
        verdict = self.gate.verdict
        return verdict.reason if isinstance(verdict, NotLive) else None


def test_a_person_who_does_what_is_asked_is_live() -> None:
    played = Play(gate()).obey()
    assert played.told == [
        Asked("0" * 32, Step.TURN_LEFT),
        Asked("0" * 32, Step.LOOK_STRAIGHT),
        Asked("0" * 32, Step.TURN_RIGHT),
        Live(
            nonce="0" * 32,
            gates=("active",),
            steps=(Step.TURN_LEFT, Step.TURN_RIGHT),
            frames=2 * (STRAIGHT_FRAMES + HELD_FRAMES),
            took_s=8 * FRAME_S,
        ),
    ]


def test_coming_closer_is_a_step_of_its_own() -> None:
    played = Play(gate(ACTIVE, 2, 1)).obey()
    assert played.gate.steps == (Step.COME_CLOSER, Step.TURN_RIGHT)
    assert isinstance(played.gate.verdict, Live)


def test_off_is_live_at_once_and_names_no_gate() -> None:
    off = gate(Demands(mode="off"))
    assert off.verdict == Live(nonce="0" * 32, gates=())
    assert (off.asked, off.deadline_s, off.step(NOBODY), off.tick(99.0)) == (None, None, [], [])


def test_passive_needs_five_straight_frames_and_no_move() -> None:
    played = Play(gate(PASSIVE)).show(*[STRAIGHT] * (PASSIVE_FRAMES - 1))
    assert played.gate.verdict is None
    assert played.gate.asked is Step.LOOK_STRAIGHT
    assert played.show(STRAIGHT).gate.verdict == Live(
        nonce="0" * 32, gates=("passive",), frames=PASSIVE_FRAMES, took_s=PASSIVE_FRAMES * FRAME_S
    )


def test_both_gates_must_pass_and_a_last_straight_look_is_asked_for_when_frames_are_missing() -> None:
    played = Play(gate(BOTH)).obey()
    assert played.told[-2:] == [Asked("0" * 32, Step.LOOK_STRAIGHT), played.gate.verdict]
    assert isinstance(played.gate.verdict, Live)
    assert played.gate.verdict.gates == ("active", "passive")
    assert Play(gate(BOTH)).obey(passive=0.2).reason == "replay_suspected"


def test_a_mode_nobody_knows_demands_everything() -> None:
    strange = Demands(mode="offf", threshold=0.5)  # type: ignore[arg-type]
    assert Play(gate(strange)).show(*[STRAIGHT] * 9).gate.verdict is None
    assert Play(gate(strange)).obey(passive=0.1).reason == "replay_suspected"


@pytest.mark.parametrize("threshold", [None, math.nan, 0.0, -1.0])
def test_without_a_threshold_nothing_passes(threshold: float | None) -> None:
    assert Play(gate(replace(PASSIVE, threshold=threshold))).obey().reason == "replay_suspected"


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf, 1.5, 0.49])
def test_an_unknown_score_counts_as_a_replay(score: float | None) -> None:
    assert Play(gate(PASSIVE)).obey(passive=score).reason == "replay_suspected"


def test_a_frame_whose_cues_nobody_sought_counts_as_a_replay() -> None:
    assert Play(gate(PASSIVE)).obey(cues=None).reason == "replay_suspected"


@pytest.mark.parametrize("cue", ["screen_pattern", "straight_border"])
def test_a_cue_in_half_of_the_frames_is_the_reason(cue: Cue) -> None:
    marked = replace(STRAIGHT, cues=frozenset({cue}))
    assert Play(gate(PASSIVE)).show(*[STRAIGHT] * 2, *[marked] * 3).reason == cue
    few = Play(gate(PASSIVE)).show(*[STRAIGHT] * 3, *[marked] * 2)
    assert isinstance(few.gate.verdict, Live)


def test_one_bad_score_among_five_is_the_cameras_error() -> None:
    assert isinstance(
        Play(gate(PASSIVE)).show(replace(STRAIGHT, passive=0.0), *[STRAIGHT] * 4).gate.verdict, Live
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fresh": False}, "repeated_frame"),
        ({"fresh": None}, "repeated_frame"),
        ({"same_as_before": 0.3}, "identity_changed"),
        ({"same_as_before": math.nan}, "identity_changed"),
        ({"aspect": 0.5}, "flat_turn"),
        ({"aspect": None}, "flat_turn"),
        ({"aspect": math.nan}, "flat_turn"),
        ({"same_as_before": None}, "face_lost"),
        ({"yaw": None}, "face_lost"),
        ({"yaw": math.nan}, "face_lost"),
        ({"yaw": math.inf}, "face_lost"),
        ({"width_px": None}, "face_lost"),
        ({"width_px": math.nan}, "face_lost"),
        ({"width_px": 0.0}, "face_lost"),
        ({"usable": False}, "face_lost"),
    ],
)
def test_each_missing_or_bad_value_ends_the_turn_with_its_reason(
    change: dict[str, object], reason: str
) -> None:
    played = Play(gate()).obey(STRAIGHT_FRAMES).obey(40, **change)
    assert played.reason == reason
    assert isinstance(played.gate.verdict, NotLive)


def test_the_face_must_not_be_gone_for_longer_than_a_head_turned_far_needs() -> None:
    frames = int(LOST_S / FRAME_S)
    assert Play(gate()).obey(2).show(*[NOBODY] * frames).gate.verdict is None
    assert Play(gate()).obey(2).show(*[NOBODY] * (frames + 1)).reason == "face_lost"
    far = replace(LEFT, yaw=0.9, same_as_before=0.1)
    assert isinstance(Play(gate()).obey(2).show(far, far).obey().gate.verdict, Live)


@pytest.mark.parametrize(("taken_s", "number"), [(1.0, 9), (0.5, 9), (1.5, 8), (1.5, 7)])
def test_a_frame_that_is_not_newer_than_the_last_ends_the_attempt(taken_s: float, number: int) -> None:
    attempt = gate()
    assert attempt.step(replace(STRAIGHT, taken_s=1.0, number=8)) == []
    attempt.step(replace(STRAIGHT, taken_s=taken_s, number=number if taken_s > 1 else 9))
    assert isinstance(attempt.verdict, NotLive)
    assert attempt.verdict.reason == "stale_frame"


@pytest.mark.parametrize("taken_s", [-0.1, math.nan, -math.inf])
def test_a_frame_from_before_the_attempt_says_nothing(taken_s: float) -> None:
    attempt = gate()
    assert attempt.step(replace(STRAIGHT, taken_s=taken_s, number=99, fresh=False)) == []
    assert attempt.verdict is None
    assert isinstance(Play(attempt).obey().gate.verdict, Live)


def test_time_ends_an_attempt_with_and_without_frames() -> None:
    assert Play(gate()).show(*[STRAIGHT] * 60).reason == "too_slow"
    waiting = gate()
    assert waiting.deadline_s == LOST_S
    assert waiting.tick(LOST_S) == []
    assert waiting.tick(LOST_S + 0.01)[0] == waiting.verdict
    assert isinstance(gate().tick(math.nan)[0], NotLive)
    busy = Play(gate()).show(*[STRAIGHT] * 45).gate
    assert busy.deadline_s == LONGEST_S


def test_no_station_can_ask_for_more_time_or_fewer_steps_than_the_rules() -> None:
    lax = gate(Demands(mode="active", steps=0, limit_s=600.0))
    assert len(lax.steps) == 2
    assert lax.tick(LONGEST_S + 0.01)
    assert len(gate(Demands(mode="active", steps=99)).steps) == MOST_STEPS
    assert Play(gate(replace(ACTIVE, limit_s=0.5))).obey().reason == "too_slow"


def test_another_move_than_the_one_asked_for_ends_the_attempt() -> None:
    for wrong in (RIGHT, CLOSE):
        assert Play(gate()).obey(STRAIGHT_FRAMES).show(wrong, wrong).reason == "wrong_step"


def test_one_frame_of_another_move_is_the_detectors_error() -> None:
    assert isinstance(Play(gate()).obey(STRAIGHT_FRAMES).show(RIGHT).obey().gate.verdict, Live)


def test_a_move_must_be_held() -> None:
    played = Play(gate()).obey(STRAIGHT_FRAMES).show(*[LEFT, STRAIGHT] * 5)
    assert played.gate.asked is Step.TURN_LEFT


def test_a_move_is_measured_from_where_the_person_looked_straight_ahead() -> None:
    aside = replace(STRAIGHT, yaw=0.14)
    played = Play(gate()).show(aside, aside).show(*[replace(LEFT, yaw=0.14 + TURN_YAW - 0.01)] * 4)
    assert played.gate.asked is Step.TURN_LEFT
    assert played.show(*[replace(LEFT, yaw=0.14 + TURN_YAW)] * 2).gate.asked is Step.LOOK_STRAIGHT


def test_a_tilted_picture_narrows_more_than_a_head_and_is_told_apart() -> None:
    flat = replace(LEFT, aspect=NARROWEST - 0.01)
    assert Play(gate()).obey(STRAIGHT_FRAMES).show(*[flat] * (FLAT_FRAMES - 1)).gate.verdict is None
    assert Play(gate()).obey(STRAIGHT_FRAMES).show(*[flat] * FLAT_FRAMES).reason == "flat_turn"


def test_a_picture_tilted_from_the_beginning_gains_nothing_by_it() -> None:
    tilted = replace(STRAIGHT, aspect=0.5)
    played = Play(gate()).show(tilted, tilted).show(*[replace(LEFT, aspect=0.5)] * FLAT_FRAMES)
    assert played.reason == "flat_turn"


def test_coming_closer_does_not_ask_how_the_face_narrows() -> None:
    assert isinstance(Play(gate(ACTIVE, 2, 0)).obey(6).obey(aspect=1.0).gate.verdict, Live)


def test_after_the_verdict_nothing_changes_it() -> None:
    played = Play(gate()).obey()
    verdict = played.gate.verdict
    assert played.show(replace(STRAIGHT, fresh=False), NOBODY).gate.verdict is verdict
    assert played.gate.tick(1e9) == []
    assert played.gate.asked is None


@given(st.integers(0, 9), st.lists(st.integers(0, 10**9), min_size=8, max_size=8))
def test_no_two_moves_in_a_row_are_alike_so_one_of_them_is_a_turn(count: int, numbers: list[int]) -> None:
    left = iter(numbers)
    steps = draw_steps(count, lambda _limit: next(left))
    assert 2 <= len(steps) <= MOST_STEPS
    assert all(first is not second for first, second in pairwise(steps))
    assert {Step.TURN_LEFT, Step.TURN_RIGHT} & set(steps)


def test_every_order_comes_up_and_every_attempt_has_its_own_nonce() -> None:
    numbers = iter(range(10**6))
    attempts = [
        Gate(ACTIVE, below=lambda limit: next(numbers) * 2_654_435_761 // 7 % limit, now_s=0.0)
        for _ in range(300)
    ]
    assert len({attempt.steps for attempt in attempts}) == 6
    assert len({attempt.nonce for attempt in attempts}) == 300


def test_a_film_that_shows_every_move_passes_only_by_its_order() -> None:
    film = [
        look for move in (LEFT, RIGHT, CLOSE) for look in (STRAIGHT, STRAIGHT, STRAIGHT, move, move, move)
    ]
    passed = []
    for first in range(3):
        for second in range(2):
            attempt = gate(ACTIVE, first, second)
            Play(attempt).show(*film)
            if isinstance(attempt.verdict, Live):
                passed.append(attempt.steps)
    assert passed == [(Step.TURN_LEFT, Step.TURN_RIGHT)]


# --- ten thousand histories ------------------------------------------------------------------------------------------

SPOILT: tuple[dict[str, object], ...] = (
    {"fresh": False},
    {"fresh": None},
    {"same_as_before": 0.2},
    {"same_as_before": None},
    {"same_as_before": math.nan},
    {"yaw": math.nan},
    {"yaw": 0.3},
    {"yaw": -0.3},
    {"width_px": 140.0},
    {"width_px": None},
    {"aspect": 0.4},
    {"passive": 0.1},
    {"passive": None},
    {"cues": frozenset({"screen_pattern"})},
    {"cues": None},
    {"usable": False},
)
MODES: tuple[Mode, ...] = get_args(Mode)


def history(attempt: Gate, choices: bytes) -> Iterator[Look]:
    """Looks by one byte each: mostly what is asked; a fault or a slow pace, once begun, lasts until it is ended."""
    taken_s, number, pace_s = 0.0, 0, FRAME_S
    fault: dict[str, object] = {}
    for choice in choices:
        taken_s += pace_s if choice < 0xFA else (0.0, -FRAME_S, 1.4, 1.6, 3.0, math.nan)[choice - 0xFA]
        number += choice != 0xF9
        if choice % 16 == 7:
            fault = SPOILT[choice // 16]
        elif choice % 16 == 9:
            fault = {}
        elif choice % 64 == 5:
            pace_s = FRAME_S if pace_s > FRAME_S else 6 * FRAME_S
        look = OBEYED[attempt.asked or Step.LOOK_STRAIGHT]
        if choice % 64 == 6:
            look = tuple(OBEYED.values())[choice // 64]
        yield replace(look, taken_s=taken_s, number=number, **fault)  # type: ignore[arg-type]
        taken_s = 0.0 if math.isnan(taken_s) else taken_s


def assert_earned(attempt: Gate, verdict: Live, shown: list[Look], demands: Demands) -> None:
    """What a pass must rest on, worked out again from the history alone."""
    shown = [look for look in shown if look.taken_s >= 0]
    assert all(old.taken_s < new.taken_s and old.number < new.number for old, new in pairwise(shown))
    assert all(look.fresh is True or not look.usable for look in shown)
    judged = [
        look
        for look in shown
        if look.usable
        and look.same_as_before is not None
        and look.width_px is not None
        and look.yaw is not None
        and abs(look.yaw) <= JUDGED_YAW
    ]
    assert judged
    assert all(look.same_as_before is not None and look.same_as_before >= SAME_PERSON for look in judged)
    assert shown[-1].taken_s <= LONGEST_S
    assert all(new.taken_s - old.taken_s <= LOST_S for old, new in pairwise(judged))
    straight = [look for look in judged if abs(look.yaw or 0.0) <= STRAIGHT_YAW]
    if demands.mode in {"active", "both"}:
        assert verdict.steps == attempt.steps
        assert_made(list(attempt.steps), judged)
    if demands.mode in {"passive", "both"}:
        assert len(straight) >= PASSIVE_FRAMES
        known = [
            look.passive if look.passive is not None and look.cues is not None else 0.0 for look in straight
        ]
        assert statistics.median(known) >= 0.5
        assert sum(bool(look.cues) for look in straight) < len(straight) / 2


def assert_made(steps: list[Step], judged: list[Look]) -> None:
    """Each step in order: two looks straight ahead, later two that show the move."""
    places = iter(judged)
    for step in steps:
        assert _take(places, looks_ahead, STRAIGHT_FRAMES), step
        assert _take(places, SHOWN[step], HELD_FRAMES), step


def _take(places: Iterator[Look], wanted: Callable[[Look], bool], count: int) -> bool:
    """Go on until so many were found."""
    found = 0
    while found < count and (look := next(places, None)) is not None:
        found += wanted(look)
    return found == count


def looks_ahead(look: Look) -> bool:
    return abs(look.yaw or 0.0) <= STRAIGHT_YAW


def turned(look: Look) -> float:
    """How far to the left; nothing when the face narrowed like a tilted picture."""
    return (look.yaw or 0.0) if (look.aspect or 0.0) >= NARROWEST * LEAST_ASPECT else 0.0


SHOWN: dict[Step, Callable[[Look], bool]] = {
    # straight looks of the histories have a yaw of 0 and a width of at least 100, so a move can be told by itself
    Step.TURN_LEFT: lambda look: turned(look) >= TURN_YAW,
    Step.TURN_RIGHT: lambda look: turned(look) <= -TURN_YAW,
    Step.COME_CLOSER: lambda look: (look.width_px or 0.0) >= CLOSER * 100,
}


def test_over_ten_thousand_histories_nobody_passes_without_every_gate_and_each_failure_has_one_reason() -> (
    None
):
    verdicts: list[Live | NotLive | None] = []

    @settings(max_examples=10_000, deadline=None)
    @given(
        choices=st.binary(min_size=4, max_size=48),
        mode=st.sampled_from(MODES[1:]),
        draws=st.binary(min_size=6, max_size=6),
    )
    def over(choices: bytes, mode: Mode, draws: bytes) -> None:
        demands = Demands(mode=mode, threshold=0.5, steps=2 + draws[0] % 2)
        attempt = Gate(demands, below=drawing(*draws), now_s=0.0)
        told: list[Outcome] = []
        shown: list[Look] = []
        for look in history(attempt, choices):
            if attempt.verdict is None:
                shown.append(look)
            told += attempt.step(look)
        ends = [outcome for outcome in told if not isinstance(outcome, Asked)]
        assert ends == ([] if attempt.verdict is None else [attempt.verdict])
        verdicts.append(attempt.verdict)
        if isinstance(attempt.verdict, NotLive):
            assert attempt.verdict.reason in get_args(Reason)
        if isinstance(attempt.verdict, Live):
            assert_earned(attempt, attempt.verdict, shown, demands)

    over()
    passed = sum(isinstance(verdict, Live) for verdict in verdicts)
    reasons = {verdict.reason for verdict in verdicts if isinstance(verdict, NotLive)}
    assert len(verdicts) >= 10_000
    assert passed > 100, "the histories must hold passes too, or the rule is tested on nothing"
    assert len(reasons) >= 8, reasons
