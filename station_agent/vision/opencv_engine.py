"""The default engine: YuNet finds faces on a reduced copy, SFace describes them from the full picture (docs/adr/0009)."""

import threading
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station_agent.vision.engine import Face, Vector, unit
from station_agent.vision.frame import Pixels, check_pixels
from station_agent.vision.models import OpenCvModels

DETECT_LONGEST_PX: Final = 320
"""Longer side of the copy YuNet sees. On 1,280x720: 3.3 ms instead of 48, all faces of 100-180 px found
(measurements.md); from an eye distance of 40 px upwards none is missed (docs/adr/0009)."""

THOROUGH_LONGEST_PX: Final = (320, 640, 1280)
"""Copies tried in turn on a single picture, where a face may be small."""

CLOSER_PX: Final = 160
"""Side of the second, closer copy of a small face."""

CLOSER_BELOW_PX: Final = 48
"""A face narrower than this in the reduced copy is looked at again, closer: there one pixel of the copy is several of
the picture, and landmarks that far off cost more than anything else (docs/adr/0009: of genuine pairs at an eye distance
of 30 px in 1,280x720, 94.9 % reached 0.45 without the second look and 99.5 % with it)."""

_CLOSER_MARGIN: Final = 0.6
"""Of the face's longer side, on every side of it."""

DETECT_SCORE: Final = 0.6
"""Least YuNet score of a face: the value OpenCV Zoo evaluates with."""

SMALLEST_PX: Final = 8
"""A copy with a shorter side holds no face, and what YuNet says of it is chance: once it was one with infinite sides."""

_NMS: Final = 0.3
_TOP_K: Final = 50
_LANDMARKS: Final = slice(4, 14)


class OpenCvEngine:
    """YuNet and SFace by OpenCV. Safe for several threads; they take turns."""

    name = "opencv"
    dimension = 128

    def __init__(self, models: OpenCvModels) -> None:
        """Check, load and warm both networks up.

        Raises:
            ModelError: a file is missing or not the expected one.
        """
        self.digest = models.recogniser.sha256
        self._turn = threading.Lock()
        self._input = (DETECT_LONGEST_PX, DETECT_LONGEST_PX)
        weights = models.detector.read()
        self._detector = _yunet(weights, self._input)
        # a network of its own, because changing the size of a network's input plans it anew
        self._closer = _yunet(weights, (CLOSER_PX, CLOSER_PX))
        self._recogniser = cv2.FaceRecognizerSF.create("onnx", _bytes(models.recogniser.read()), _bytes(b""))
        self._warm_up()

    def detect(self, pixels: Pixels, *, thorough: bool = False) -> list[Face]:
        """All faces, largest first. See ``FaceEngine.detect``."""
        check_pixels(pixels)
        faces = self._detect_within(pixels, DETECT_LONGEST_PX)
        if not thorough:
            return faces
        for smaller, longest in pairwise(THOROUGH_LONGEST_PX):
            if faces or max(pixels.shape[:2]) <= smaller:
                break
            faces = self._detect_within(pixels, longest)
        return faces or self._detect_with_border(pixels)

    def embed(self, pixels: Pixels, face: Face) -> Vector:
        """Align by the landmarks from the full picture and describe: shape (128,), unit length."""
        row = np.concatenate([face.box, face.landmarks.ravel(), [face.score]]).astype(np.float32)
        with self._turn:
            aligned = self._recogniser.alignCrop(pixels, row)
            described = self._recogniser.feature(aligned)
        return unit(np.asarray(described, dtype=np.float32).ravel())

    def score(self, cosine: float) -> float:
        """The cosine itself."""
        return cosine

    def _detect_within(self, pixels: Pixels, longest_px: int) -> list[Face]:
        height, width = pixels.shape[:2]
        ratio = min(1.0, longest_px / max(height, width))
        size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
        if min(size) < SMALLEST_PX:
            return []
        reduced = (
            pixels if size == (width, height) else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        )
        with self._turn:
            if size != self._input:
                self._detector.setInputSize(size)
                self._input = size
            _, rows = self._detector.detect(reduced)
        if rows is None:
            return []
        scale = np.array([width / size[0], height / size[1]], dtype=np.float32)
        faces = sorted((_face(row, scale) for row in rows), key=lambda face: -face.area_px)
        if ratio < 1 and faces[0].box[2] * ratio < CLOSER_BELOW_PX:
            faces[0] = self._look_closer(pixels, faces[0])
        return faces

    def _look_closer(self, pixels: Pixels, face: Face) -> Face:
        """The same face with finer landmarks, found in the full picture."""
        left, top, width, height = face.box
        side = max(width, height) * (1 + 2 * _CLOSER_MARGIN)
        corner = np.array([left + width / 2, top + height / 2]) - side / 2
        ratio = CLOSER_PX / side
        cut = np.array([[ratio, 0, -corner[0] * ratio], [0, ratio, -corner[1] * ratio]])
        crop = cv2.warpAffine(pixels, cut, (CLOSER_PX, CLOSER_PX), flags=cv2.INTER_LINEAR)
        with self._turn:
            _, rows = self._closer.detect(crop)
        if rows is None:
            return face
        closer = max(rows, key=lambda row: row[2] * row[3])
        scale = np.full(2, 1 / ratio, dtype=np.float32)
        return _moved(_face(closer, scale), corner.astype(np.float32))

    def _detect_with_border(self, pixels: Pixels) -> list[Face]:
        """A face that fills the picture is found once there is something around it."""
        border = max(pixels.shape[:2]) // 4
        framed = cv2.copyMakeBorder(pixels, border, border, border, border, cv2.BORDER_REPLICATE)
        found = self._detect_within(np.asarray(framed, dtype=np.uint8), DETECT_LONGEST_PX)
        return [_moved(face, np.full(2, -border, dtype=np.float32)) for face in found]

    def _warm_up(self) -> None:
        """The first call of a network allocates and plans: do it before a person waits for it."""
        blank = np.zeros((DETECT_LONGEST_PX, DETECT_LONGEST_PX, 3), dtype=np.uint8)
        self.detect(blank)
        self._closer.detect(blank[:CLOSER_PX, :CLOSER_PX])
        self._recogniser.feature(np.zeros((112, 112, 3), dtype=np.uint8))


def _face(row: NDArray[Any], scale: NDArray[np.float32]) -> Face:
    corner, extent = row[0:2] * scale, row[2:4] * scale
    return Face(
        box=(float(corner[0]), float(corner[1]), float(extent[0]), float(extent[1])),
        landmarks=np.asarray(row[_LANDMARKS].reshape(5, 2) * scale, dtype=np.float32),
        score=float(row[14]),
    )


def _moved(face: Face, by_px: NDArray[np.float32]) -> Face:
    left, top, width, height = face.box
    return Face(
        box=(left + float(by_px[0]), top + float(by_px[1]), width, height),
        landmarks=face.landmarks + by_px,
        score=face.score,
    )


def _yunet(weights: bytes, size: tuple[int, int]) -> cv2.FaceDetectorYN:
    return cv2.FaceDetectorYN.create("onnx", _bytes(weights), _bytes(b""), size, DETECT_SCORE, _NMS, _TOP_K)


def _bytes(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, dtype=np.uint8)
