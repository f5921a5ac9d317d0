"""QR passes read by the door's own camera. One reader per camera; its vision thread only.

Finding a code costs as much as finding a face, so it is looked for a few times a second and on a reduced grey picture;
the code found is then cut out of the full picture and enlarged, because modules of two pixels are found but not read.
Codes that are not passes, a payment code on a phone for one, never leave this module.
"""

import logging
import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from firmware_config.passes import LONGEST, PREFIX
from station_agent.vision.frame import Frame

_LOG = logging.getLogger(__name__)

PERIOD_S: Final = 0.3
"""Least time between two looks."""

REPEAT_S: Final = 3.0
"""A pass that stays in view is told once; again only after it was out of view, or not told, for this long."""

_LOOK_WIDTH_PX: Final = 960
_READ_WIDTH_PX: Final = 360
"""Least width at which a code found is read: six pixels a module for a common pass."""

_MARGIN: Final = 0.2
"""Cut out beyond the corners, in code widths: the quiet zone, and corners found inaccurately."""

Grey = NDArray[np.uint8]


class QrReader:
    """Looks for passes in the frames of one camera."""

    def __init__(self) -> None:
        # the detector that works on ArUco's finder reads two to three times smaller codes than cv2.QRCodeDetector
        self._detector = cv2.QRCodeDetectorAruco()
        self._looked_s = -math.inf
        self._told: dict[str, float] = {}

    def read(self, frame: Frame) -> str | None:
        """The text of a pass in view, once; None when there is none, or it is not time to look.

        Args:
            frame: shape (H, W, 3), uint8, BGR; nothing of it is kept.
        """
        if not frame.taken_s - self._looked_s >= PERIOD_S:
            return None
        self._looked_s = frame.taken_s
        text = self._look(np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_BGR2GRAY), np.uint8))
        self._told = {known: at for known, at in self._told.items() if frame.taken_s - at < REPEAT_S}
        if text is None:
            return None
        seen_before = text in self._told
        self._told[text] = frame.taken_s
        return None if seen_before else text

    def _look(self, grey: Grey) -> str | None:
        scale = min(1.0, _LOOK_WIDTH_PX / grey.shape[1])
        try:
            small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            found, corners = self._detector.detect(small)
            if not found:
                return None
            text, _, _ = self._detector.detectAndDecode(_cut(grey, corners.reshape(-1, 2) / scale))
        except cv2.error as error:
            # OpenCV's reader raises on some pictures of codes cut off or torn
            _LOG.debug("qr_unreadable", extra={"error": str(error)})
            return None
        return text if text.startswith(PREFIX) and len(text) <= LONGEST else None


def _cut(grey: Grey, corners: NDArray[np.float32]) -> Grey:
    """The code and its quiet zone, enlarged when small.

    Args:
        grey: shape (H, W), uint8.
        corners: shape (4, 2), in pixels of ``grey``.
    """
    low, high = corners.min(axis=0), corners.max(axis=0)
    side = max(float((high - low).max()), 1.0)
    height, width = grey.shape
    left, top = (max(0, math.floor(value - _MARGIN * side)) for value in low)
    right, bottom = (math.ceil(value + _MARGIN * side) for value in high)
    part = grey[top : min(height, bottom), left : min(width, right)]
    enlarge = max(1.0, _READ_WIDTH_PX / side)
    return np.asarray(cv2.resize(part, None, fx=enlarge, fy=enlarge, interpolation=cv2.INTER_CUBIC), np.uint8)
