"""Cameras that need no device: pictures of a folder, a video file, and frames pushed by a test or the simulator."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from firmware_config.profiles import CameraWiring
from station_agent.clock import Clock
from station_agent.vision.camera_port import CameraLost, NewestFrame
from station_agent.vision.frame import Frame, Pixels

PICTURES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Suffixes taken for pictures, in lower case."""


class ReplayCamera:
    """Hands out pictures one by one at the wiring's rate, over and over. None is skipped, so a run can be repeated."""

    def __init__(self, pictures: Iterator[Pixels], wiring: CameraWiring, clock: Clock) -> None:
        self._pictures = pictures
        self._period_s = 1.0 / wiring.fps
        self._clock = clock
        self._number = 0
        self._due_s = clock.monotonic_s()
        self._closed = threading.Event()

    def read(self, timeout_s: float) -> Frame | None:
        """The next picture once it is due. See ``Camera.read``."""
        left_s = self._due_s - self._clock.monotonic_s()
        if left_s > 0:
            self._closed.wait(min(left_s, timeout_s))
            if left_s > timeout_s:
                return None
        if self._closed.is_set():
            raise CameraLost("the replay is closed")
        now_s = self._clock.monotonic_s()
        self._number += 1
        self._due_s = max(self._due_s, now_s - self._period_s) + self._period_s
        return Frame(next(self._pictures), now_s, self._number)

    def close(self) -> None:
        """End the replay."""
        self._closed.set()


def folder_camera(wiring: CameraWiring, clock: Clock) -> ReplayCamera:
    """Replay the pictures of a folder, in the order of their names.

    Raises:
        CameraLost: there is no such folder, or no picture in it.
    """
    folder = Path(wiring.source)
    try:
        names = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)
    except OSError as error:
        raise CameraLost(f"camera {wiring.id}: folder {folder} cannot be read: {error.strerror}") from error
    if not names:
        raise CameraLost(f"camera {wiring.id}: no picture in {folder}")
    return ReplayCamera(_pictures(names, wiring.id), wiring, clock)


def video_camera(wiring: CameraWiring, clock: Clock) -> ReplayCamera:
    """Replay a video file.

    Raises:
        CameraLost: it cannot be opened, or holds no picture.
    """
    pictures = _film(wiring.source, wiring.id)
    first = next(pictures)
    return ReplayCamera(_after(first, pictures), wiring, clock)


class PushedCamera:
    """Frames come from whoever calls ``push``; the newest wins. No frame is no loss: an empty doorway pushes nothing."""

    def __init__(self, clock: Clock, *, name: str = "pushed") -> None:
        self._newest = NewestFrame(clock)
        self._name = name

    def push(self, pixels: Pixels) -> None:
        """Put a picture before the camera: shape (H, W, 3), uint8, BGR, not written to afterwards. Any thread."""
        self._newest.put(pixels)

    def unplug(self) -> None:
        """Lose the camera, as when its cable is pulled."""
        self._newest.lose(f"camera {self._name} is unplugged")

    def plug_in(self) -> None:
        """Put the cable back; the camera can be opened again."""
        self._newest.restore()

    def opened(self) -> "PushedCamera":
        """Open it, or open it again.

        Raises:
            CameraLost: it is unplugged.
        """
        if self._newest.lost is not None:
            raise CameraLost(self._newest.lost)
        return self

    def read(self, timeout_s: float) -> Frame | None:
        """The newest frame. See ``Camera.read``."""
        return self._newest.take(timeout_s)

    def close(self) -> None:
        """Nothing to give back."""


def _pictures(names: list[Path], camera: str) -> Iterator[Pixels]:
    while True:
        for name in names:
            pixels = cv2.imread(str(name), cv2.IMREAD_COLOR)
            if pixels is None:
                raise CameraLost(f"camera {camera}: {name} is not a picture")
            yield np.asarray(pixels, dtype=np.uint8)


def _film(source: str, camera: str) -> Iterator[Pixels]:
    while True:
        capture = cv2.VideoCapture(source)
        try:
            read, pixels = capture.read()
            if not read:
                raise CameraLost(f"camera {camera}: {source} is not a video, or an empty one")
            while read:
                yield np.asarray(pixels, dtype=np.uint8)
                read, pixels = capture.read()
        finally:
            capture.release()


def _after(first: Pixels, rest: Iterator[Pixels]) -> Iterator[Pixels]:
    yield first
    yield from rest
