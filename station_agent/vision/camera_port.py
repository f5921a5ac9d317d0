"""The port every camera serves, and the slot through which a camera's own thread hands over its newest frame."""

import threading
from typing import Protocol

from station_agent.clock import Clock
from station_agent.errors import AgentError
from station_agent.vision.frame import Frame, Pixels


class CameraLost(AgentError, RuntimeError):  # noqa: N818 (a fact about the device, named as such)
    """The camera cannot be opened or delivers no more; the message names it. It may be opened again."""


class Camera(Protocol):
    """A source of frames, open from its making on. Read by one thread."""

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or of a live camera the newest; None when none came in time.

        Raises:
            CameraLost: there will be no more.
        """

    def close(self) -> None:
        """Give the source back. A second call does nothing."""


class NewestFrame:
    """Holds one frame: a newer one replaces it, taking it empties the slot. So no queue can grow."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._frame: Frame | None = None
        self._number = 0
        self._lost: str | None = None

    def put(self, pixels: Pixels) -> None:
        """Replace the frame; it was taken now."""
        with self._changed:
            self._number += 1
            self._frame = Frame(pixels, self._clock.monotonic_s(), self._number)
            self._changed.notify()

    def lose(self, reason: str) -> None:
        """From now on ``take`` raises."""
        with self._changed:
            self._lost, self._frame = reason, None
            self._changed.notify()

    def restore(self) -> None:
        """Undo ``lose``; what was put before it is gone."""
        with self._changed:
            self._lost, self._frame = None, None

    @property
    def lost(self) -> str | None:
        """Why there are no frames, or None."""
        return self._lost

    def take(self, timeout_s: float) -> Frame | None:
        """The frame, waiting for one; None when none came in time.

        Raises:
            CameraLost: it was said so by ``lose``.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._lost is not None, timeout_s)
            if self._lost is not None:
                raise CameraLost(self._lost)
            frame, self._frame = self._frame, None
            return frame
