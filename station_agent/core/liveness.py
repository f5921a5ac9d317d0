"""Whether the person before a camera is there in the flesh. PURE: no clock, thread, camera or numpy; chance is handed in.

Rules
  1. One ``Gate`` is one attempt: a nonce and random steps of its own, one verdict, which never changes.
  2. Every gate that the mode demands must pass. ``off`` demands none and is live at once, by configuration.
  3. A frame taken before the attempt began says nothing. Afterwards each frame must be newer than the last, by time and
     by number (``stale_frame``), and its pixels must not have been seen before (``repeated_frame``).
  4. A frame is judged when it is usable, compared with the visit's first face, and the head is turned by at most
     ``JUDGED_YAW``. Each judged frame must show that same person (``identity_changed``). Without a judged frame for
     ``LOST_S`` the attempt has failed (``face_lost``); after its time limit as well (``too_slow``).
  5. Active: the judged frames must meet the challenge (``core.challenge``), step by step.
  6. Passive: of at least ``PASSIVE_FRAMES`` judged frames that look straight ahead the median score must reach the
     model's threshold (``replay_suspected``), and no cue may mark half of them (``screen_pattern``,
     ``straight_border``). A missing score, missing cues or a missing threshold count as a replay.
  7. Whatever is missing or not a number counts against the person: comparisons are written so that NaN never passes.
"""

import math
import statistics
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from station_agent.core.challenge import LEAST_STEPS, STRAIGHT_YAW, Below, Challenge, Pose, Step, draw_steps
from station_agent.core.entry import SAME_PERSON

LOST_S: Final = 1.5
"""Longest time without a judged frame: a head turned too far for recognition comes back within it."""

JUDGED_YAW: Final = 0.60
"""Most turn of the head at which a frame is judged: up to it 95 % of pairs with a straight picture of the same person
reach ``SAME_PERSON`` (docs/liveness.md)."""

PASSIVE_FRAMES: Final = 5
LONGEST_S: Final = 6.0
"""Time limit of an attempt (safety.md F8)."""

NONCE_BITS: Final = 128

Mode: TypeAlias = Literal["off", "passive", "active", "both"]
Cue: TypeAlias = Literal["screen_pattern", "straight_border"]
Reason: TypeAlias = Literal[
    "stale_frame",
    "repeated_frame",
    "identity_changed",
    "face_lost",
    "too_slow",
    "wrong_step",
    "flat_turn",
    "replay_suspected",
    "screen_pattern",
    "straight_border",
]
CUES: Final[tuple[Cue, ...]] = ("screen_pattern", "straight_border")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a station asks for.

    Attributes:
        steps: moves of a challenge; kept within ``LEAST_STEPS`` and ``MOST_STEPS``.
        limit_s: time limit of an attempt; never more than ``LONGEST_S``.
        threshold: least passive score of a live face, from the model's manifest; None when there is no model.
    """

    mode: Mode
    steps: int = LEAST_STEPS
    limit_s: float = LONGEST_S
    threshold: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one frame says about liveness. None is unknown.

    Attributes:
        taken_s: monotonic time of the frame, in seconds.
        number: of the frame, counted by its camera.
        usable: exactly one face to judge, good enough but for its turn.
        fresh: whether these very pixels had not been seen before.
        same_as_before: score against the visit's first usable face.
        yaw: turn of the head in eye distances, positive to the person's left.
        width_px: of the face.
        aspect: distance of the eyes over their distance from the mouth.
        passive: score of the passive model, 1 is live.
        cues: signs of a screen or a print; None when nobody looked for any.
    """

    taken_s: float
    number: int
    usable: bool
    fresh: bool | None = None
    same_as_before: float | None = None
    yaw: float | None = None
    width_px: float | None = None
    aspect: float | None = None
    passive: float | None = None
    cues: frozenset[Cue] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """From now on the person is asked for this."""

    nonce: str
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """All demanded gates passed.

    Attributes:
        gates: which; none when liveness is off.
        steps: moves that were made.
        frames: judged frames.
        took_s: from the attempt's begin.
    """

    nonce: str
    gates: tuple[Literal["active", "passive"], ...]
    steps: tuple[Step, ...] = ()
    frames: int = 0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NotLive:
    """A gate failed; ``reason`` is the first."""

    nonce: str
    reason: Reason
    frames: int
    took_s: float


Verdict: TypeAlias = Live | NotLive
Outcome: TypeAlias = Asked | Live | NotLive


class Gate:
    """One attempt, by the rules above. Total: any look and any time may come at any moment.

    Attributes:
        nonce: names the attempt in prompts, events and verdict; a verdict counts only for the attempt that has it.
        steps: the moves that will be asked for.
        verdict: None while it is pending.
    """

    def __init__(self, demands: Demands, *, below: Below, now_s: float) -> None:
        """Begin an attempt.

        Args:
            demands: mode and limits.
            below: source of chance; ``secrets.randbelow`` outside tests.
            now_s: monotonic time; frames taken before it do not count.
        """
        self.nonce = f"{below(1 << NONCE_BITS):032x}"
        self._active = demands.mode not in {"off", "passive"}  # a mode nobody knows demands everything
        self._passive = demands.mode not in {"off", "active"}
        self._threshold = demands.threshold
        self._began_s = now_s
        self._limit_s = min(LONGEST_S, demands.limit_s)
        self.steps = draw_steps(demands.steps, below) if self._active else ()
        self._challenge = Challenge(self.steps)
        self._newest_s, self._number = -math.inf, -math.inf
        self._judged_s = now_s
        self._frames = 0
        self._straight: list[Look] = []
        off = demands.mode == "off"
        self.verdict: Verdict | None = Live(nonce=self.nonce, gates=()) if off else None

    @property
    def asked(self) -> Step | None:
        """What the person is to do now; None once the verdict is there."""
        if self.verdict is not None:
            return None
        return self._challenge.asked or Step.LOOK_STRAIGHT  # passive still wants frames to judge

    @property
    def deadline_s(self) -> float | None:
        """Monotonic time at which ``tick`` is due without a frame; None once the verdict is there."""
        if self.verdict is not None:
            return None
        return min(self._began_s + self._limit_s, self._judged_s + LOST_S)

    def tick(self, now_s: float) -> list[Outcome]:
        """Take in that time has passed. Harmless at any moment."""
        if self.verdict is not None:
            return []
        if not now_s - self._began_s <= self._limit_s:
            return self._fail("too_slow", now_s)
        return self._fail("face_lost", now_s) if now_s - self._judged_s > LOST_S else []

    def step(self, look: Look) -> list[Outcome]:
        """Take in one frame; say what follows from it, mostly nothing."""
        if self.verdict is not None or not look.taken_s >= self._began_s:
            return []
        reason = self._refuse(look)
        if reason is not None:
            return self._fail(reason, look.taken_s)
        self._newest_s, self._number = look.taken_s, look.number
        if (late := self.tick(look.taken_s)) or (pose := _pose(look)) is None:
            return late
        if not (look.same_as_before is not None and look.same_as_before >= SAME_PERSON):
            return self._fail("identity_changed", look.taken_s)
        return self._judge(look, pose)

    def _refuse(self, look: Look) -> Reason | None:
        """Rule 3."""
        if not (look.taken_s > self._newest_s and look.number > self._number):
            return "stale_frame"
        if look.fresh is False or (look.usable and look.fresh is not True):
            return "repeated_frame"
        return None

    def _judge(self, look: Look, pose: Pose) -> list[Outcome]:
        self._judged_s = look.taken_s
        self._frames += 1
        if abs(pose.yaw) <= STRAIGHT_YAW:
            self._straight.append(look)
        before = self.asked
        reason: Reason | None = self._challenge.step(pose)
        if reason is None and self._challenge.asked is None:
            if self._passive and len(self._straight) < PASSIVE_FRAMES:
                return self._tell(before)
            reason = _replayed(self._straight, self._threshold) if self._passive else None
            if reason is None:
                return self._pass(look.taken_s)
        if reason is not None:
            return self._fail(reason, look.taken_s)
        return self._tell(before)

    def _tell(self, before: Step | None) -> list[Outcome]:
        after = self.asked
        return [Asked(self.nonce, after)] if after is not None and after is not before else []

    def _pass(self, now_s: float) -> list[Outcome]:
        gates: tuple[Literal["active", "passive"], ...] = (
            *(("active",) if self._active else ()),
            *(("passive",) if self._passive else ()),
        )
        self.verdict = Live(
            nonce=self.nonce,
            gates=gates,
            steps=self.steps,
            frames=self._frames,
            took_s=now_s - self._began_s,
        )
        return [self.verdict]

    def _fail(self, reason: Reason, now_s: float) -> list[Outcome]:
        self.verdict = NotLive(
            nonce=self.nonce, reason=reason, frames=self._frames, took_s=now_s - self._began_s
        )
        return [self.verdict]


def _pose(look: Look) -> Pose | None:
    """Rule 4: the pose when the frame is judged."""
    if not look.usable or look.same_as_before is None or look.yaw is None or look.width_px is None:
        return None
    if not (abs(look.yaw) <= JUDGED_YAW and 0 < look.width_px < math.inf):
        return None
    return Pose(look.yaw, look.width_px, math.nan if look.aspect is None else look.aspect)


def _replayed(straight: list[Look], threshold: float | None) -> Reason | None:
    """Rule 6 over the frames that look straight ahead."""
    for cue in CUES:
        marked = sum(1 for look in straight if look.cues is not None and cue in look.cues)
        if 2 * marked >= len(straight):
            return cue
    scores = [
        look.passive if look.cues is not None and look.passive is not None and 0 <= look.passive <= 1 else 0.0
        for look in straight
    ]
    live = threshold is not None and threshold > 0 and statistics.median(scores) >= threshold
    return None if live else "replay_suspected"
