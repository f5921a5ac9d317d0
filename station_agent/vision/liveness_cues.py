"""Signs of a replay that need no model: pixels seen before, a screen's pattern, the straight border of a sheet.

Each is here because it catches attacks in docs/liveness.md that the passive model misses, at no cost to the live faces
there. Specular glare and the depth of the five landmarks in a turn were measured as well and caught nothing: they are
not here. None of them opens a door; they can only keep it closed.
"""

import hashlib
import math
from collections import deque
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station_agent.vision.engine import LEFT_EYE, LEFT_MOUTH, NOSE, RIGHT_EYE, RIGHT_MOUTH, Face
from station_agent.vision.frame import Pixels

REMEMBERED_FRAMES: Final = 4096
"""Frames with a face whose pixels are remembered: over four minutes at 15 a second. A longer loop is not noticed."""

_EVERY_PX: Final = 4
"""Every fourth pixel of every fourth row is digested: sensor noise changes them all, and a copy of the frame changes none."""

PATTERN: Final = 5.0
"""Least height of a peak over its surroundings in the spectrum that is a screen's or a dot screen's pattern. Live faces of
the tuning half reach 3.3, through JPEG of any quality as well, and enlarged AT&T faces 4.4 (docs/liveness.md)."""

_SPECTRUM_PX: Final = 128
_SURROUNDINGS: Final = 13
_NOISE: Final = 60.0
"""Magnitude of one bin at a noise of 1.5 grey levels under a Hann window of 128 x 128: below it no peak means anything."""

_LOWEST: Final = 0.10
"""Cycles a pixel from which a pattern is sought; below lie the features of a face."""

BORDER: Final = 1.5
"""Least straight length on one side of the face, in widths (heights) of the face, that is a border's. At 1.2 no live face
of the tuning half was marked either, but a portrait before a flag was, through strong JPEG compression."""

_BORDER_SIDES: Final = 3
_BORDER_LONGEST_PX: Final = 320
_SHORTEST_LINE: Final = 0.12
_ALIGNED: Final = 0.04
"""Pieces of line this close in distance from the face are pieces of one line; in widths (heights) of the face."""

_UPRIGHT: Final = math.tan(math.radians(25))
"""A side of a sheet is tilted by at most 25 degrees."""

_NEAREST_SIDE: Final = 0.5
_NEAREST_LEVEL: Final = 0.55
_FARTHEST: Final = 1.8
"""Where a border is sought, in widths (heights) from the middle of the face."""

Box = tuple[float, float, float, float]


class SeenPixels:
    """Remembers the pixels of the last frames with a face. One camera, one thread."""

    def __init__(self) -> None:
        self._order: deque[bytes] = deque()
        self._known: set[bytes] = set()

    def fresh(self, pixels: Pixels) -> bool:
        """Whether these very pixels are new: a frozen picture and a looped recording repeat theirs, a sensor never does."""
        sample = pixels[::_EVERY_PX, ::_EVERY_PX]
        digest = hashlib.blake2b(sample.tobytes(), digest_size=16).digest()
        if digest in self._known:
            return False
        self._known.add(digest)
        self._order.append(digest)
        if len(self._order) > REMEMBERED_FRAMES:
            self._known.discard(self._order.popleft())
        return True


def turn_of(face: Face) -> tuple[float, float]:
    """Yaw and aspect of a face, NaN where its landmarks do not tell.

    Returns:
        The nose's offset from the middle of the eyes in eye distances, positive when the person turns to their own left
        before an unmirrored camera; and the distance of the eyes over their distance from the mouth.
    """
    points = face.landmarks.astype(np.float64)
    across = points[LEFT_EYE] - points[RIGHT_EYE]
    eye_distance = float(np.hypot(*across))
    if not eye_distance > 0:
        return math.nan, math.nan
    middle = (points[LEFT_EYE] + points[RIGHT_EYE]) / 2
    yaw = float((points[NOSE] - middle) @ across) / eye_distance**2
    to_mouth = float(np.hypot(*((points[LEFT_MOUTH] + points[RIGHT_MOUTH]) / 2 - middle)))
    return yaw, eye_distance / to_mouth if to_mouth > 0 else math.nan


def pattern_peak(pixels: Pixels, box: Box) -> float:
    """Height of the sharpest peak in the spectra of a face's brightness and both colours.

    Args:
        pixels: shape (H, W, 3), uint8, BGR: at full size, as a pattern does not survive resizing.
        box: of the face.

    Returns:
        1 to 3 for a live face; infinite when there is too little to look at.
    """
    height, width = pixels.shape[:2]
    half = _SPECTRUM_PX // 2
    if min(height, width) < _SPECTRUM_PX or not all(math.isfinite(value) for value in box):
        return math.inf
    x = int(min(max(box[0] + box[2] / 2, half), width - half))
    y = int(min(max(box[1] + box[3] / 2, half), height - half))
    patch = np.ascontiguousarray(pixels[y - half : y + half, x - half : x + half])
    planes = cv2.split(cv2.cvtColor(patch, cv2.COLOR_BGR2YCrCb).astype(np.float32))
    return max(_peak(plane) for plane in planes)


def has_border(pixels: Pixels, box: Box) -> bool:
    """Whether straight lines run along at least three sides of a face: the edge of a paper or of a screen.

    Args:
        pixels: shape (H, W, 3), uint8, BGR.
        box: of the face.
    """
    ratio = min(1.0, _BORDER_LONGEST_PX / max(pixels.shape[:2]))
    small = cv2.resize(pixels, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    found: Any = cv2.createLineSegmentDetector(cv2.LSD_REFINE_STD).detect(grey)[0]
    if found is None or min(box[2:]) < 1:
        return False
    middle = np.array([box[0] + box[2] / 2, box[1] + box[3] / 2]) * ratio
    size = np.array(box[2:]) * ratio
    lines = (found.reshape(-1, 2, 2).astype(np.float64) - middle) / size
    sides = (*_longest(lines, _NEAREST_SIDE), *_longest(lines[:, :, ::-1], _NEAREST_LEVEL))
    return sum(side > BORDER for side in sides) >= _BORDER_SIDES


def _peak(plane: NDArray[Any]) -> float:
    fine = (plane - cv2.GaussianBlur(plane, (0, 0), 3)) * _WINDOW
    spectrum = cv2.dft(fine, flags=cv2.DFT_COMPLEX_OUTPUT)
    heights = np.roll(cv2.magnitude(spectrum[:, :, 0], spectrum[:, :, 1]), _SPECTRUM_PX // 2, (0, 1))
    surroundings = cv2.blur(heights, (_SURROUNDINGS, _SURROUNDINGS))
    return float((heights / (surroundings + _NOISE))[_BAND].max())


def _longest(lines: NDArray[np.float64], nearest: float) -> tuple[float, float]:
    """Length of the longest upright line on either side of a face.

    Args:
        lines: shape (K, 2, 2), ends as (aside, along), in face sizes from its middle.
        nearest: least distance aside.
    """
    aside, along = lines[:, 1, 0] - lines[:, 0, 0], lines[:, 1, 1] - lines[:, 0, 1]
    upright = (np.abs(aside) < _UPRIGHT * np.abs(along)) & (np.abs(along) > _SHORTEST_LINE)
    lines, aside, along = lines[upright], aside[upright], along[upright]
    away = lines[:, 0, 0] - lines[:, 0, 1] * aside / along  # where the line passes the middle of the face
    near = (np.abs(away) > nearest) & (np.abs(away) < _FARTHEST)
    near &= (lines[:, :, 1].min(axis=1) < 1) & (lines[:, :, 1].max(axis=1) > -1)
    lengths = np.hypot(aside, along)
    best = [0.0, 0.0]
    for side, of_side in enumerate((near & (away < 0), near & (away > 0))):
        there, long = away[of_side], lengths[of_side]
        if there.size:
            together = np.abs(there[:, None] - there[None]) < _ALIGNED
            best[side] = float((together @ long).max())
    return best[0], best[1]


def _band() -> NDArray[np.bool_]:
    steps = np.abs(np.arange(_SPECTRUM_PX) - _SPECTRUM_PX // 2) / _SPECTRUM_PX
    radius = np.hypot(steps[:, None], steps[None])
    return np.asarray((radius > _LOWEST) & (radius < 0.5), dtype=np.bool_)  # noqa: PLR2004 (the highest frequency there is)


_WINDOW: Final = np.outer(np.hanning(_SPECTRUM_PX), np.hanning(_SPECTRUM_PX)).astype(np.float32)
_BAND: Final = _band()
