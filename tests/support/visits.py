"""Visits to a camera played by hand: frames with what recognition and liveness say of them, and people who obey prompts."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from station_agent.core.challenge import Step
from station_agent.core.entry import Prompt, Sighting
from station_agent.core.liveness import Demands, Look
from station_agent.core.visit import Admitted, LiveEntry, Outcome, Refused

FRAME_S = 0.125
"""Exact in binary, so that times can be compared."""


@dataclass(frozen=True)
class Rules:
    threshold: float = 0.45
    margin: float = 0.06
    agreeing_frames: int = 3
    judged_frames: int = 8


RULES = Rules()
PASSIVE = Demands(mode="passive", threshold=0.5)
ACTIVE = Demands(mode="active")
BOTH = Demands(mode="both", threshold=0.5)
OFF = Demands(mode="off")


@dataclass(frozen=True)
class Shot:
    """One frame: what recognition and liveness say of it."""

    sighting: Sighting
    look: Look | None


WORKER = Shot(
    Sighting(taken_s=0, faces=1, person="anna", score=0.8, margin=0.5, same_as_before=0.9),
    Look(
        taken_s=0,
        number=0,
        usable=True,
        fresh=True,
        same_as_before=0.9,
        yaw=0.0,
        width_px=100.0,
        aspect=1.0,
        passive=0.9,
        cues=frozenset(),
    ),
)
EMPTY = Shot(Sighting(taken_s=0, faces=0), Look(taken_s=0, number=0, usable=False))


def but(shot: Shot, *, look: bool = True, **changes: object) -> Shot:
    """A shot with some of its numbers changed, wherever they are."""
    of_sighting = {key: value for key, value in changes.items() if key in Sighting.__dataclass_fields__}
    of_look = {key: value for key, value in changes.items() if key in Look.__dataclass_fields__}
    changed = None if shot.look is None else replace(shot.look, **of_look)  # type: ignore[arg-type]
    return Shot(replace(shot.sighting, **of_sighting), changed if look else None)  # type: ignore[arg-type]


STRANGER = but(WORKER, score=0.1, margin=0.02)
LEFT = but(WORKER, yaw=0.35)
RIGHT = but(WORKER, yaw=-0.35)
NEAR = but(WORKER, width_px=140.0)
MOVES = {Step.TURN_LEFT: LEFT, Step.TURN_RIGHT: RIGHT, Step.COME_CLOSER: NEAR}
PRINT = but(WORKER, passive=0.1)
FAR_TURNED = but(WORKER, quality="not_frontal", person=None, score=-1.0, yaw=0.5)
OTHER = but(WORKER, person="bo", same_as_before=0.1)


def first(shot: Shot) -> Shot:
    """As the first usable face of a visit."""
    return but(shot, same_as_before=None)


@dataclass
class Door:
    """A camera played by hand."""

    demands: Demands
    rules: Rules = RULES
    seed: int = 1
    machine: LiveEntry = field(init=False)
    now_s: float = 0.0
    number: int = 0

    def __post_init__(self) -> None:
        self.machine = LiveEntry(self.demands, below=random.Random(self.seed).randrange)  # noqa: S311 (of a test)

    def show(self, *shots: Shot) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for shot in shots:
            self.now_s += FRAME_S
            self.number += 1
            look = shot.look and replace(shot.look, taken_s=self.now_s, number=self.number)
            outcomes += self.machine.step(replace(shot.sighting, taken_s=self.now_s), look, self.rules)
        return outcomes

    def obey(
        self, outcomes: list[Outcome], *, instead: Callable[[Step], Shot] | None = None
    ) -> list[Outcome]:
        """Do what is asked for until it is decided, as a live person would."""
        act = instead or (lambda step: MOVES.get(step, WORKER))
        told, asked = list(outcomes), last_step(outcomes)
        for _ in range(60):
            if asked is None or decided(told):
                break
            told += self.show(act(asked))
            asked = last_step(told)
        return told


def last_step(outcomes: list[Outcome]) -> Step | None:
    asked = [each.reason for each in outcomes if isinstance(each, Prompt) and each.reason in set(Step)]
    return Step(asked[-1]) if asked else None


def decided(outcomes: list[Outcome]) -> list[Admitted | Refused]:
    return [each for each in outcomes if not isinstance(each, Prompt)]


def reasons(outcomes: list[Outcome]) -> list[str]:
    return [each.reason if isinstance(each, Refused) else each.seen.person for each in decided(outcomes)]
