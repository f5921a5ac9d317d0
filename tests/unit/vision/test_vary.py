"""Each frame differs, and the face in it stays who it is: checked with the engine, not by eye."""

import numpy as np
import pytest

from station_agent.simulate.vary import empty, vary
from station_agent.vision.enrolment import enrol_from_images
from station_agent.vision.frame import Pixels
from station_agent.vision.gallery import gallery_for
from station_agent.vision.opencv_engine import OpenCvEngine
from station_agent.vision.quality import judge
from tests.support.faces import opencv_engine, stranger, worker

__all__ = ["opencv_engine"]

FRAMES = 40
THRESHOLD = 0.45


def test_the_same_seed_gives_the_same_frames_and_every_frame_differs() -> None:
    one, two = (
        [vary(worker(), rng, 320, 240) for _ in range(5)]
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    )
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not any(np.array_equal(a, b) for number, a in enumerate(one) for b in one[:number])


@pytest.mark.parametrize(("height", "width"), [(512, 512), (3000, 2000), (60, 40), (1, 1)])
def test_any_picture_becomes_a_frame_of_the_asked_size(height: int, width: int) -> None:
    picture = np.full((height, width, 3), 90, dtype=np.uint8)
    frame = vary(picture, np.random.default_rng(1), 640, 480)
    assert frame.shape == (480, 640, 3)
    assert frame.dtype == np.uint8


def test_an_empty_doorway_has_no_face(opencv_engine: OpenCvEngine) -> None:
    assert opencv_engine.detect(empty(np.random.default_rng(1), 640, 480)) == []


def matches(engine: OpenCvEngine, picture: Pixels, size_px: tuple[int, int]) -> int:
    """How many of ``FRAMES`` frames of the picture match the worker."""
    gallery = gallery_for(engine, [("worker", enrol_from_images(engine, [worker()]))])
    rng = np.random.default_rng(2024)
    matched = 0
    for _ in range(FRAMES):
        frame = vary(picture, rng, *size_px)
        faces = engine.detect(frame)
        if faces and judge(frame, faces).reason is None:
            match = gallery.nearest(engine.embed(frame, faces[0]))
            matched += match is not None and match.score >= THRESHOLD
    return matched


@pytest.mark.parametrize("size_px", [(640, 480), (1280, 720)])
def test_the_worker_matches_and_the_stranger_does_not(
    opencv_engine: OpenCvEngine, size_px: tuple[int, int]
) -> None:
    assert matches(opencv_engine, worker(), size_px) == FRAMES
    assert matches(opencv_engine, stranger(), size_px) == 0
