"""Attempts to pass the liveness gate, frame by frame: sheets tilted as the prompts ask, and films of passed attempts.

For ``station-agent bench pad`` only. The gate, detector, quality limits and recognition are those of a station.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from station_agent.core.challenge import MOVES, TURN_YAW, Below, Step
from station_agent.core.liveness import LONGEST_S, Demands, Gate, Live, Look, Verdict
from station_agent.vision import attacks
from station_agent.vision.engine import Face, Vector
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.liveness import TURNED, Witness
from station_agent.vision.liveness_model import PassiveModel
from station_agent.vision.opencv_engine import OpenCvEngine
from station_agent.vision.quality import judge

FRAME_S: Final = 0.125
"""Eight frames a second: a small board's pace, and a power of two so that times stay exact."""

REPLAYS: Final = 2000
"""Replayed attempts; they cost no picture."""

_BEND: Final = 0.5
_CLOSER: Final = 1.4
_SWEEP_FRAMES: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """A photograph with one face, at a camera's scale."""

    person: str
    pixels: Pixels
    face: Face


@dataclass
class Bench:
    """What a run works with."""

    engine: OpenCvEngine
    model: PassiveModel | None
    rng: np.random.Generator
    photographs: list[Photograph]
    model_ms: list[float] = field(default_factory=list)
    cues_ms: list[float] = field(default_factory=list)

    def below(self, limit: int) -> int:
        """Chance for the gate, from the seed."""
        return int.from_bytes(self.rng.bytes(16)) % limit

    def room(self) -> Pixels:
        """Something out of focus behind a sheet."""
        behind = self.photographs[int(self.rng.integers(len(self.photographs)))]
        return attacks.room(behind.pixels, self.rng)


def attempt(bench: Bench, species: str, number: int) -> tuple[Verdict | None, Verdict | None]:
    """One attempt before two gates with the same steps: active alone, and both."""
    photograph = bench.photographs[(number * 7) % len(bench.photographs)]
    sheet = attacks.SPECIES[species](photograph.pixels, photograph.face.box, bench.rng)
    behind = bench.room()
    held = attacks.Pose(face_px=float(bench.rng.uniform(130, 180)), bend=bend_of(species))
    choice = bench.rng.bytes(64)
    threshold = None if bench.model is None else bench.model.threshold
    active = Gate(Demands(mode="active"), below=_from(choice), now_s=0.0)
    both = Gate(Demands(mode="both", threshold=threshold), below=_from(choice), now_s=0.0)
    hand = _Hand(bench.rng)
    witness = Witness(bench.model)
    first: Vector | None = None
    for count in range(1, int(LONGEST_S / FRAME_S) + 2):
        asked = both.asked or active.asked
        if asked is None:
            break
        pixels = attacks.show(sheet, hand.pose(held, asked), behind, bench.rng)
        face, vector = _judged(bench.engine, pixels)
        same = None if vector is None or first is None else float(first @ vector)
        first = vector if first is None else first
        look = witness.look(Frame(pixels, count * FRAME_S, count), face, same_as_before=same)
        active.step(look)
        both.step(look)
    return active.verdict, both.verdict


def _judged(engine: OpenCvEngine, pixels: Pixels) -> tuple[Face | None, Vector | None]:
    faces = engine.detect(pixels)
    if not faces or judge(pixels, faces, TURNED).reason is not None:
        return None, None
    return faces[0], engine.embed(pixels, faces[0])


class _Hand:
    """Holds a sheet and does with it what the prompt asks of a head, in sweeps, each at another slant."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._asked: Step | None = None
        self._count = 0
        self._reach_deg = self._pitch_deg = self._roll_deg = 0.0

    def pose(self, held: attacks.Pose, asked: Step) -> attacks.Pose:
        """The sheet's pose in the next frame."""
        if asked is not self._asked or self._count >= _SWEEP_FRAMES:
            self._asked, self._count = asked, 0
            self._reach_deg = float(self._rng.uniform(30, 65))
            self._pitch_deg, self._roll_deg = (float(self._rng.uniform(-30, 30)) for _ in range(2))
        self._count += 1
        unsteady = float(self._rng.normal(0, 1.5))
        if asked is Step.LOOK_STRAIGHT:
            return replace(held, yaw_deg=unsteady)
        if asked is Step.COME_CLOSER:
            grown = 1 + (_CLOSER - 1) * min(1.0, self._count / 6)
            return replace(held, face_px=held.face_px * grown, yaw_deg=unsteady)
        swung = math.sin(math.pi * self._count / _SWEEP_FRAMES)
        side = 1 if asked is Step.TURN_LEFT else -1
        return replace(
            held,
            yaw_deg=side * self._reach_deg * swung + unsteady,
            pitch_deg=self._pitch_deg * swung,
            roll_deg=self._roll_deg * swung,
        )


def replay(bench: Bench) -> dict[str, float]:
    """A film of a passed attempt before a new gate, were it good enough to fool everything but the order of the steps."""
    return {
        "n": REPLAYS,
        **{str(steps): _replayed(bench, steps) for steps in (2, 3)},
        "all_moves": _replayed(bench, 2, film=MOVES),
    }


def _replayed(bench: Bench, steps: int, film: tuple[Step, ...] | None = None) -> float:
    passed = 0
    for _ in range(REPLAYS):
        demands = Demands(mode="active", steps=steps)
        recorded = film or Gate(demands, below=bench.below, now_s=0.0).steps
        gate = Gate(demands, below=bench.below, now_s=0.0)
        for look in _film(recorded):
            gate.step(look)
        passed += isinstance(gate.verdict, Live)
    return round(passed / REPLAYS, 4)


def _film(steps: tuple[Step, ...]) -> Iterator[Look]:
    """A person who makes these moves, each for three frames, and looks straight ahead for three before each."""
    straight = Look(
        taken_s=0, number=0, usable=True, fresh=True, same_as_before=0.8, yaw=0.0, width_px=100, aspect=1.0
    )
    moves = {
        Step.TURN_LEFT: replace(straight, yaw=TURN_YAW + 0.05),
        Step.TURN_RIGHT: replace(straight, yaw=-TURN_YAW - 0.05),
        Step.COME_CLOSER: replace(straight, width_px=100 * _CLOSER),
    }
    looks = [look for step in steps for look in (straight, straight, straight, *[moves[step]] * 3)]
    for number, look in enumerate(looks, start=1):
        yield replace(look, taken_s=number * FRAME_S, number=number)


def bend_of(species: str) -> float:
    """How far a sheet of this species is bent. See ``attacks.Pose``."""
    return _BEND if species == "bent_print" else 0.0


def _from(choice: bytes) -> Below:
    """The same chance for two gates."""
    rng = np.random.default_rng(list(choice))
    return lambda limit: int.from_bytes(rng.bytes(16)) % limit
