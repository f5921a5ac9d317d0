"""The rules of a visit, one by one, then over every history."""

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from station_agent.core.entry import (
    GONE_S,
    RETRY_S,
    SAME_PERSON,
    Denied,
    Entry,
    Granted,
    Outcome,
    Prompt,
    Sighting,
)
from station_agent.core.threshold import CLOSED

FRAME_S = 0.125
"""Exact in binary, so that times can be compared."""


@dataclass(frozen=True)
class Rules:
    threshold: float = 0.45
    margin: float = 0.06
    agreeing_frames: int = 3
    judged_frames: int = 8


RULES = Rules()

WORKER = Sighting(taken_s=0, faces=1, person="anna", score=0.8, margin=0.5, same_as_before=0.9)
COLLEAGUE = replace(WORKER, person="bo")
STRANGER = replace(WORKER, score=0.1, margin=0.02)
NOBODY = Sighting(taken_s=0, faces=0)
FAR_AWAY = Sighting(taken_s=0, faces=1, quality="too_small")


def first(sighting: Sighting) -> Sighting:
    """As the first usable face of a visit: nothing to compare it with."""
    return replace(sighting, same_as_before=None)


def other(sighting: Sighting) -> Sighting:
    """As a face that is not the visit's person."""
    return replace(sighting, same_as_before=0.1)


def play(*sightings: Sighting, rules: Rules = RULES, entry: Entry | None = None) -> list[list[Outcome]]:
    """Show the frames one after the other, ``FRAME_S`` apart; what each led to."""
    entry = entry or Entry()
    return [
        entry.step(replace(sighting, taken_s=number * FRAME_S), rules)
        for number, sighting in enumerate(sightings, start=1)
    ]


def flat(outcomes: list[list[Outcome]]) -> list[Outcome]:
    return [outcome for step in outcomes for outcome in step]


def test_three_agreeing_frames_grant_and_no_fewer() -> None:
    assert play(first(WORKER), WORKER, WORKER, WORKER) == [
        [],
        [],
        [Granted(person="anna", score=0.8, margin=0.5, frames=3, waited_s=2 * FRAME_S)],
        [],
    ]


def test_a_grant_states_its_weakest_frame() -> None:
    weak = replace(WORKER, score=0.5, margin=0.1)
    (granted,) = flat(play(first(WORKER), weak, WORKER))
    assert isinstance(granted, Granted)
    assert (granted.score, granted.margin) == (0.5, 0.1)


def test_a_decision_states_the_mean_light_of_its_frames_and_does_not_depend_on_it() -> None:
    bright, unmeasured = replace(WORKER, light=100.0), replace(WORKER, light=None)
    (granted,) = flat(play(first(bright), replace(bright, light=50.0), unmeasured))
    assert isinstance(granted, Granted)
    assert granted.light == 75.0
    dark = replace(STRANGER, light=20.0)
    (denied,) = flat(play(first(dark), *[dark] * 7))
    assert isinstance(denied, Denied)
    assert denied.light == 20.0


def test_one_frame_never_grants_whatever_the_rules_say() -> None:
    assert flat(play(first(WORKER), rules=Rules(agreeing_frames=1))) == []


def test_a_stranger_is_denied_after_the_judged_frames() -> None:
    assert play(first(STRANGER), *[STRANGER] * 7) == [
        *[[]] * 7,
        [Denied(reason="unknown_face", score=0.1, frames=8, waited_s=7 * FRAME_S)],
    ]


def test_nobody_enrolled_means_unknown() -> None:
    bare = Sighting(taken_s=0, faces=1, same_as_before=0.9)
    (denied,) = flat(play(first(bare), *[bare] * 7))
    assert isinstance(denied, Denied)
    assert denied.reason == "unknown_face"


@pytest.mark.parametrize(
    "unsure",
    [
        pytest.param(replace(WORKER, score=0.40), id="just below the threshold"),
        pytest.param(replace(WORKER, margin=0.01), id="another person is as close"),
    ],
)
def test_near_an_enrolled_person_is_ambiguous_and_never_a_guess(unsure: Sighting) -> None:
    (denied,) = flat(play(first(unsure), *[unsure] * 7))
    assert isinstance(denied, Denied)
    assert denied.reason == "ambiguous_face"


def test_frames_that_speak_for_two_people_are_ambiguous() -> None:
    (denied,) = flat(play(first(WORKER), WORKER, COLLEAGUE, *[WORKER] * 5))
    assert isinstance(denied, Denied)
    assert denied.reason == "ambiguous_face"


def test_a_few_bad_frames_do_not_cost_the_grant() -> None:
    history = (first(WORKER), STRANGER, FAR_AWAY, WORKER, STRANGER, WORKER)
    assert [type(outcome) for outcome in flat(play(*history))] == [Prompt, Granted]


def test_an_empty_doorway_is_silent() -> None:
    assert flat(play(*[NOBODY] * 50)) == []


def test_each_reason_is_prompted_once_a_visit() -> None:
    dark = replace(FAR_AWAY, quality="too_dark")
    assert flat(play(FAR_AWAY, FAR_AWAY, dark, FAR_AWAY, dark)) == [Prompt("too_small"), Prompt("too_dark")]


def test_unusable_frames_alone_deny_nobody() -> None:
    assert flat(play(*[FAR_AWAY] * 100)) == [Prompt("too_small")]


def test_a_visit_is_decided_once_however_long_it_lasts() -> None:
    assert len(flat(play(first(WORKER), *[WORKER] * 500))) == 1
    assert len(flat(play(first(WORKER), *[WORKER] * 10, FAR_AWAY, *[WORKER] * 500))) == 1


def test_a_further_try_begins_after_a_while_of_staying() -> None:
    steps = play(first(STRANGER), *[STRANGER] * 7, *[WORKER] * 40)
    decided = [(number, type(outcome)) for number, step in enumerate(steps, start=1) for outcome in step]
    first_frame_of_next_try = 8 + round(RETRY_S / FRAME_S)
    assert decided == [(8, Denied), (first_frame_of_next_try + 2, Granted)]


def test_a_further_try_inherits_no_agreement() -> None:
    steps = play(first(WORKER), WORKER, *[STRANGER] * 29, WORKER, *[STRANGER] * 7)
    assert [type(outcome) for outcome in flat(steps)] == [Denied, Denied]


def test_leaving_the_view_ends_the_visit() -> None:
    away = [NOBODY] * 5  # and the face after them makes 0.75 s
    assert 5 * FRAME_S < GONE_S < 6 * FRAME_S
    steps = play(first(WORKER), WORKER, WORKER, *away, first(WORKER), WORKER, WORKER)
    assert [type(outcome) for outcome in flat(steps)] == [Granted, Granted]


def test_looking_away_for_a_moment_does_not() -> None:
    steps = play(first(WORKER), WORKER, *[NOBODY] * 4, WORKER, *[NOBODY] * 4, WORKER, WORKER)
    assert [type(outcome) for outcome in flat(steps)] == [Granted]


def test_a_stranger_right_after_the_worker_is_judged_afresh() -> None:
    steps = play(first(WORKER), WORKER, WORKER, other(STRANGER), *[STRANGER] * 7)
    assert [type(outcome) for outcome in flat(steps)] == [Granted, Denied]


def test_a_worker_right_after_a_denied_stranger_need_not_wait() -> None:
    steps = play(first(STRANGER), *[STRANGER] * 7, other(WORKER), WORKER, WORKER)
    assert [type(outcome) for outcome in flat(steps)] == [Denied, Granted]
    assert steps[-1] != []


def test_agreement_is_not_inherited_by_the_next_person() -> None:
    assert flat(play(first(WORKER), WORKER, other(WORKER), WORKER)) == []


def test_a_face_that_cannot_be_compared_is_another_person() -> None:
    assert flat(play(first(WORKER), WORKER, first(WORKER), WORKER)) == []


@pytest.mark.parametrize("taken_s", [2 * FRAME_S, FRAME_S, -1.0, math.nan])
def test_a_frame_that_is_not_newer_counts_for_nothing(taken_s: float) -> None:
    entry = Entry()
    play(first(WORKER), WORKER, entry=entry)
    assert entry.step(replace(WORKER, taken_s=taken_s), RULES) == []
    assert len(entry.step(replace(WORKER, taken_s=3 * FRAME_S), RULES)) == 1


@pytest.mark.parametrize(
    "missing",
    [
        pytest.param(replace(WORKER, score=math.nan), id="score"),
        pytest.param(replace(WORKER, margin=math.nan), id="margin"),
        pytest.param(replace(WORKER, person=None), id="person"),
        pytest.param(replace(WORKER, same_as_before=math.nan), id="comparison"),
    ],
)
def test_what_is_missing_counts_against_a_grant(missing: Sighting) -> None:
    assert not [outcome for outcome in flat(play(*[missing] * 30)) if isinstance(outcome, Granted)]


sightings = st.builds(
    Sighting,
    taken_s=st.just(0.0),
    faces=st.sampled_from([0, 1, 1, 1, 2]),
    quality=st.sampled_from([None, None, None, "too_small", "several_faces"]),
    person=st.sampled_from(["anna", "anna", "bo", None]),
    score=st.sampled_from([0.1, 0.4, 0.44, 0.45, 0.7, 0.9]),
    margin=st.sampled_from([0.0, 0.05, 0.06, 0.4, math.inf]),
    same_as_before=st.sampled_from([None, 0.0, 0.44, 0.45, 0.9, 0.9, 0.9]),
)
histories = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.1, 0.1, 0.5, 0.8, 3.0]), sightings), max_size=60)
rule_sets = st.builds(
    Rules,
    agreeing_frames=st.integers(1, 4),
    judged_frames=st.integers(4, 10),
)


def dated(history: list[tuple[float, Sighting]]) -> list[Sighting]:
    now_s, result = 100.0, []
    for pause_s, sighting in history:
        now_s += pause_s
        result.append(replace(sighting, taken_s=now_s))
    return result


def newer(frames: list[Sighting]) -> list[Sighting]:
    """Without frames that bear the time of the one before."""
    return [
        frame
        for before, frame in zip([None, *frames], frames, strict=False)
        if before is None or frame.taken_s > before.taken_s
    ]


def speaks(frame: Sighting, rules: Rules) -> bool:
    return (
        frame.usable
        and frame.person is not None
        and frame.score >= rules.threshold
        and frame.margin >= rules.margin
    )


@given(histories, rule_sets)
def test_every_grant_rests_on_enough_fresh_frames_of_one_identity(
    history: list[tuple[float, Sighting]], rules: Rules
) -> None:
    entry, frames = Entry(), dated(history)
    shown: list[Sighting] = []
    for frame in frames:
        if shown and frame.taken_s <= shown[-1].taken_s:
            assert entry.step(frame, rules) == []
            continue
        shown.append(frame)
        for outcome in entry.step(frame, rules):
            if isinstance(outcome, Granted):
                behind = tail_of_one_identity(shown)
                supporting = [
                    each for each in behind if speaks(each, rules) and each.person == outcome.person
                ]
                assert len(supporting) >= max(2, rules.agreeing_frames)
                assert outcome.frames >= max(2, rules.agreeing_frames)
                assert outcome.score >= rules.threshold
                assert outcome.margin >= rules.margin


def tail_of_one_identity(shown: list[Sighting]) -> list[Sighting]:
    """The newest frames back to where the view was empty too long or another person's face appeared."""
    tail: list[Sighting] = []
    face_s = shown[-1].taken_s
    for frame in reversed(shown):
        if frame.faces <= 0:
            continue
        if face_s - frame.taken_s > GONE_S:
            break
        face_s = frame.taken_s
        tail.append(frame)
        if frame.usable and (frame.same_as_before is None or frame.same_as_before < SAME_PERSON):
            break
    return tail


@given(histories, rule_sets)
def test_within_one_visit_only_a_denial_and_a_wait_allow_another_decision(
    history: list[tuple[float, Sighting]], rules: Rules
) -> None:
    entry = Entry()
    shown: list[Sighting] = []
    last: tuple[int, Outcome] | None = None
    for frame in newer(dated(history)):
        shown.append(frame)
        for outcome in entry.step(frame, rules):
            if isinstance(outcome, Prompt):
                continue
            if last is not None and reaches_back_to(shown, last[0]):
                assert isinstance(last[1], Denied)
                assert frame.taken_s - shown[last[0]].taken_s >= RETRY_S
            last = len(shown) - 1, outcome


def reaches_back_to(shown: list[Sighting], number: int) -> bool:
    """Whether the frame of this number belongs to the identity still in view."""
    since = [frame for frame in shown[number + 1 :] if frame.faces > 0]
    return len(tail_of_one_identity(shown)) > len(since)


@given(histories, rule_sets)
def test_the_same_history_always_ends_the_same(history: list[tuple[float, Sighting]], rules: Rules) -> None:
    frames = dated(history)
    one, two = Entry(), Entry()
    assert [one.step(frame, rules) for frame in frames] == [two.step(frame, rules) for frame in frames]


def test_a_closed_gallery_opens_for_nobody_and_is_not_the_persons_fault() -> None:
    perfect = replace(WORKER, score=1.0)
    told = flat(play(first(perfect), *[perfect] * 9, rules=Rules(threshold=CLOSED)))
    assert [(outcome.reason, outcome.frames) for outcome in told if isinstance(outcome, Denied)] == [
        ("gallery_too_large", 8)
    ]
    assert len(told) == 1
