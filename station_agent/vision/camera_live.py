"""Cameras that run on their own: USB and RTSP by OpenCV, CSI by picamera2. A thread each, so that the newest frame wins.

A network camera and a V4L2 driver queue frames; reading them one by one while recognition is slower would judge the past.
"""

import logging
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np

from firmware_config.profiles import CameraWiring
from station_agent.clock import Clock
from station_agent.vision.camera_port import CameraLost, NewestFrame
from station_agent.vision.frame import Frame, Pixels

log = logging.getLogger(__name__)

STALE_S: Final = 5.0
"""A live camera silent for this long is lost."""

_OPEN_TIMEOUT_MS: Final = 5_000
_CLOSE_TIMEOUT_S: Final = 2.0


class Grabber(Protocol):
    """The blocking driver underneath a live camera."""

    def grab(self) -> Pixels:
        """Wait for the next picture: shape (H, W, 3), uint8, BGR, owned by the caller.

        Raises:
            CameraLost: there will be no more.
        """

    def release(self) -> None:
        """Give the device back."""


class LiveCamera:
    """Runs a grabber in a thread and keeps its newest frame."""

    def __init__(self, grabber: Grabber, clock: Clock, *, name: str, stale_s: float = STALE_S) -> None:
        self._grabber = grabber
        self._clock = clock
        self._name = name
        self._stale_s = stale_s
        self._newest = NewestFrame(clock)
        self._heard_s = clock.monotonic_s()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera:{name}", daemon=True)
        self._thread.start()

    def read(self, timeout_s: float) -> Frame | None:
        """The newest frame. See ``Camera.read``."""
        frame = self._newest.take(timeout_s)
        if frame is not None:
            self._heard_s = frame.taken_s
        elif self._clock.monotonic_s() - self._heard_s > self._stale_s:
            raise CameraLost(f"camera {self._name}: no frame for {self._stale_s:g} s")
        return frame

    def close(self) -> None:
        """Stop the thread; it gives the device back. A driver that hangs is left behind, not waited for."""
        self._closing.set()
        self._thread.join(_CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            log.warning("camera_driver_hangs", extra={"camera": self._name})

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._newest.put(self._grabber.grab())
        except CameraLost as error:
            self._newest.lose(str(error))
        except Exception as error:
            log.exception("camera_driver_failed", extra={"camera": self._name})
            self._newest.lose(f"camera {self._name}: {error!r}")
        finally:
            self._grabber.release()


class OpenCvGrabber:
    """USB camera by its V4L2 path, or an RTSP address.

    Raises:
        CameraLost: it cannot be opened.
    """

    def __init__(self, wiring: CameraWiring) -> None:
        self._shown = f"camera {wiring.id} at {_without_password(wiring.source)}"
        if wiring.kind == "rtsp":
            timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC]
            parameters = [value for timeout in timeouts for value in (timeout, _OPEN_TIMEOUT_MS)]
            self._capture = cv2.VideoCapture(wiring.source, cv2.CAP_FFMPEG, parameters)
        else:
            self._capture = cv2.VideoCapture(wiring.source, cv2.CAP_V4L2)
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, wiring.width_px)
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wiring.height_px)
            self._capture.set(cv2.CAP_PROP_FPS, wiring.fps)
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraLost(f"{self._shown} cannot be opened")

    def grab(self) -> Pixels:
        """Wait for the next picture."""
        read, pixels = self._capture.read()
        if not read:
            raise CameraLost(f"{self._shown} delivers no more frames")
        return np.asarray(pixels, dtype=np.uint8)

    def release(self) -> None:
        """Give the device back."""
        self._capture.release()


class PiGrabber:
    """CSI camera by picamera2, which exists on a Raspberry Pi only.

    Raises:
        CameraLost: picamera2 is not installed, or finds no camera.
    """

    def __init__(self, wiring: CameraWiring) -> None:
        try:
            picamera2: Any = import_module("picamera2")
        except ImportError as error:
            raise CameraLost(
                f"camera {wiring.id}: picamera2 is not installed; on Raspberry Pi OS: apt install python3-picamera2"
            ) from error
        try:
            self._camera: Any = picamera2.Picamera2()
        except (IndexError, RuntimeError) as error:
            raise CameraLost(f"camera {wiring.id}: picamera2 finds no camera: {error}") from error
        # picamera2 names formats by the order in a 32-bit word: "RGB888" is B, G, R in memory
        main = {"size": (wiring.width_px, wiring.height_px), "format": "RGB888"}
        self._camera.configure(
            self._camera.create_video_configuration(main=main, controls={"FrameRate": wiring.fps})
        )
        self._camera.start()

    def grab(self) -> Pixels:
        """Wait for the next picture."""
        return np.asarray(self._camera.capture_array("main"), dtype=np.uint8)

    def release(self) -> None:
        """Give the device back."""
        self._camera.stop()
        self._camera.close()


GRABBERS: Final[dict[str, Callable[[CameraWiring], Grabber]]] = {
    "usb": OpenCvGrabber,
    "rtsp": OpenCvGrabber,
    "picamera2": PiGrabber,
}
"""By ``CameraWiring.kind``."""


def _without_password(source: str) -> str:
    """An address as it may be logged."""
    parts = urlsplit(source)
    if parts.hostname is None:
        return source
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
