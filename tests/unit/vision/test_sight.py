"""From frame to sighting, and through the visit's rules, with real faces and the default engine."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from station_agent.core.entry import GONE_S, Denied, Entry, Granted, Outcome, Prompt
from station_agent.simulate.vary import empty, vary
from station_agent.vision.enrolment import EnrolmentError, enrol_from_images
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.gallery import gallery_for
from station_agent.vision.opencv_engine import OpenCvEngine
from station_agent.vision.sight import Sight
from tests.support.faces import opencv_engine, stranger, worker

__all__ = ["opencv_engine"]

FRAME_S = 0.1


@dataclass(frozen=True)
class Rules:
    threshold: float = 0.45
    margin: float = 0.06
    agreeing_frames: int = 3
    judged_frames: int = 8


RULES = Rules()


class Doorway:
    """A camera's frames, one after the other, to a sight that knows the worker."""

    def __init__(self, engine: OpenCvEngine) -> None:
        self.sight = Sight(engine, gallery_for(engine, [("eileen", enrol_from_images(engine, [worker()]))]))
        self._entry = Entry()
        self._rng = np.random.default_rng(11)
        self._now_s = 50.0

    def show(self, picture: Pixels | None, frames: int) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for _ in range(frames):
            self._now_s += FRAME_S
            pixels = empty(self._rng, 640, 480) if picture is None else vary(picture, self._rng, 640, 480)
            outcomes += self._entry.step(self.sight.look(Frame(pixels, self._now_s, 1))[0], RULES)
        return outcomes


@pytest.fixture
def doorway(opencv_engine: OpenCvEngine) -> Doorway:
    return Doorway(opencv_engine)


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [outcome.person if isinstance(outcome, Granted) else outcome.reason for outcome in outcomes]


def test_the_worker_is_granted_once_in_three_frames(doorway: Doorway) -> None:
    assert kinds(doorway.show(worker(), 3)) == ["eileen"]
    assert doorway.show(worker(), 10) == []


def test_the_stranger_is_denied(doorway: Doorway) -> None:
    assert kinds(doorway.show(stranger(), 12)) == ["unknown_face"]


def test_an_empty_doorway_leads_to_nothing(doorway: Doorway) -> None:
    assert doorway.show(None, 20) == []


def test_a_stranger_shown_right_after_the_worker_inherits_nothing(doorway: Doorway) -> None:
    assert kinds(doorway.show(worker(), 5)) == ["eileen"]
    assert kinds(doorway.show(stranger(), 8)) == ["unknown_face"]
    assert kinds(doorway.show(worker(), 3)) == ["eileen"]


def test_the_worker_may_come_again(doorway: Doorway) -> None:
    for _ in range(3):
        assert kinds(doorway.show(worker(), 4)) == ["eileen"]
        assert doorway.show(None, round(GONE_S / FRAME_S) + 1) == []


def test_a_person_erased_is_a_stranger_from_the_next_frame_on(doorway: Doorway) -> None:
    assert doorway.show(worker(), 2) == []
    doorway.sight.gallery = doorway.sight.gallery.without("eileen")
    assert kinds(doorway.show(worker(), 8)) == ["ambiguous_face"]
    assert doorway.show(None, 10) == []
    assert kinds(doorway.show(worker(), 8)) == ["unknown_face"]


def test_a_far_worker_is_asked_to_come_closer(doorway: Doorway) -> None:
    far = np.full((1600, 1600, 3), 140, dtype=np.uint8)
    far[544:1056, 544:1056] = worker()
    assert set(doorway.show(far, 3)) == {Prompt("too_small")}


def test_two_people_at_once_are_asked_to_come_singly(doorway: Doorway) -> None:
    smaller = np.asarray(cv2.resize(stranger(), (256, 300), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    both = worker()
    both[20:320, 256:] = smaller
    assert Prompt("several_faces") in doorway.show(both, 3)
    assert not [outcome for outcome in doorway.show(both, 10) if isinstance(outcome, Granted | Denied)]


def test_enrolment_gives_one_unit_row_per_picture(opencv_engine: OpenCvEngine) -> None:
    rng = np.random.default_rng(3)
    templates = enrol_from_images(opencv_engine, [vary(worker(), rng, 1280, 720) for _ in range(3)])
    assert templates.shape == (3, 128)
    assert np.linalg.norm(templates, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


@pytest.mark.parametrize(
    ("pictures", "fault"),
    [
        pytest.param([], (0, "no_picture"), id="none"),
        pytest.param([lambda: np.full((480, 640, 3), 90, np.uint8)], (1, "no_face"), id="no face"),
        pytest.param([worker, stranger], (2, "another_person"), id="two people"),
        pytest.param([worker, lambda: (worker() * 0.1).astype(np.uint8)], (2, "too_dark"), id="too dark"),
        pytest.param(
            [lambda: np.concatenate([worker(), worker()], axis=1)], (1, "several_faces"), id="two faces"
        ),
    ],
)
def test_enrolment_names_the_picture_and_what_is_wrong_with_it(
    opencv_engine: OpenCvEngine, pictures: list[Callable[[], Pixels]], fault: tuple[int, str]
) -> None:
    with pytest.raises(EnrolmentError) as caught:
        enrol_from_images(opencv_engine, [picture() for picture in pictures])
    assert (caught.value.picture, caught.value.reason) == fault


def test_a_sighting_carries_the_light_on_the_face(doorway: Doorway) -> None:
    bright, _ = doorway.sight.look(Frame(worker(), 1.0, 1))
    dim, _ = doorway.sight.look(Frame((worker() * 0.5).astype(np.uint8), 2.0, 2))
    assert bright.light is not None
    assert dim.light == pytest.approx(bright.light / 2, abs=2)
    assert doorway.sight.look(Frame(np.zeros((480, 640, 3), np.uint8), 3.0, 3))[0].light is None
