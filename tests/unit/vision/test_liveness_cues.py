"""Cues without a model, on real portraits and on sheets rendered from them."""

import math

import cv2
import numpy as np
import pytest

from station_agent.vision import attacks
from station_agent.vision.engine import Face
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.liveness import Witness, cues_in
from station_agent.vision.liveness_cues import (
    PATTERN,
    REMEMBERED_FRAMES,
    SeenPixels,
    has_border,
    pattern_peak,
    turn_of,
)
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.support.faces import opencv_engine, stranger, worker

__all__ = ["opencv_engine"]


@pytest.fixture(params=["worker", "stranger"])
def portrait(request: pytest.FixtureRequest) -> Pixels:
    return worker() if request.param == "worker" else stranger()


@pytest.fixture
def face(opencv_engine: OpenCvEngine, portrait: Pixels) -> Face:
    return opencv_engine.detect(portrait)[0]


def shown(
    opencv_engine: OpenCvEngine, portrait: Pixels, face: Face, species: str, seed: int
) -> tuple[Pixels, Face]:
    """The portrait as a sheet held straight before a plain wall, all of it in the frame."""
    rng = np.random.default_rng(seed)
    left, top, width, _ = (round(value) for value in face.box)
    cut = portrait[max(0, top - width) : top + 2 * width, max(0, left - width) : left + 2 * width]
    box = (float(min(left, width)), float(min(top, width)), face.box[2], face.box[3])
    sheet = attacks.SPECIES[species](cut, box, rng)
    wall = np.full((attacks.HEIGHT_PX, attacks.WIDTH_PX, 3), 120, dtype=np.uint8)
    pixels = attacks.show(sheet, attacks.Pose(face_px=90, roll_deg=3), wall, rng)
    return pixels, opencv_engine.detect(pixels)[0]


@pytest.mark.parametrize("quality", [None, 90, 50])
def test_a_real_portrait_shows_no_cue_through_jpeg_either(
    opencv_engine: OpenCvEngine, portrait: Pixels, face: Face, quality: int | None
) -> None:
    rng = np.random.default_rng(1)
    for _ in range(4):
        pixels = attacks.live(portrait, face.box, rng)
        if quality is not None:
            packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            pixels = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), dtype=np.uint8)
        assert cues_in(pixels, opencv_engine.detect(pixels)[0]) == frozenset()


@pytest.mark.parametrize("species", ["print", "tablet"])
def test_a_sheet_in_full_view_has_a_border(
    opencv_engine: OpenCvEngine, portrait: Pixels, face: Face, species: str
) -> None:
    found = [
        has_border(pixels, seen.box)
        for pixels, seen in (shown(opencv_engine, portrait, face, species, seed) for seed in range(4))
    ]
    assert sum(found) >= 3


def test_a_screens_grid_is_a_peak_in_the_spectrum(
    opencv_engine: OpenCvEngine, portrait: Pixels, face: Face
) -> None:
    rng = np.random.default_rng(5)
    peaks = []
    for _ in range(6):
        sheet = attacks.tablet_sheet(portrait, face.box, rng)
        pixels = attacks.show(sheet, attacks.some_pose(rng), attacks.room(portrait, rng), rng)
        peaks.append(pattern_peak(pixels, opencv_engine.detect(pixels)[0].box))
    assert sum(peak > PATTERN for peak in peaks) >= 4


def test_where_there_is_too_little_to_look_at_a_pattern_is_assumed() -> None:
    small = np.zeros((100, 100, 3), dtype=np.uint8)
    assert pattern_peak(small, (0.0, 0.0, 50.0, 50.0)) == math.inf
    assert pattern_peak(np.zeros((200, 200, 3), dtype=np.uint8), (math.nan, 0.0, 1.0, 1.0)) == math.inf
    assert not has_border(small, (0.0, 0.0, 0.0, 0.0))


def test_pixels_seen_before_are_not_fresh_however_long_the_loop() -> None:
    rng = np.random.default_rng(0)
    film = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(30)]
    seen = SeenPixels()
    assert [seen.fresh(pixels) for pixels in film] == [True] * 30
    assert [seen.fresh(pixels.copy()) for pixels in film] == [False] * 30


def test_the_memory_of_pixels_is_bounded() -> None:
    seen = SeenPixels()
    first = np.zeros((8, 8, 3), dtype=np.uint8)
    for number in range(REMEMBERED_FRAMES + 1):
        pixels = first.copy()
        pixels[0, 0] = (number % 256, number // 256, 1)
        assert seen.fresh(pixels)
    assert len(seen._known) == REMEMBERED_FRAMES


def turned(nose_x: float) -> Face:
    """Eyes 40 px apart; the person's own left eye is on the right of the picture."""
    points = [(30, 40), (70, 40), (nose_x, 62), (36, 82), (64, 82)]
    return Face(box=(10, 10, 80, 100), landmarks=np.array(points, dtype=np.float32), score=0.9)


def test_a_turn_to_the_persons_own_left_is_positive_and_moves_the_nose_to_the_right_of_the_picture() -> None:
    assert turn_of(turned(50))[0] == pytest.approx(0.0)
    assert turn_of(turned(62))[0] == pytest.approx(0.3)
    assert turn_of(turned(38))[0] == pytest.approx(-0.3)
    assert turn_of(turned(50))[1] == pytest.approx(40 / 42)


def test_a_mirrored_portrait_is_turned_the_other_way(
    opencv_engine: OpenCvEngine, portrait: Pixels, face: Face
) -> None:
    mirrored = opencv_engine.detect(np.ascontiguousarray(portrait[:, ::-1]))[0]
    assert turn_of(mirrored)[0] == pytest.approx(-turn_of(face)[0], abs=0.06)


def test_landmarks_that_say_nothing_give_no_number() -> None:
    nowhere = Face(box=(0, 0, 10, 10), landmarks=np.zeros((5, 2), dtype=np.float32), score=0.9)
    assert all(math.isnan(value) for value in turn_of(nowhere))
    mouthless = turned(50)
    mouthless.landmarks[3:] = np.nan
    assert turn_of(mouthless)[0] == pytest.approx(0.0)
    assert math.isnan(turn_of(mouthless)[1])


def test_a_witness_without_a_model_tells_pose_and_freshness_and_leaves_the_rest_unknown(
    portrait: Pixels, face: Face
) -> None:
    witness = Witness(None)
    look = witness.look(Frame(portrait, 1.5, 7), face, same_as_before=0.7)
    assert (look.taken_s, look.number, look.usable, look.fresh) == (1.5, 7, True, True)
    assert (look.same_as_before, look.passive, look.cues) == (0.7, None, None)
    assert look.width_px == face.box[2]
    assert witness.look(Frame(portrait, 1.6, 8), face, same_as_before=0.7).fresh is False


def test_a_frame_without_a_face_to_judge_is_not_usable(portrait: Pixels) -> None:
    look = Witness(None).look(Frame(portrait, 1.5, 7), None, same_as_before=None)
    assert not look.usable
    assert (look.fresh, look.yaw) == (None, None)
