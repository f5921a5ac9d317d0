"""The moves a person is asked for, in random order, and whether they were made. PURE; part of ``core.liveness``.

Rules
  1. Two or more moves in random order, no two alike in a row, so that at least one of them is a turn.
  2. Before each move the person looks straight ahead for ``STRAIGHT_FRAMES``: the move is measured from there.
  3. A move is made when it was held for ``HELD_FRAMES``.
  4. Any other move, held as long, ends the challenge (``wrong_step``): a replay that goes through all moves passes only
     by the luck of its order.
  5. A turn must narrow the face as a head does. One that narrows it like a tilted picture does not count, and
     ``FLAT_FRAMES`` of them end the challenge (``flat_turn``).

Yaw is signed from the *person's* view: positive is a turn to their own left, in an unmirrored picture.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

STRAIGHT_YAW: Final = 0.15
"""Looking straight ahead: 90 % of the photographs of AT&T, taken of people asked to, are within 0.13."""

TURN_YAW: Final = 0.25
"""A turn, in eye distances away from where the person looked straight ahead: about 30 degrees."""

CLOSER: Final = 1.25
"""Growth of the face's width that is coming closer: from 60 cm to 48 cm."""

NARROWEST: Final = 0.65
"""Least ratio of eye distance to the eyes' height over the mouth, over the same looking straight ahead, in a turn. A
head turned by 30 degrees keeps 0.87; a picture must be tilted by 50 before the detector takes it for turned."""

LEAST_ASPECT: Final = 0.81
"""Of 455 photographs that look straight ahead (LFW-10, AT&T) none has less: a picture that is tilted already while it is
shown straight gains nothing by it."""

STRAIGHT_FRAMES: Final = 2
HELD_FRAMES: Final = 2
"""One frame may be the detector's error."""
FLAT_FRAMES: Final = 3
LEAST_STEPS: Final = 2
MOST_STEPS: Final = 4

Fault: TypeAlias = Literal["wrong_step", "flat_turn"]
Below: TypeAlias = Callable[[int], int]
"""A random whole number from 0 up to, but not including, the argument: ``secrets.randbelow``."""


class Step(StrEnum):
    """What the person is asked to do; left and right are their own."""

    LOOK_STRAIGHT = "look_straight"
    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    COME_CLOSER = "come_closer"


MOVES: Final = (Step.TURN_LEFT, Step.TURN_RIGHT, Step.COME_CLOSER)
"""No blink: five landmarks do not show whether an eye is open."""


@dataclass(frozen=True, slots=True)
class Pose:
    """A judged frame's numbers, all of them finite but ``aspect``, which is NaN when unknown."""

    yaw: float
    width_px: float
    aspect: float


def draw_steps(count: int, below: Below) -> tuple[Step, ...]:
    """Moves in random order, no two alike in a row; at least ``LEAST_STEPS``, at most ``MOST_STEPS``."""
    steps: list[Step] = []
    for _ in range(min(MOST_STEPS, max(LEAST_STEPS, count))):
        choices = [move for move in MOVES if steps[-1:] != [move]]
        steps.append(choices[below(len(choices)) % len(choices)])
    return tuple(steps)


class Challenge:
    """The steps of one attempt. It is shown judged frames only (rule 4 of ``core.liveness``).

    Attributes:
        asked: what the person is to do now; None once all steps are done.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.asked: Step | None = Step.LOOK_STRAIGHT if steps else None
        self._left = list(steps)
        self._straight: Pose | None = None
        self._run = 0
        self._wrong = 0
        self._flat = 0

    def step(self, pose: Pose) -> Fault | None:
        """Take in one judged frame; the reason when it ends the challenge."""
        if self.asked is None:
            return None
        if self.asked is Step.LOOK_STRAIGHT:
            self._wait_for_straight(pose)
            return None
        return self._wait_for_move(pose, self.asked)

    def _wait_for_straight(self, pose: Pose) -> None:
        self._run = self._run + 1 if abs(pose.yaw) <= STRAIGHT_YAW else 0
        if self._run >= STRAIGHT_FRAMES:
            self._straight = pose
            self._ask(self._left.pop(0))

    def _wait_for_move(self, pose: Pose, asked: Step) -> Fault | None:
        move = _move(pose, self._straight)
        self._wrong = self._wrong + 1 if move not in {None, asked} else 0
        if self._wrong >= HELD_FRAMES:
            return "wrong_step"
        if move is not asked:
            self._run = 0
            return None
        if asked is not Step.COME_CLOSER and not _narrowed_like_a_head(pose, self._straight):
            self._flat += 1
            return "flat_turn" if self._flat >= FLAT_FRAMES else None
        self._run += 1
        if self._run >= HELD_FRAMES:
            self._ask(Step.LOOK_STRAIGHT if self._left else None)
        return None

    def _ask(self, step: Step | None) -> None:
        self.asked = step
        self._run = self._wrong = self._flat = 0


def _move(pose: Pose, straight: Pose | None) -> Step | None:
    """The move that a frame shows, against the last frame that looked straight ahead."""
    if straight is None:
        return None
    turn = pose.yaw - straight.yaw
    if turn >= TURN_YAW:
        return Step.TURN_LEFT
    if turn <= -TURN_YAW:
        return Step.TURN_RIGHT
    return Step.COME_CLOSER if pose.width_px >= CLOSER * straight.width_px else None


def _narrowed_like_a_head(pose: Pose, straight: Pose | None) -> bool:
    if straight is None or not straight.aspect > 0:
        return False
    return pose.aspect >= NARROWEST * max(straight.aspect, LEAST_ASPECT)
