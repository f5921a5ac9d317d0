"""The port of a face engine: pixels to faces, a face to a vector, and what a cosine of two vectors is worth.

An engine is used by the vision thread and by enrolment at once, so every engine guards itself. Vectors of two engines,
or of two weights of one, mean nothing to each other: whoever keeps them keeps ``name`` and ``digest`` beside them.
"""

import math
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from station_agent.vision.frame import Pixels

Vector: TypeAlias = NDArray[np.float32]

RIGHT_EYE, LEFT_EYE, NOSE, RIGHT_MOUTH, LEFT_MOUTH = range(5)
"""Rows of ``Face.landmarks``; right and left are the person's own."""


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a picture, in pixels of that picture.

    Attributes:
        box: left, top, width, height; may reach over the border.
        landmarks: shape (5, 2), float32, x and y; NaN where an engine does not find one (dlib: the mouth).
        score: of the detector, larger is surer; its scale is the engine's own.
    """

    box: tuple[float, float, float, float]
    landmarks: NDArray[np.float32]
    score: float

    @property
    def area_px(self) -> float:
        """Of the box, in square pixels."""
        return self.box[2] * self.box[3]

    @property
    def eye_distance_px(self) -> float:
        """Between the centres of the eyes: how much of a face there is to see."""
        across = self.landmarks[LEFT_EYE] - self.landmarks[RIGHT_EYE]
        return math.hypot(float(across[0]), float(across[1]))


class FaceEngine(Protocol):
    """Finds faces and describes them.

    Attributes:
        name: as configuration and templates call it.
        digest: SHA-256 of the weights that make the vectors.
        dimension: length D of a vector.
    """

    name: str
    digest: str
    dimension: int

    def detect(self, pixels: Pixels, *, thorough: bool = False) -> list[Face]:
        """All faces, largest first.

        Args:
            pixels: shape (H, W, 3), uint8, BGR.
            thorough: for a single picture rather than a stream: look again, closer, when nothing was found.
        """

    def embed(self, pixels: Pixels, face: Face) -> Vector:
        """The vector of a face found in these very pixels: shape (D,), float32, unit length."""

    def score(self, cosine: float) -> float:
        """What two vectors of this cosine are worth, on the scale of thresholds. Rises with the cosine."""


def unit(vector: NDArray[np.floating]) -> Vector:
    """Scale to length one, as float32.

    Raises:
        ValueError: the vector has no direction: all zero, or not finite.
    """
    length = float(np.linalg.norm(vector))
    if not (math.isfinite(length) and length > 0):
        raise ValueError(f"a vector of length {length} has no direction")
    return np.asarray(vector / length, dtype=np.float32)
