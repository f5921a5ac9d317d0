"""The second engine: dlib's HOG detector and ResNet, the pair behind the ``face_recognition`` package (docs/adr/0009).

It calls dlib itself, with the 5-point landmarks: importing ``face_recognition`` would load the 68-point file, whose
training data exclude commercial use.

dlib's vectors are compared by Euclidean distance and their lengths (1.2-1.6) carry meaning, while every vector in this
package is of unit length and compared by one matrix product. Both hold at once when a vector x of 128 numbers is lifted
onto a sphere of radius R in 129 dimensions, (x, sqrt(R^2 - |x|^2)) / R: the straight line between two lifted points is
R times shorter than the distance of the two vectors, but for their difference in height, which at R = 10 adds less than
0.004 to a distance of 0.5. ``score`` turns a cosine back into 1 - distance.
"""

import math
import threading
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from station_agent.vision.engine import Face, Vector, unit
from station_agent.vision.frame import Pixels, check_pixels
from station_agent.vision.models import DlibModels, ModelError

RADIUS: Final = 10.0
"""Of the sphere vectors are lifted onto; far above their length."""

_UPSAMPLE: Final = 1
"""The HOG detector sees faces from 80 px; enlarged once, from 40 px (dlib's documentation)."""


class DlibEngine:
    """HOG and ResNet by dlib. Safe for several threads; they take turns."""

    name = "face-recognition"
    dimension = 129

    def __init__(self, models: DlibModels) -> None:
        """Check and load both files. dlib is in an extra of its own, so it is imported only when this engine is chosen.

        Raises:
            ModelError: dlib is not installed, or a file is missing or not the expected one.
        """
        try:
            dlib: Any = import_module("dlib")
        except ImportError as error:
            raise ModelError("package dlib-bin is not installed; it is in yizhan[dlib]") from error
        self.digest = models.recogniser.sha256
        self._turn = threading.Lock()
        self._rectangle: Any = dlib.rectangle
        self._detector: Any = dlib.get_frontal_face_detector()
        self._points: Any = dlib.shape_predictor(str(models.landmarks.checked()))
        self._network: Any = dlib.face_recognition_model_v1(str(models.recogniser.checked()))

    def detect(self, pixels: Pixels, *, thorough: bool = False) -> list[Face]:
        """All faces, largest first. See ``FaceEngine.detect``."""
        check_pixels(pixels)
        rgb = _rgb(pixels)
        with self._turn:
            boxes, scores, _ = self._detector.run(rgb, _UPSAMPLE)
            if not boxes and thorough:
                boxes, scores, _ = self._detector.run(rgb, _UPSAMPLE + 1)
            found = [self._face(rgb, box, score) for box, score in zip(boxes, scores, strict=True)]
        return sorted(found, key=lambda face: -face.area_px)

    def embed(self, pixels: Pixels, face: Face) -> Vector:
        """Align by dlib's own five points and describe: shape (129,), unit length."""
        rgb = _rgb(pixels)
        left, top, width, height = (round(value) for value in face.box)
        box = self._rectangle(left, top, left + width - 1, top + height - 1)
        with self._turn:
            described = self._network.compute_face_descriptor(rgb, self._points(rgb, box), 1)
        return lift(np.asarray(described, dtype=np.float64))

    def score(self, cosine: float) -> float:
        """One minus the Euclidean distance of the two vectors: 0.4 is dlib's published threshold of 0.6."""
        return 1.0 - RADIUS * math.sqrt(max(0.0, 2.0 - 2.0 * cosine))

    def _face(self, rgb: Pixels, box: Any, score: float) -> Face:
        points = [(point.x, point.y) for point in self._points(rgb, box).parts()]
        # outer and inner corner of the person's left eye, of the right eye, then the base of the nose
        left_eye, right_eye = np.mean(points[0:2], axis=0), np.mean(points[2:4], axis=0)
        landmarks = np.full((5, 2), np.nan, dtype=np.float32)
        landmarks[0], landmarks[1], landmarks[2] = right_eye, left_eye, points[4]
        extent = (float(box.left()), float(box.top()), float(box.width()), float(box.height()))
        return Face(box=extent, landmarks=landmarks, score=float(score))


def lift(vector: NDArray[np.float64]) -> Vector:
    """Put a dlib vector onto the sphere (see above): shape (D,) to (D + 1,), unit length.

    Raises:
        ValueError: longer than the sphere's radius, so not dlib's.
    """
    height = RADIUS**2 - float(vector @ vector)
    if not height > 0:
        raise ValueError(
            f"a vector of length {float(np.linalg.norm(vector)):.3f} does not fit a sphere of radius {RADIUS}"
        )
    return unit(np.append(vector, math.sqrt(height)))


def _rgb(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, :, ::-1])
