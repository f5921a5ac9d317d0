"""The vision thread of one camera: read, gate, judge, tell the control thread. It decides nothing and opens nothing.

It reads the newest frame, so a slow machine skips frames instead of falling behind. It never dies of an error: whatever
happens is logged, the camera counts as lost, and is opened again after a growing pause.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from station_agent.clock import Clock
from station_agent.facts import CameraChanged, FaceSeen, PassSeen
from station_agent.vision.camera_port import Camera, CameraLost
from station_agent.vision.engine import FaceEngine
from station_agent.vision.frame import Frame
from station_agent.vision.gallery import Gallery
from station_agent.vision.liveness import Witness
from station_agent.vision.motion import LINGER_S, MotionGate
from station_agent.vision.qr import QrReader
from station_agent.vision.sight import Sight

log = logging.getLogger(__name__)

READ_TIMEOUT_S: Final = 0.25
"""Longest wait for a frame, so longest wait for the thread to end."""

SETTLED_S: Final = 6.0
"""A reopened camera without a frame counts as back after this long: longer than a live camera may be silent."""

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
"""Pauses before opening a lost camera again: doubled each time, back to the first once a frame was judged."""


class Taker(Protocol):
    """Whoever borrows a camera, to enrol somebody for one."""

    def step(self, frame: Frame) -> None:
        """Take one frame, on the vision thread. What it raises ends the loan."""


@dataclass(frozen=True, slots=True)
class _Loan:
    taker: Taker
    until_s: float


class VisionThread:
    """Watches one door. ``start`` it once, ``stop`` it once."""

    def __init__(
        self,
        *,
        door: str,
        camera: str,
        open_camera: Callable[[], Camera],
        engine: FaceEngine,
        gallery: Gallery,
        put: Callable[[FaceSeen | PassSeen | CameraChanged], None],
        clock: Clock,
        witness: Witness | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            door: whose entry the camera watches.
            camera: its name, for facts and log.
            open_camera: opens it, or opens it again; raises ``CameraLost``.
            engine: shared by all vision threads.
            gallery: of that engine.
            put: the control thread's inbox.
            clock: for pauses; frames bring their own time.
            witness: of this camera's frames, for liveness; None where nobody asks for it.
        """
        self._door = door
        self._name = camera
        self._open_camera = open_camera
        self._sight = Sight(engine, gallery, witness)
        self._gate = MotionGate()
        self._qr = QrReader()
        self._put = put
        self._clock = clock
        self._camera: Camera | None = None
        self._loan: _Loan | None = None
        self._opened_s = 0.0
        self._present = True
        self._pause_s = FIRST_PAUSE_S
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"vision:{camera}", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and give the camera back."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def use(self, gallery: Gallery) -> None:
        """Search in another gallery from the next frame on. Any thread."""
        self._sight.gallery = gallery

    def lend(self, taker: Taker, *, until_s: float) -> None:
        """Give each frame to somebody else instead of entry by face. Passes go on being read. Any thread.

        Args:
            taker: in place of one before.
            until_s: monotonic time at which the loan ends by itself.
        """
        self._loan = _Loan(taker, until_s)

    def give_back(self) -> None:
        """End a loan; entry by face goes on with the next frame. Harmless without one. Any thread."""
        self._loan = None

    def turn(self) -> float:
        """One step: open the camera if need be, read, judge. The thread does nothing else.

        Returns:
            Seconds to wait before the next turn.
        """
        try:
            camera = self._camera or self._open()
            frame = camera.read(READ_TIMEOUT_S)
            if frame is not None:
                self._judge(frame)
                self._pause_s = FIRST_PAUSE_S
            if frame is not None or self._clock.monotonic_s() - self._opened_s >= SETTLED_S:
                self._is_back()
        except CameraLost as error:
            return self._is_lost(str(error))
        except Exception as error:
            log.exception("vision_failed", extra={"camera": self._name})
            return self._is_lost(repr(error))
        return 0.0

    def close(self) -> None:
        """Give the camera back. The thread does it itself when it ends."""
        camera, self._camera = self._camera, None
        if camera is None:
            return
        try:
            camera.close()
        except Exception:
            log.exception("camera_close_failed", extra={"camera": self._name})

    def _run(self) -> None:
        while not self._stopping.is_set():
            if pause_s := self.turn():
                self._stopping.wait(pause_s)
        self.close()

    def _open(self) -> Camera:
        self._camera = self._open_camera()
        self._opened_s = self._clock.monotonic_s()
        return self._camera

    def _judge(self, frame: Frame) -> None:
        if (loan := self._loan) is not None and frame.taken_s < loan.until_s:
            self._hand_over(frame, loan)
            return
        if not self._gate.opens(frame):
            return
        if (code := self._qr.read(frame)) is not None:
            self._put(PassSeen(self._door, code))
        sighting, look = self._sight.look(frame)
        if sighting.faces:
            self._gate.saw_face(frame)
        elif frame.taken_s - self._gate.face_s > LINGER_S:
            return  # an empty doorway is no news
        self._put(FaceSeen(self._door, sighting, look))

    def _hand_over(self, frame: Frame, loan: _Loan) -> None:
        if (code := self._qr.read(frame)) is not None:
            self._put(PassSeen(self._door, code))
        try:
            loan.taker.step(frame)
        except BaseException:
            self._loan = None
            raise

    def _is_back(self) -> None:
        if self._present:
            return
        self._present = True
        log.info("camera_back", extra={"camera": self._name})
        self._put(CameraChanged(self._name, present=True))

    def _is_lost(self, reason: str) -> float:
        """Let go of the camera, say so once, and return how long to wait before opening it again."""
        self.close()
        self._gate = (
            MotionGate()
        )  # so that the next first frame is looked at, and shows whether the engine works
        if self._present:
            self._present = False
            log.warning("camera_lost", extra={"camera": self._name, "reason": reason})
            self._put(CameraChanged(self._name, present=False))
        pause_s, self._pause_s = self._pause_s, min(LONGEST_PAUSE_S, 2 * self._pause_s)
        return pause_s
