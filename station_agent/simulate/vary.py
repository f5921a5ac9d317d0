"""A photograph as a camera at a door would show it: each time a little nearer, aside, tilted, darker or less sharp."""

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station_agent.vision.frame import Pixels

_SCALE: Final = (0.80, 1.05)
"""Height of the picture in heights of the frame."""

_SHIFT: Final = 0.06
_TILT_DEG: Final = 7.0
_GAIN: Final = (0.75, 1.15)
_OFFSET_GREY: Final = 12.0
_BLUR_PX: Final = (0.0, 0.9)
_NOISE_GREY: Final = 2.5
_SPARE_PX: Final = 64
_WALL: Final = (150, 148, 142)
"""Colour of the empty doorway, BGR."""


def vary(picture: Pixels, rng: np.random.Generator, width_px: int, height_px: int) -> Pixels:
    """A frame that shows the picture.

    Args:
        picture: shape (H, W, 3), uint8, BGR; the face somewhere near its middle.
        rng: the same state gives the same frame.
        width_px: of the frame.
        height_px: of the frame.

    Returns:
        Shape (height_px, width_px, 3), uint8, BGR.
    """
    height, width = picture.shape[:2]
    scale = rng.uniform(*_SCALE) * min(height_px / height, width_px / width)
    tilt_deg = rng.uniform(-_TILT_DEG, _TILT_DEG)
    place = cv2.getRotationMatrix2D((width / 2, height / 2), tilt_deg, scale)
    shift = rng.uniform(-_SHIFT, _SHIFT, 2)
    place[:, 2] += (width_px * (0.5 + shift[0]) - width / 2, height_px * (0.5 + shift[1]) - height / 2)
    source = _fine_enough(picture, scale)
    place[:, :2] *= width / source.shape[1]
    frame = cv2.warpAffine(source, place, (width_px, height_px), flags=cv2.INTER_LINEAR, borderValue=_WALL)
    sigma_px = rng.uniform(*_BLUR_PX)
    if sigma_px > 0.2:  # noqa: PLR2004 (below it a blur changes nothing)
        frame = cv2.GaussianBlur(frame, (0, 0), sigma_px)
    return _lit(np.asarray(frame, dtype=np.uint8), rng)


def empty(rng: np.random.Generator, width_px: int, height_px: int) -> Pixels:
    """A frame of the empty doorway: a wall, and the sensor's noise. Shape (height_px, width_px, 3), uint8, BGR."""
    return _noisy(np.full((height_px, width_px, 3), _WALL, dtype=np.uint8), rng)


def _fine_enough(picture: Pixels, scale: float) -> Pixels:
    """Average a much larger picture down first: warping it in one step would leave jagged edges."""
    if scale > 0.5:  # noqa: PLR2004 (bilinear sampling loses nothing down to a half)
        return picture
    return np.asarray(
        cv2.resize(picture, None, fx=scale * 1.5, fy=scale * 1.5, interpolation=cv2.INTER_AREA),
        dtype=np.uint8,
    )


def _lit(frame: Pixels, rng: np.random.Generator) -> Pixels:
    light = np.arange(256) * rng.uniform(*_GAIN) + rng.uniform(-_OFFSET_GREY, _OFFSET_GREY)
    table = np.clip(light, 0, 255).astype(np.uint8)
    return _noisy(np.asarray(cv2.LUT(frame, table), dtype=np.uint8), rng)


def _noisy(frame: Pixels, rng: np.random.Generator) -> Pixels:
    """Add sensor noise: another cutting of the same large sheet each time, because fresh noise costs 40 ms a frame."""
    height, width = frame.shape[:2]
    sheet = _noise(height + _SPARE_PX, width + _SPARE_PX)
    top, left = rng.integers(0, _SPARE_PX, 2)
    noise = sheet[top : top + height, left : left + width]
    return np.asarray(cv2.add(frame, noise, dtype=cv2.CV_8U), dtype=np.uint8)


@lru_cache(maxsize=4)
def _noise(height_px: int, width_px: int) -> NDArray[np.int16]:
    grey = np.random.default_rng(0).normal(0.0, _NOISE_GREY, (height_px, width_px, 3))
    return np.asarray(np.rint(grey), dtype=np.int16)
