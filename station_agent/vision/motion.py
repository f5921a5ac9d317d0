"""A cheap gate before the networks: an empty, still doorway costs a small subtraction per frame, not a detection."""

import math
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from station_agent.vision.frame import Frame

_Grey: TypeAlias = NDArray[np.uint8]

_WIDTH_PX: Final = 160
_HEIGHT_PX: Final = 90
"""Size of the compared copies: 0.1 ms on 1,280x720 (measurements.md)."""

CHANGED_GREY: Final = 12
"""Change of a pixel that is not sensor noise, in grey levels; averaging 64 pixels into one leaves under 3 of it."""

CHANGED_SHARE: Final = 0.002
"""Share of changed pixels that is movement: 29 of 14,400, a face of 50 px at 1,280 px covers about 40."""

ANYWAY_S: Final = 1.0
"""Longest time without a look, so that nobody is missed who appeared slowly or stands still."""

LINGER_S: Final = 2.0
"""After a face was seen every frame is looked at for this long, however still the person stands."""


class MotionGate:
    """Decides frame by frame whether to look. One camera, one thread."""

    def __init__(self) -> None:
        self._before: _Grey | None = None
        self._looked_s = -math.inf
        self._face_s = -math.inf

    def opens(self, frame: Frame) -> bool:
        """Whether this frame is worth a look."""
        moved = self._moved(frame)
        lingering = frame.taken_s - self._face_s <= LINGER_S
        if not (moved or lingering or frame.taken_s - self._looked_s >= ANYWAY_S):
            return False
        self._looked_s = frame.taken_s
        return True

    def saw_face(self, frame: Frame) -> None:
        """A face was found: keep looking for a while."""
        self._face_s = frame.taken_s

    @property
    def face_s(self) -> float:
        """When a face was last found; minus infinity before the first."""
        return self._face_s

    def _moved(self, frame: Frame) -> bool:
        # INTER_AREA on the whole picture costs more than the detector's own copy; every n-th pixel first is enough
        step = max(
            1, min(frame.pixels.shape[1] // (2 * _WIDTH_PX), frame.pixels.shape[0] // (2 * _HEIGHT_PX))
        )
        small = cv2.resize(
            frame.pixels[::step, ::step], (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA
        )
        grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        before, self._before = self._before, grey
        if before is None:
            return True
        changed = cv2.absdiff(before, grey) > CHANGED_GREY
        return float(changed.mean()) >= CHANGED_SHARE
