"""Whether a face in a picture is good enough to be judged, and if not, what the person can do about it.

The limits come from distorting the photographs of LFW-10 step by step and comparing each with its undistorted fellows:
a limit lies where genuine scores begin to fall (docs/adr/0009 has the curves). At enrolment they are stricter: a template
is used for months, a frame once.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np

from station_agent.vision.engine import LEFT_EYE, LEFT_MOUTH, NOSE, RIGHT_EYE, RIGHT_MOUTH, Face
from station_agent.vision.frame import Pixels

Reject: TypeAlias = Literal["several_faces", "too_small", "not_frontal", "too_dark", "too_bright", "blurred"]

_JUDGED_WIDTH_PX: Final = 76
"""A face is judged at the size SFace sees it, so that sharpness means the same near and far."""

_BURNT_OUT: Final = 250
"""Grey level from which a pixel has lost its detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a face must reach.

    Attributes:
        width_px: least shorter side of the box. 52 px is an eye distance of 24 px: below it genuine scores fall.
        rival: a second face at least this much as wide as the first makes it unclear who asks to enter.
        yaw: most offset of the nose from the middle of the eyes, in eye distances; 0 is straight on.
        pitch: least and most height of the nose between eyes and mouth, 0 to 1; straight on is 0.56.
        roll_deg: most tilt of the line of the eyes. Alignment undoes it, so it is wide.
        grey: least mean of the face, 0 to 255. Low on purpose: dark skin in good light has a mean over 45.
        burnt_out: most share of pixels without detail.
        sharpness: least variance of the Laplacian over the variance of the picture, at 76 px.
    """

    width_px: float
    rival: float
    yaw: float
    pitch: tuple[float, float]
    roll_deg: float
    grey: float
    burnt_out: float
    sharpness: float


ENTRY: Final = Limits(
    width_px=52,
    rival=0.6,
    yaw=0.45,
    pitch=(0.32, 0.80),
    roll_deg=40,
    grey=18,
    burnt_out=0.40,
    sharpness=0.006,
)
ENROLMENT: Final = Limits(
    width_px=64,
    rival=0.0,
    yaw=0.30,
    pitch=(0.38, 0.72),
    roll_deg=20,
    grey=40,
    burnt_out=0.15,
    sharpness=0.010,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What was measured, and the first limit that was missed. Units as in ``Limits``; ``pitch`` may be NaN."""

    reason: Reject | None
    width_px: float
    yaw: float
    pitch: float
    roll_deg: float
    grey: float
    burnt_out: float
    sharpness: float


def judge(pixels: Pixels, faces: list[Face], limits: Limits = ENTRY) -> Quality:
    """Judge the largest face.

    Args:
        pixels: shape (H, W, 3), uint8, BGR: the picture the faces were found in.
        faces: at least one, largest first.
        limits: what it must reach.

    Raises:
        ValueError: no face to judge.
    """
    if not faces:
        raise ValueError("no face to judge")
    face = faces[0]
    yaw, pitch, roll_deg = _pose(face)
    grey, burnt_out, sharpness = _light(pixels, face)
    width_px = min(face.box[2], face.box[3])
    checks: tuple[tuple[bool, Reject], ...] = (
        (len(faces) > 1 and faces[1].box[2] >= limits.rival * face.box[2], "several_faces"),
        (not width_px >= limits.width_px, "too_small"),
        (not _frontal(yaw, pitch, roll_deg, limits), "not_frontal"),
        (not grey >= limits.grey, "too_dark"),
        (not burnt_out <= limits.burnt_out, "too_bright"),
        (not sharpness >= limits.sharpness, "blurred"),
    )
    return Quality(
        reason=next((reason for failed, reason in checks if failed), None),
        width_px=width_px,
        yaw=yaw,
        pitch=pitch,
        roll_deg=roll_deg,
        grey=grey,
        burnt_out=burnt_out,
        sharpness=sharpness,
    )


def _frontal(yaw: float, pitch: float, roll_deg: float, limits: Limits) -> bool:
    lowest, highest = limits.pitch
    level = math.isnan(pitch) or lowest <= pitch <= highest  # NaN: this engine does not find the mouth
    return abs(yaw) <= limits.yaw and abs(roll_deg) <= limits.roll_deg and level


def _pose(face: Face) -> tuple[float, float, float]:
    """Yaw, pitch and roll (degrees) from the landmarks, in the face's own axes."""
    points = face.landmarks.astype(np.float64)
    across = points[LEFT_EYE] - points[RIGHT_EYE]
    eye_distance = float(np.hypot(*across))
    if not eye_distance > 0:
        return math.inf, math.nan, math.inf
    right = across / eye_distance
    down = np.array([-right[1], right[0]])
    middle = (points[LEFT_EYE] + points[RIGHT_EYE]) / 2
    nose = points[NOSE] - middle
    mouth = (points[LEFT_MOUTH] + points[RIGHT_MOUTH]) / 2 - middle
    mouth_depth = float(mouth @ down)
    pitch = float(nose @ down) / mouth_depth if mouth_depth else math.inf
    return float(nose @ right) / eye_distance, pitch, math.degrees(math.atan2(across[1], across[0]))


def _light(pixels: Pixels, face: Face) -> tuple[float, float, float]:
    """Mean grey, burnt-out share and sharpness of the part of the box inside the picture."""
    left, top, width, height = face.box
    rows = slice(max(0, round(top)), max(0, round(top + height)))
    columns = slice(max(0, round(left)), max(0, round(left + width)))
    crop = pixels[rows, columns]
    if not crop.size:
        return 0.0, 1.0, 0.0
    ratio = _JUDGED_WIDTH_PX / max(1.0, width)
    size = (max(3, round(crop.shape[1] * ratio)), max(3, round(crop.shape[0] * ratio)))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), size, interpolation=how)
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    sharpness = float(edges.var()) / max(1.0, float(grey.var()))
    return float(grey.mean()), float((grey >= _BURNT_OUT).mean()), sharpness
