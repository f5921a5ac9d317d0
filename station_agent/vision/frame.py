"""A picture from a camera and when it was taken. Every picture in this package is BGR, as OpenCV reads and wants it."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.uint8]
"""Shape (H, W, 3), uint8, BGR. Shared between threads without a copy, so nobody writes into one."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture.

    Attributes:
        pixels: shape (H, W, 3), uint8, BGR.
        taken_s: monotonic time in seconds, by the agent's clock.
        number: counts the frames of one opened camera from 1; gaps are frames that were never read.
    """

    pixels: Pixels
    taken_s: float
    number: int


def check_pixels(pixels: Pixels) -> None:
    """Refuse what is not a picture.

    Raises:
        ValueError: not (H, W, 3) uint8, or empty.
    """
    if (
        pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size  # noqa: PLR2004 (three colours)
    ):
        raise ValueError(f"a picture is (H, W, 3) uint8 BGR; this is {pixels.shape} {pixels.dtype}")
