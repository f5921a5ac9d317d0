"""What stands before the simulated camera: nobody, or a picture that moves a little from frame to frame."""

import threading
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from firmware_config.profiles import CameraWiring
from station_agent.clock import Clock
from station_agent.errors import AgentError
from station_agent.simulate.vary import vary
from station_agent.vision.camera import PushedCamera

Picture = npt.NDArray[np.uint8]

MAX_PIXELS: Final = 40_000_000
_EMPTY_SHADE: Final = 96
_CLOSED: Final = np.zeros((0, 0, 3), dtype=np.uint8)
"""Shown to the thread to end it."""


class PictureError(AgentError, ValueError):
    """A file is no picture that can be shown."""


def read_picture(path: Path) -> Picture:
    """Read a colour picture, BGR.

    Raises:
        PictureError: missing, not a picture, or too large.
    """
    try:
        raw = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise PictureError(message) from error
    picture = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if picture is None:
        message = f"{path}: not a picture"
        raise PictureError(message)
    if picture.shape[0] * picture.shape[1] > MAX_PIXELS:
        message = f"{path}: {picture.shape[1]}x{picture.shape[0]} pixels is too large"
        raise PictureError(message)
    return picture.astype(np.uint8, copy=False)


class Doorway:
    """Feeds a ``PushedCamera`` at the wiring's frame rate, in a thread of its own."""

    def __init__(self, camera: PushedCamera, wiring: CameraWiring, *, clock: Clock, seed: int) -> None:
        self._camera = camera
        self._size_px = (wiring.width_px, wiring.height_px)
        self._period_s = 1.0 / wiring.fps
        self._clock = clock
        self._rng = np.random.default_rng(seed)
        self._changed = threading.Condition()
        self._picture: Picture | None = None
        self._until_s = 0.0
        self._empty = np.full((wiring.height_px, wiring.width_px, 3), _EMPTY_SHADE, dtype=np.uint8)
        self._latest = self._empty
        self._thread = threading.Thread(target=self._run, name="doorway", daemon=True)

    def start(self) -> None:
        """Begin to feed the camera."""
        self._thread.start()

    def show(self, picture: Picture, *, seconds: float) -> None:
        """Put a picture before the camera for a while; it replaces what was there."""
        with self._changed:
            self._picture = picture
            self._until_s = self._clock.monotonic_s() + seconds
            self._changed.notify()

    def clear(self) -> None:
        """Nobody stands there any more."""
        with self._changed:
            self._picture = None
            self._changed.notify()

    def latest_jpeg(self) -> bytes:
        """The newest frame, for people who look at the demo."""
        _, encoded = cv2.imencode(".jpg", self._latest, [cv2.IMWRITE_JPEG_QUALITY, 70])
        return encoded.tobytes()

    def close(self) -> None:
        """Stop feeding. Safe to call twice."""
        with self._changed:
            self._picture = _CLOSED
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def _run(self) -> None:
        while (picture := self._shown()) is not _CLOSED:
            width_px, height_px = self._size_px
            self._latest = self._empty if picture is None else vary(picture, self._rng, width_px, height_px)
            self._camera.push(self._latest)
            with self._changed:
                self._changed.wait_for(lambda shown=picture: self._picture is not shown, self._period_s)  # type: ignore[misc]

    def _shown(self) -> Picture | None:
        with self._changed:
            if self._clock.monotonic_s() >= self._until_s and self._picture is not _CLOSED:
                self._picture = None
            return self._picture
