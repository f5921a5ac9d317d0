"""A capture frame by frame: which frames count, when it is enough, and that nothing is left of what was broken off."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station_agent.core.challenge import Step
from station_agent.core.entry import GONE_S, SAME_PERSON
from station_agent.core.liveness import Demands, Mode
from station_agent.vision.capture import GAP_S, PATIENCE_S, TRIES, Capture, Captured, CaptureRules
from station_agent.vision.engine import Face, Vector, unit
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.gallery import Gallery
from station_agent.vision.liveness import Witness
from station_agent.vision.matching import recognised, shows_another

PERIOD_S = 0.125
PEOPLE = {"anna": unit(np.array([1.0, 0, 0, 0])), "bo": unit(np.array([0, 1.0, 0, 0]))}
TURN = {"straight": 0.0, "left": 0.4, "right": -0.4}
EYES_APART_PX = 40
MOVES = set(Step)


class Actor:
    """A face engine that sees whoever stands there now, and says how often it described somebody."""

    name, digest, dimension = "fake", "0" * 64, 4

    def __init__(self) -> None:
        self.who: list[str] = ["anna"]
        self.turn = "straight"
        self.noise = np.random.default_rng(1)

    def detect(self, pixels: Pixels, *, thorough: bool = False) -> list[Face]:
        del pixels, thorough
        nose_px = 80 + TURN[self.turn] * EYES_APART_PX
        points = np.array([[60, 60], [100, 60], [nose_px, 80], [64, 96], [96, 96]], dtype=np.float32)
        return [Face((40.0, 30.0, 80.0, 90.0), points, 1.0) for _ in self.who]

    def embed(self, pixels: Pixels, face: Face) -> Vector:
        del pixels, face
        return unit(PEOPLE[self.who[0]] + self.noise.normal(0, 0.01, 4))

    def score(self, cosine: float) -> float:
        return cosine


class Ear:
    """Hears how a capture goes."""

    def __init__(self) -> None:
        self.prompts: list[str | None] = []
        self.good = 0
        self.result: Captured | str | None = None

    def seen(self, prompt: str | None, good: int) -> None:
        assert self.result is None
        self.prompts.append(prompt)
        self.good = good

    def captured(self, result: Captured) -> None:
        assert self.result is None
        self.result = result

    def failed(self, reason: str) -> None:
        assert self.result is None
        self.result = reason


class Scene:
    """A capture and what stands before it."""

    def __init__(self, mode: Mode = "off", *, wanted: int = 5, least: int = 3) -> None:
        self.actor, self.ear = Actor(), Ear()
        self.capture = Capture(
            self.actor,
            Witness(None),
            demands=Demands(mode=mode),
            rules=CaptureRules(wanted=wanted, least=least),
            listener=self.ear,
            below=lambda _: 0,  # turn left, then right
        )
        self.now_s, self.number = 100.0, 0

    def frames(self, count: int, *, grey: int = 120, frozen: bool = False) -> None:
        for _ in range(count):
            self.now_s += PERIOD_S
            self.number += 1
            noise = np.random.default_rng(0 if frozen else self.number).integers(-8, 9, (180, 320, 3))
            pixels = np.clip(noise + grey, 0, 255).astype(np.uint8)
            self.capture.step(Frame(pixels, self.now_s, self.number))

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    @property
    def held(self) -> int:
        return len(self.capture._good)


def test_five_frames_apart_are_enough() -> None:
    scene = Scene()
    scene.frames(12)
    assert scene.ear.result is None
    scene.frames(1)
    result = scene.ear.result
    assert isinstance(result, Captured)
    assert (result.vectors.shape, result.live.gates) == ((5, 4), ())
    assert 12 * PERIOD_S >= 4 * GAP_S
    assert scene.held == 0


def test_three_are_enough_when_no_more_come() -> None:
    scene = Scene()
    scene.frames(7)
    assert scene.ear.good == 3
    for _ in range(round(2 * PATIENCE_S / GONE_S)):
        scene.wait(GONE_S / 2)
        scene.frames(1, grey=30)  # good enough for entry, too dark to enrol
    assert isinstance(scene.ear.result, Captured)
    assert len(scene.ear.result.vectors) == 3
    assert "too_dark" in scene.ear.prompts


def test_a_frozen_picture_counts_once() -> None:
    scene = Scene()
    scene.frames(60, frozen=True)
    assert (scene.ear.good, scene.ear.result, scene.ear.prompts[-1]) == (1, None, "repeated_frame")


@pytest.mark.parametrize(
    ("who", "grey", "prompt"), [(["anna", "bo"], 120, "several_faces"), (["anna"], 5, "too_dark")]
)
def test_a_frame_that_cannot_be_used_counts_for_nothing_and_says_why(
    who: list[str], grey: int, prompt: str
) -> None:
    scene = Scene()
    scene.actor.who = who
    scene.frames(20, grey=grey)
    assert (scene.ear.prompts, scene.held) == ([prompt], 0)


def test_another_person_begins_anew() -> None:
    scene = Scene()
    scene.frames(7)
    scene.actor.who = ["bo"]
    scene.frames(13)
    assert isinstance(scene.ear.result, Captured)
    assert scene.ear.result.vectors @ PEOPLE["bo"] == pytest.approx(np.ones(5), abs=0.01)


def test_whoever_leaves_begins_anew() -> None:
    scene = Scene()
    scene.frames(7)
    scene.wait(GONE_S)
    scene.frames(1)
    assert scene.ear.good == 1


def test_what_was_dropped_says_and_holds_nothing_more() -> None:
    scene = Scene()
    scene.frames(7)
    scene.capture.drop()
    assert scene.held == 0
    said = list(scene.ear.prompts)
    scene.frames(20)
    assert (scene.ear.prompts, scene.ear.result, scene.held) == (said, None, 0)


def test_the_steps_of_an_active_check_are_asked_for_and_must_be_made() -> None:
    scene = Scene("active")
    for turn, count in (("straight", 3), ("left", 3), ("straight", 3), ("right", 3), ("straight", 20)):
        scene.actor.turn = turn
        scene.frames(count)
    asked = [
        prompt
        for before, prompt in pairwise([None, *scene.ear.prompts])
        if prompt in MOVES and prompt != before
    ]
    assert asked == ["look_straight", "turn_left", "look_straight", "turn_right"]
    assert isinstance(scene.ear.result, Captured)
    assert scene.ear.result.live.gates == ("active",)


def test_whoever_only_looks_is_never_captured_and_may_go_on_trying() -> None:
    scene = Scene("active")
    scene.frames(400)
    assert scene.ear.result is None
    assert "too_slow" in scene.ear.prompts


def test_wrong_steps_end_the_capture_after_some_tries() -> None:
    scene = Scene("active")
    for _ in range(TRIES):
        scene.actor.turn = "straight"
        scene.frames(4)
        scene.actor.turn = "right"
        scene.frames(4)
    assert (scene.ear.result, scene.held) == ("wrong_step", 0)


@given(
    st.lists(
        st.tuples(st.sampled_from(["anna", "bo", ""]), st.sampled_from(sorted(TURN)), st.integers(1, 9)),
        max_size=20,
    )
)
@settings(max_examples=40, deadline=None)
def test_a_capture_is_always_of_one_person(shots: list[tuple[str, str, int]]) -> None:
    scene = Scene(wanted=3)
    for who, turn, count in shots:
        scene.actor.who, scene.actor.turn = ([who] if who else []), turn
        scene.frames(count)
    if isinstance(scene.ear.result, Captured):
        vectors = scene.ear.result.vectors
        assert (vectors @ vectors.T).min() >= SAME_PERSON


def gallery(**people: Vector) -> Gallery:
    return Gallery(4, [(person, vector[np.newaxis]) for person, vector in people.items()])


def test_a_capture_is_somebody_s_when_every_frame_is() -> None:
    anna, bo = PEOPLE["anna"], PEOPLE["bo"]
    known = gallery(anna=anna, bo=bo)
    between = unit(anna + bo)
    assert recognised(known, np.stack([anna, anna]), threshold=0.5, margin=0.1) == "anna"
    for vectors in ([anna, bo], [anna, between], [anna, unit(-anna)]):
        assert recognised(known, np.stack(vectors), threshold=0.5, margin=0.1) is None
    assert recognised(gallery(), np.stack([anna]), threshold=0.5, margin=0.1) is None


def test_two_frames_of_somebody_else_are_a_second_identity_and_one_s_own_are_not() -> None:
    anna, bo, nobody = PEOPLE["anna"], PEOPLE["bo"], unit(np.array([0, 0, 1.0, 0]))
    known = gallery(anna=anna, bo=bo)
    assert [
        shows_another(known, "anna", np.stack(vectors), threshold=0.5)
        for vectors in ([anna, anna, anna], [anna, anna, bo], [anna, bo, bo], [nobody] * 3)
    ] == [False, False, True, False]
