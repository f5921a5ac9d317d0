"""Pictures of a hand holding up a QR code: size, tilt, rotation, defocus, noise and light drawn from a seed."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from station_agent.vision.frame import Pixels

_CV2: Any = cv2
"""OpenCV's stubs leave its QR encoder out."""

BORDER_MODULES = 2
"""Quiet zone that OpenCV's encoder draws on each side."""


@dataclass(frozen=True)
class View:
    """How a code is held.

    Attributes:
        module_px: mean size of a module in the picture.
        tilt: corners move by up to this share of half the code.
        turn_deg: rotation up to this.
        blur_px: standard deviation of the defocus.
        noise: standard deviation of the sensor noise, in grey levels.
        light: factor on everything.
    """

    module_px: float
    tilt: float = 0.15
    turn_deg: float = 10.0
    blur_px: float = 0.6
    noise: float = 4.0
    light: float = 1.0


def code(text: str) -> NDArray[np.uint8]:
    """A QR code in alphanumeric mode at error correction M, one pixel a module, black on white."""
    params = _CV2.QRCodeEncoder_Params()
    params.mode = _CV2.QRCodeEncoder_MODE_ALPHANUMERIC
    params.correction_level = _CV2.QRCodeEncoder_CORRECT_LEVEL_M
    return np.asarray(_CV2.QRCodeEncoder_create(params).encode(text), np.uint8)


def version(text: str) -> int:
    """QR version that a text needs."""
    return (int(code(text).shape[0]) - 2 * BORDER_MODULES - 17) // 4


def held_up(
    text: str, view: View, rng: np.random.Generator, *, width_px: int = 640, height_px: int = 480
) -> Pixels:
    """One picture, shape (height, width, 3), uint8, BGR."""
    fine = 3
    drawn = cv2.resize(code(text), None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
    side = drawn.shape[0]
    to = (_corners(side / 8 * view.module_px, view, rng) + _place(width_px, height_px, rng)) * fine
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners, to.astype(np.float32))
    size = (width_px * fine, height_px * fine)
    backdrop = cv2.resize(rng.integers(40, 200, (12, 16), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    paper = cv2.warpPerspective(drawn, matrix, size, flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full_like(drawn, 255), matrix, size)
    scene = np.where(mask > 127, 40 + paper * 0.75, backdrop).astype(np.uint8)
    small = cv2.resize(scene, (width_px, height_px), interpolation=cv2.INTER_AREA)
    seen = cv2.GaussianBlur(small, (0, 0), view.blur_px).astype(np.float64) * view.light
    noisy = np.clip(seen + rng.normal(0, view.noise, seen.shape), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(noisy, cv2.COLOR_GRAY2BGR), np.uint8)


def _corners(side_px: float, view: View, rng: np.random.Generator) -> NDArray[np.float64]:
    square = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * side_px
    square += rng.uniform(-view.tilt, view.tilt, (4, 2)) * side_px / 2
    angle = np.deg2rad(rng.uniform(-view.turn_deg, view.turn_deg))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(square @ turn.T, np.float64)


def _place(width_px: int, height_px: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.array([width_px / 2, height_px / 2]) + rng.uniform(-0.1, 0.1, 2) * height_px
