"""Entry and liveness as one machine over random histories: what holds whatever happens before the camera."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station_agent.core.entry import GONE_S, SAME_PERSON, Denied, Entry, Granted, Prompt, Sighting
from station_agent.core.liveness import LONGEST_S, Demands, Look, Mode
from station_agent.core.visit import AGAIN_FRAMES, Admitted, Outcome, Refused
from station_agent.texts import TEXTS
from tests.support.visits import (
    EMPTY,
    FAR_TURNED,
    FRAME_S,
    LEFT,
    MOVES,
    NEAR,
    OFF,
    OTHER,
    PRINT,
    RIGHT,
    RULES,
    STRANGER,
    WORKER,
    Door,
    Shot,
    decided,
    first,
    last_step,
)

HISTORIES = int(os.environ.get("YIZHAN_HISTORIES", "300"))
"""Random histories of each property: 10,000 where the variable says so."""

NUMBERS = [0.0, 0.1, 0.44, 0.45, 0.9, 0.9, 0.9, None, math.nan]
_shots = st.builds(
    lambda faces, quality, person, score, same, yaw, width, passive, fresh, usable, cue, looked: Shot(
        Sighting(
            taken_s=0,
            faces=faces,
            quality=quality,
            person=person,
            score=math.nan if score is None else score,
            margin=0.5,
            same_as_before=same,
        ),
        Look(
            taken_s=0,
            number=0,
            usable=usable,
            fresh=fresh,
            same_as_before=same,
            yaw=yaw,
            width_px=width,
            aspect=1.0,
            passive=passive,
            cues=cue,
        )
        if looked
        else None,
    ),
    faces=st.sampled_from([0, 1, 1, 2]),
    quality=st.sampled_from([None, None, "not_frontal", "blurred"]),
    person=st.sampled_from(["anna", "anna", "bo", None]),
    score=st.sampled_from(NUMBERS),
    same=st.sampled_from(NUMBERS),
    yaw=st.sampled_from([0.0, 0.0, 0.35, -0.35, 0.5, 0.7, None, math.nan]),
    width=st.sampled_from([100.0, 100.0, 140.0, math.nan]),
    passive=st.sampled_from(NUMBERS),
    fresh=st.sampled_from([True, True, True, False, None]),
    usable=st.sampled_from([True, True, False]),
    cue=st.sampled_from([frozenset(), frozenset(), frozenset({"screen_pattern"}), None]),
    looked=st.sampled_from([True, True, True, False]),
)
_KNOWN = [WORKER, PRINT, STRANGER, OTHER, EMPTY, LEFT, RIGHT, NEAR, FAR_TURNED]


@dataclass(frozen=True)
class Scene:
    """A few frames alike. Without a shot the worker stands there and does what is asked.

    Attributes:
        pause_s: before the first of them; not positive: it is no newer than the one before.
        back: added to the first frame's number.
        late: the deadline passes before the next scene, if there is one.
    """

    shot: Shot | None
    frames: int
    pause_s: float = FRAME_S
    back: int = 0
    late: bool = False


_pauses = st.sampled_from([FRAME_S] * 12 + [0.0, -FRAME_S, 0.5, 0.8, 1.6, 3.0, 7.0])
_obeying = st.builds(Scene, shot=st.none(), frames=st.integers(1, 40))
_faulty = st.builds(
    Scene,
    shot=st.one_of(st.none(), st.sampled_from(_KNOWN), _shots),
    frames=st.integers(1, 12),
    pause_s=_pauses,
    back=st.sampled_from([0] * 9 + [-3]),
    late=st.sampled_from([False] * 4 + [True]),
)
_leaving = st.builds(Scene, shot=st.just(EMPTY), frames=st.integers(4, 12))
histories = st.lists(st.one_of(_obeying, _obeying, _faulty, _faulty, _leaving), min_size=1, max_size=10)
modes: st.SearchStrategy[Mode] = st.sampled_from(["passive", "active", "both"])


@dataclass(frozen=True)
class Call:
    """One call of the machine, as the property sees it: a frame, or a tick."""

    sighting: Sighting | None
    look: Look | None
    newer: bool
    at_s: float
    told: list[Outcome]


def play(demands: Demands, seed: int, history: list[Scene]) -> Iterator[Call]:
    """The worker comes in first, so that there is something to spoil; then whatever the history says."""
    door = Door(demands, seed=seed)
    clock_s, newest_s, face_s, asked = 100.0, -math.inf, -math.inf, None
    for scene in [Scene(None, 3), *history]:
        for count in range(scene.frames):
            pause_s, back = (FRAME_S, 0) if count else (scene.pause_s, scene.back)
            clock_s += max(pause_s, 0.0)
            door.number += 1
            at_s = clock_s + min(pause_s, 0.0)
            shot = scene.shot or MOVES.get(asked, WORKER) if asked else scene.shot or WORKER
            if scene.shot is None and at_s - face_s > GONE_S:
                shot = first(shot)
            sighting = replace(shot.sighting, taken_s=at_s)
            look = shot.look and replace(shot.look, taken_s=at_s, number=door.number + back)
            told = door.machine.step(sighting, look, RULES)
            yield Call(sighting, look, at_s > newest_s, at_s, told)
            newest_s = max(newest_s, at_s)
            face_s = max(face_s, at_s) if sighting.faces else face_s
            asked = last_step(told) or (None if decided(told) else asked)
        if scene.late and (deadline_s := door.machine.deadline_s) is not None:
            clock_s = max(clock_s, deadline_s)
            yield Call(None, None, False, clock_s, door.machine.tick(clock_s))


@pytest.mark.timeout(max(120, HISTORIES // 10))
@settings(max_examples=HISTORIES, deadline=None)
@given(modes, st.integers(0, 2**16), histories)
def test_whatever_happens_nobody_is_admitted_but_a_live_person_recognised_in_that_very_try(
    mode: Mode, seed: int, history: list[Scene]
) -> None:
    """No grant without liveness passed in that try, one identity, fresh and strictly newer frames; one reason each."""
    demands = Demands(mode=mode, threshold=0.5)
    steps: list[Call] = []
    nonces: set[str] = set()
    for step in play(demands, seed, history):
        steps.append(step)
        assert len(decided(step.told)) <= 1 or left_first(step.told)
        for outcome in decided(step.told):
            if isinstance(outcome, Refused):
                assert outcome.reason in TEXTS
                continue
            assert outcome.live.gates == (("active", "passive") if mode == "both" else (mode,))
            assert outcome.live.nonce not in nonces
            assert outcome.live.took_s <= LONGEST_S
            check_frames(steps, outcome)
        nonces |= {
            each.live.nonce if isinstance(each, Admitted) else str(each.nonce) for each in decided(step.told)
        }


def left_first(told: list[Outcome]) -> bool:
    """Two decisions in one frame: somebody left, and the frame decided on whoever came."""
    return isinstance(told[0], Refused) and told[0].reason in {"identity_changed", "face_lost"}


def check_frames(steps: list[Call], admitted: Admitted) -> None:
    """The frames of the gate behind an admission, from the newest back."""
    began_s = steps[-1].at_s - admitted.live.took_s
    gated = [step for step in steps if step.look is not None and step.newer and step.at_s >= began_s]
    judged = [
        step
        for step in gated
        if step.look is not None and step.look.usable and step.look.same_as_before is not None
    ]
    assert len(judged) >= admitted.live.frames > 0
    for step in judged:
        assert step.look is not None
        assert step.look.fresh is True
        if (
            step.look.yaw is not None
            and abs(step.look.yaw) <= 0.6
            and step.look.width_px == step.look.width_px
        ):
            assert step.look.same_as_before is not None
            assert step.look.same_as_before >= SAME_PERSON
    times = [step.at_s for step in gated]
    assert all(one < other for one, other in pairwise(times))
    named = [
        step.sighting.person
        for step in gated
        if step.sighting is not None
        and step.look is not None
        and step.look.usable
        and step.sighting.usable
        and step.sighting.person is not None
        and step.sighting.score >= RULES.threshold
    ]
    assert named.count(admitted.seen.person) >= AGAIN_FRAMES
    assert set(named) == {admitted.seen.person}
    assert admitted.seen.score >= RULES.threshold
    faces = [
        step.at_s
        for step in steps
        if step.newer and step.at_s >= began_s and step.sighting is not None and step.sighting.faces > 0
    ]
    assert all(other - one <= GONE_S for one, other in pairwise(faces))


@settings(max_examples=max(50, HISTORIES // 10), deadline=None)
@given(st.integers(0, 2**16), histories)
def test_with_liveness_off_it_decides_as_recognition_alone(seed: int, history: list[Scene]) -> None:
    entry = Entry()
    for step in play(OFF, seed, history):
        if step.sighting is None:
            continue
        alone = entry.step(step.sighting, RULES)
        assert [plain(each) for each in step.told] == alone


def plain(outcome: Outcome) -> Granted | Denied | Prompt:
    return outcome if isinstance(outcome, Prompt) else outcome.seen
