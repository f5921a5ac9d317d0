"""A few good frames of one living person, for enrolment and to prove who withdraws. Vision thread of a lent camera.

Only vectors are kept, never a picture; ``drop`` forgets them, and so does every fault. Who the person is, is not asked here.

Rules
  1. A frame counts when exactly one face is in it, good enough by ``CaptureRules.limits``, of the person the try began
     with, ``GAP_S`` after the last one that counted, and of pixels that were not seen before.
  2. A try is one attempt of ``core.liveness`` in the mode the station demands. A face that leaves, another person or a
     failed gate ends the try, and all its vectors with it. After ``TRIES`` failed gates the capture has failed.
  3. Enough is ``wanted`` frames, or ``least`` when no further one came for ``PATIENCE_S``; never before the gate passed.
"""

import logging
import math
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from station_agent.core.entry import GONE_S, SAME_PERSON
from station_agent.core.liveness import Demands, Gate, Live, Look, NotLive
from station_agent.vision.engine import Face, FaceEngine, Vector
from station_agent.vision.frame import Frame
from station_agent.vision.liveness import TURNED
from station_agent.vision.quality import ENROLMENT, ENTRY, Limits, judge

log = logging.getLogger(__name__)

WANTED: Final = 5
LEAST: Final = 3
"""Three to five frames: docs/face-entry.md shows what each further one gains."""

GAP_S: Final = 0.3
"""Between two frames that count: people move a little in it."""

PATIENCE_S: Final = 8.0
TRIES: Final = 3

_NOBODY_S_FAULT: Final = frozenset({"face_lost", "too_slow"})
"""Whoever needs longer may try again until the session is over."""


class Witness(Protocol):
    """``vision.liveness.Witness``."""

    def look(self, frame: Frame, face: Face | None, *, same_as_before: float | None) -> Look:
        """What one frame says about liveness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRules:
    """What frames are wanted.

    Attributes:
        limits: of quality.
        wanted: good frames at which the capture is over.
        least: enough when no more come.
    """

    limits: Limits = ENROLMENT
    wanted: int = WANTED
    least: int = LEAST


TO_PROVE: Final = CaptureRules(limits=ENTRY, wanted=LEAST, least=LEAST)
"""To recognise somebody who is enrolled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Captured:
    """The capture is over, and good.

    Attributes:
        vectors: shape (K, D), float32, unit-length rows, in the order of their frames.
        live: the verdict of the gate, of the mode that was demanded.
    """

    vectors: NDArray[np.float32]
    live: Live


class Listener(Protocol):
    """Hears of a capture, on the vision thread; returns at once."""

    def seen(self, prompt: str | None, good: int) -> None:
        """What the person is to do now, and how many good frames there are."""

    def captured(self, result: Captured) -> None:
        """It is over, and good. Nothing follows."""

    def failed(self, reason: str) -> None:
        """It is over, and nothing was kept. Nothing follows."""


class Capture:
    """One capture, made for one loan of a camera (``vision.pipeline.VisionThread.lend``)."""

    def __init__(
        self,
        engine: FaceEngine,
        witness: Witness,
        *,
        demands: Demands,
        rules: CaptureRules,
        listener: Listener,
        below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        """Begin with an empty doorway.

        Args:
            engine: finds and describes faces.
            witness: of this capture alone.
            demands: of liveness; each try is one attempt.
            rules: of frames.
            listener: hears how it goes.
            below: source of chance.
        """
        self._engine = engine
        self._witness = witness
        self._demands = demands
        self._rules = rules
        self._listener = listener
        self._below = below
        self._turn = threading.Lock()
        self._over = False
        self._failures = 0
        self._reason = ""
        self._told: tuple[str | None, int] | None = None
        self._face_s = -math.inf
        self._newest_s = -math.inf
        self._forget()

    @property
    def wanted(self) -> int:
        """Good frames that are enough."""
        return self._rules.wanted

    def step(self, frame: Frame) -> None:
        """Take one frame."""
        if self._over or not frame.taken_s > self._newest_s:
            return
        self._newest_s = frame.taken_s
        prompt = self._judge(frame)
        with self._turn:
            if self._over:
                self._forget()
                return
            good = len(self._good)
            result = self._result(frame.taken_s)
            self._over = result is not None
            if self._over:
                self._forget()
        if isinstance(result, Captured):
            self._listener.captured(result)
        elif isinstance(result, str):
            self._listener.failed(result)
        elif (prompt, good) != self._told:
            self._told = (prompt, good)
            self._listener.seen(prompt, good)

    def drop(self) -> None:
        """End it from outside: nothing is kept, and the listener hears no more. Any thread."""
        with self._turn:
            self._over = True
            self._forget()

    def _forget(self) -> None:
        """Begin a new try."""
        self._gate: Gate | None = None
        self._first: Vector | None = None
        self._good: list[Vector] = []
        self._good_s = -math.inf

    def _judge(self, frame: Frame) -> str | None:
        """Take a frame into the try; what the person is told."""
        faces = self._engine.detect(frame.pixels, thorough=not self._good)
        if frame.taken_s - self._face_s > GONE_S:
            self._forget()
        if not faces:
            return self._look(self._witness.look(frame, None, same_as_before=None))
        self._face_s = frame.taken_s
        unusable = judge(frame.pixels, faces, TURNED).reason
        turned = judge(frame.pixels, faces, ENTRY).reason
        if unusable is not None or (turned is not None and self._first is None):
            return self._look(self._witness.look(frame, None, same_as_before=None)) or unusable or turned
        vector = self._engine.embed(frame.pixels, faces[0])
        same = self._compare(vector, straight=turned is None)
        look = self._witness.look(frame, faces[0], same_as_before=same)
        return self._look(look) or self._count(frame, faces, vector, look)

    def _compare(self, vector: Vector, *, straight: bool) -> float:
        """Score against the face the try began with; another person who looks straight ahead begins a try of their own."""
        if self._first is not None:
            same = self._engine.score(float(self._first @ vector))
            if same >= SAME_PERSON or not straight:
                return same
            self._forget()
        self._first = vector
        return self._engine.score(1.0)

    def _count(self, frame: Frame, faces: list[Face], vector: Vector, look: Look) -> str | None:
        asked = None if self._gate is None or self._gate.asked is None else self._gate.asked.value
        if look.fresh is not True:
            return "repeated_frame"
        reason = judge(frame.pixels, faces, self._rules.limits).reason
        if reason is not None or not (look.same_as_before or 0.0) >= SAME_PERSON:
            return asked or reason
        if frame.taken_s - self._good_s >= GAP_S and len(self._good) < self._rules.wanted:
            self._good.append(vector)
            self._good_s = frame.taken_s
        return asked

    def _look(self, look: Look) -> str | None:
        """Take a look into the gate of the try; the reason when it failed, and then a new try has begun."""
        if self._gate is None:
            if not look.usable:
                return None
            self._gate = Gate(self._demands, below=self._below, now_s=look.taken_s)
        self._gate.step(look)
        verdict = self._gate.verdict
        if not isinstance(verdict, NotLive):
            return None
        if verdict.reason not in _NOBODY_S_FAULT:
            self._failures += 1
            self._reason = verdict.reason
        log.info("capture_not_live", extra={"reason": verdict.reason, "failures": self._failures})
        self._forget()
        return verdict.reason

    def _result(self, now_s: float) -> Captured | str | None:
        if self._failures >= TRIES:
            return self._reason
        live = self._gate.verdict if self._gate is not None else None
        if not isinstance(live, Live):
            return None
        full = len(self._good) >= self._rules.wanted
        late = len(self._good) >= self._rules.least and now_s - self._good_s >= PATIENCE_S
        return Captured(vectors=np.stack(self._good), live=live) if full or late else None
