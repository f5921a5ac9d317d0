"""Entry and liveness as one machine, rule by rule. Random histories are in test_visit_histories.py."""

import pytest

from station_agent.core.challenge import Step
from station_agent.core.entry import GONE_S, RETRY_S, Prompt
from station_agent.core.liveness import LONGEST_S, LOST_S, PASSIVE_FRAMES, Demands
from station_agent.core.visit import ON_THE_WAY_S, Admitted, Refused
from tests.support.visits import (
    ACTIVE,
    BOTH,
    EMPTY,
    FAR_TURNED,
    FRAME_S,
    LEFT,
    MOVES,
    NEAR,
    OFF,
    OTHER,
    PASSIVE,
    PRINT,
    RIGHT,
    STRANGER,
    WORKER,
    Door,
    but,
    decided,
    first,
    reasons,
)


def test_off_admits_as_recognition_alone_does() -> None:
    (admitted,) = Door(OFF).show(first(WORKER), WORKER, WORKER, WORKER)
    assert isinstance(admitted, Admitted)
    assert (admitted.seen.person, admitted.seen.frames, admitted.live.gates) == ("anna", 3, ())
    assert admitted.added_s == 0


def test_passive_works_beside_the_comparison_and_adds_only_its_missing_frames() -> None:
    door = Door(PASSIVE)
    told = door.show(first(WORKER), *[WORKER] * PASSIVE_FRAMES)
    assert told[0] == Prompt("look_straight")
    (admitted,) = decided(told)
    assert isinstance(admitted, Admitted)
    assert (admitted.live.gates, admitted.live.frames) == (("passive",), PASSIVE_FRAMES)
    assert admitted.added_s == (PASSIVE_FRAMES + 1 - 3) * FRAME_S
    assert door.show(*[WORKER] * 50) == []


def test_a_recognised_picture_is_refused_as_a_replay() -> None:
    told = Door(PASSIVE).show(first(PRINT), *[PRINT] * 8)
    (refused,) = decided(told)
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.person) == ("replay_suspected", "anna")
    assert refused.nonce


def test_a_cue_is_told_as_such() -> None:
    sheet = but(WORKER, cues=frozenset({"straight_border"}))
    assert reasons(Door(PASSIVE).show(first(sheet), *[sheet] * 8)) == ["straight_border"]


def test_a_strangers_picture_is_refused_as_a_stranger() -> None:
    shot = but(STRANGER, passive=0.1)
    assert reasons(Door(PASSIVE).show(first(shot), *[shot] * 7)) == ["unknown_face"]


@pytest.mark.parametrize("demands", [ACTIVE, BOTH])
def test_whoever_does_what_is_asked_is_admitted(demands: Demands) -> None:
    for seed in range(6):
        door = Door(demands, seed=seed)
        (admitted,) = decided(door.obey(door.show(first(WORKER), WORKER, WORKER)))
        assert isinstance(admitted, Admitted)
        assert admitted.seen.person == "anna"
        assert len(admitted.live.steps) == 2
        assert 0 < admitted.added_s <= LONGEST_S


def test_the_challenge_begins_with_the_recognition_and_no_sooner() -> None:
    door = Door(ACTIVE)
    assert door.show(first(WORKER), WORKER) == []
    assert door.show(WORKER) == [Prompt("look_straight")]


def test_a_stranger_is_asked_for_nothing() -> None:
    told = Door(BOTH).show(first(STRANGER), *[STRANGER] * 7)
    assert [type(each) for each in told] == [Refused]
    assert reasons(told) == ["unknown_face"]


def test_a_picture_that_does_nothing_is_too_slow() -> None:
    door = Door(ACTIVE)
    told = door.show(first(WORKER), *[WORKER] * 60)
    (refused,) = decided(told)
    assert isinstance(refused, Refused)
    assert refused.reason == "too_slow"
    assert refused.added_s == LONGEST_S + FRAME_S


def test_the_wrong_move_ends_the_attempt_and_a_further_try_has_a_gate_of_its_own() -> None:
    door = Door(ACTIVE)
    wrong = {Step.TURN_LEFT: RIGHT, Step.TURN_RIGHT: LEFT, Step.COME_CLOSER: LEFT}
    told = door.obey(door.show(first(WORKER), WORKER, WORKER), instead=lambda step: wrong.get(step, WORKER))
    assert reasons(told) == ["wrong_step"]
    assert door.show(*[WORKER] * (round(RETRY_S / FRAME_S) - 1)) == []
    again = door.obey(door.show(WORKER, WORKER, WORKER))
    assert reasons(again) == ["anna"]
    (failed,), (passed,) = decided(told), decided(again)
    assert isinstance(failed, Refused)
    assert isinstance(passed, Admitted)
    assert failed.nonce != passed.live.nonce


def test_turned_frames_that_recognition_cannot_use_count_for_the_gate() -> None:
    door = Door(ACTIVE)
    far = {Step.TURN_LEFT: FAR_TURNED, Step.TURN_RIGHT: but(FAR_TURNED, yaw=-0.5), Step.COME_CLOSER: NEAR}
    told = door.obey(door.show(first(WORKER), WORKER, WORKER), instead=lambda step: far.get(step, WORKER))
    assert reasons(told) == ["anna"]


def test_another_person_cannot_do_the_moves() -> None:
    door = Door(ACTIVE)
    told = door.show(first(WORKER), WORKER, WORKER, OTHER, *[but(OTHER, same_as_before=0.9)] * 2)
    assert reasons(told) == ["identity_changed"]
    assert told[-1] == Prompt("look_straight")  # the other person has a visit, and a gate, of their own


def test_another_person_while_turned_ends_it_too() -> None:
    door = Door(ACTIVE)
    assert reasons(door.show(first(WORKER), WORKER, WORKER, WORKER, but(FAR_TURNED, same_as_before=0.2))) == [
        "identity_changed"
    ]


def test_a_frame_that_speaks_for_somebody_else_ends_it() -> None:
    door = Door(ACTIVE)
    assert reasons(door.show(first(WORKER), WORKER, WORKER, but(WORKER, person="bo"))) == ["identity_changed"]


def test_who_is_not_recognised_again_during_the_moves_is_ambiguous() -> None:
    door = Door(ACTIVE)
    unsure = {step: but(shot, score=0.4) for step, shot in {**MOVES, Step.LOOK_STRAIGHT: WORKER}.items()}
    told = door.obey(door.show(first(WORKER), WORKER, WORKER), instead=lambda step: unsure[step])
    assert reasons(told) == ["ambiguous_face"]


def test_leaving_during_the_moves_is_told_once_and_the_next_face_inherits_nothing() -> None:
    door = Door(ACTIVE)
    gone = [EMPTY] * (round(GONE_S / FRAME_S) + 1)
    told = door.show(first(WORKER), WORKER, WORKER, *gone, first(WORKER), WORKER)
    assert reasons(told) == ["face_lost"]
    assert isinstance(decided(told)[0], Refused)


def test_a_deadline_fires_without_a_frame() -> None:
    door = Door(ACTIVE)
    assert door.machine.deadline_s is None
    door.show(first(WORKER), WORKER, WORKER)
    deadline_s = door.machine.deadline_s
    assert deadline_s == door.now_s + LOST_S + ON_THE_WAY_S
    assert door.machine.tick(deadline_s - 0.01) == []
    assert reasons(door.machine.tick(deadline_s)) == ["face_lost"]
    assert door.machine.deadline_s is None
    assert door.machine.tick(deadline_s + 100) == []


def test_a_repeated_picture_is_refused() -> None:
    door = Door(PASSIVE)
    assert reasons(door.show(first(WORKER), WORKER, *[but(WORKER, fresh=False)] * 3)) == ["repeated_frame"]


def test_frames_without_a_look_never_admit() -> None:
    door = Door(PASSIVE)
    told = door.show(first(WORKER), *[but(WORKER, look=False)] * 30)
    assert not [each for each in told if isinstance(each, Admitted)]
    assert reasons(door.machine.tick(door.now_s + LOST_S)) == ["face_lost"]


def test_a_gate_that_ran_out_before_anybody_was_recognised_begins_anew_in_silence() -> None:
    door = Door(PASSIVE)
    hidden = but(FAR_TURNED, quality="blurred", usable=False)
    told = door.show(first(WORKER), WORKER, *[hidden] * 14)
    assert told == [Prompt("blurred")]
    assert reasons(door.show(*[WORKER] * 8)) == ["anna"]


def test_a_mode_nobody_knows_demands_everything() -> None:
    door = Door(Demands(mode="lenient"))  # type: ignore[arg-type]
    assert reasons(door.obey(door.show(first(WORKER), WORKER, WORKER))) == ["replay_suspected"]
