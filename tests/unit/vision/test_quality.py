"""Each reason on a real face, spoilt in one way at a time."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from station_agent.vision.engine import Face
from station_agent.vision.frame import Pixels
from station_agent.vision.opencv_engine import OpenCvEngine
from station_agent.vision.quality import ENROLMENT, ENTRY, Limits, judge
from tests.support.faces import opencv_engine, stranger, worker

__all__ = ["opencv_engine"]


@pytest.fixture
def portrait() -> Pixels:
    return worker()


@pytest.fixture
def face(opencv_engine: OpenCvEngine, portrait: Pixels) -> Face:
    return opencv_engine.detect(portrait)[0]


def spoilt(portrait: Pixels, *, gain: float = 1.0, blur_px: float = 0.0) -> Pixels:
    lit = np.clip(portrait.astype(np.float32) * gain, 0, 255).astype(np.uint8)
    return lit if not blur_px else np.asarray(cv2.GaussianBlur(lit, (0, 0), blur_px), dtype=np.uint8)


def scaled(face: Face, ratio: float) -> Face:
    left, top, width, height = face.box
    return Face(
        (left * ratio, top * ratio, width * ratio, height * ratio),
        face.landmarks * np.float32(ratio),
        face.score,
    )


@pytest.mark.parametrize("limits", [ENTRY, ENROLMENT], ids=["entry", "enrolment"])
def test_a_good_portrait_is_accepted(portrait: Pixels, face: Face, limits: Limits) -> None:
    quality = judge(portrait, [face], limits)
    assert quality.reason is None
    assert abs(quality.yaw) < 0.1
    assert 0.5 < quality.pitch < 0.6
    assert abs(quality.roll_deg) < 3


@pytest.mark.parametrize(
    ("gain", "blur_px", "reason"),
    [
        pytest.param(0.08, 0.0, "too_dark", id="night"),
        pytest.param(6.0, 0.0, "too_bright", id="against the lamp"),
        pytest.param(1.0, 8.0, "blurred", id="dirty lens"),
        pytest.param(0.4, 0.0, None, id="dusk is fine"),
        pytest.param(1.0, 1.0, None, id="a little soft is fine"),
    ],
)
def test_light_and_sharpness(
    portrait: Pixels, face: Face, gain: float, blur_px: float, reason: str | None
) -> None:
    assert judge(spoilt(portrait, gain=gain, blur_px=blur_px), [face]).reason == reason


def test_sharpness_means_the_same_near_and_far(portrait: Pixels, face: Face) -> None:
    larger = np.asarray(cv2.resize(portrait, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    near, far = judge(larger, [scaled(face, 3)]), judge(portrait, [face])
    assert near.sharpness == pytest.approx(far.sharpness, rel=0.3)


def test_a_far_face_is_too_small(portrait: Pixels, face: Face) -> None:
    smaller = np.asarray(
        cv2.resize(portrait, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8
    )
    assert judge(smaller, [scaled(face, 0.5)]).reason == "too_small"


def test_a_turned_or_tilted_face_is_not_frontal(portrait: Pixels, face: Face) -> None:
    turned = face.landmarks.copy()
    turned[2, 0] += 0.6 * face.eye_distance_px
    assert judge(portrait, [replace(face, landmarks=turned)]).reason == "not_frontal"
    about = cv2.getRotationMatrix2D((223, 118), 50, 1.0)
    lying = np.asarray(face.landmarks @ about[:, :2].T + about[:, 2], dtype=np.float32)
    assert judge(portrait, [replace(face, landmarks=lying)]).reason == "not_frontal"


def test_nodding_is_judged_only_where_the_mouth_is_found(portrait: Pixels, face: Face) -> None:
    nodding = face.landmarks.copy()
    nodding[2, 1] += 20
    assert judge(portrait, [replace(face, landmarks=nodding)]).reason == "not_frontal"
    nodding[3:] = np.nan
    quality = judge(portrait, [replace(face, landmarks=nodding)])
    assert quality.reason is None
    assert math.isnan(quality.pitch)


def test_a_second_face_as_near_makes_it_unclear_who_asks(portrait: Pixels, face: Face) -> None:
    assert judge(portrait, [face, scaled(face, 0.9)]).reason == "several_faces"
    assert judge(portrait, [face, scaled(face, 0.4)]).reason is None


def test_enrolment_takes_exactly_one_face(portrait: Pixels, face: Face) -> None:
    assert judge(portrait, [face, scaled(face, 0.1)], ENROLMENT).reason == "several_faces"


def test_landmarks_on_one_point_are_not_frontal(portrait: Pixels, face: Face) -> None:
    collapsed = replace(face, landmarks=np.full((5, 2), 200, dtype=np.float32))
    assert judge(portrait, [collapsed]).reason == "not_frontal"


def test_a_box_outside_the_picture_is_not_usable(portrait: Pixels, face: Face) -> None:
    outside = replace(face, box=(900.0, 900.0, 90.0, 110.0))
    assert judge(portrait, [outside]).reason == "too_dark"


def test_no_face_cannot_be_judged(portrait: Pixels) -> None:
    with pytest.raises(ValueError, match="no face"):
        judge(portrait, [])


def test_enrolment_is_never_laxer_than_entry() -> None:
    assert ENROLMENT.width_px >= ENTRY.width_px
    assert ENROLMENT.rival <= ENTRY.rival
    assert ENROLMENT.yaw <= ENTRY.yaw
    assert ENROLMENT.pitch[0] >= ENTRY.pitch[0]
    assert ENROLMENT.pitch[1] <= ENTRY.pitch[1]
    assert ENROLMENT.roll_deg <= ENTRY.roll_deg
    assert ENROLMENT.grey >= ENTRY.grey
    assert ENROLMENT.burnt_out <= ENTRY.burnt_out
    assert ENROLMENT.sharpness >= ENTRY.sharpness


def test_the_strangers_portrait_is_usable_too(opencv_engine: OpenCvEngine) -> None:
    assert judge(stranger(), opencv_engine.detect(stranger())).reason is None
