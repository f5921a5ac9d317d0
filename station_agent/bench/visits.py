"""Pictures to what identification is measured on: templates of people, and visits of several frames each.

A visit is one photograph shown to the simulated camera: nearer, aside, tilted, darker, less sharp from frame to frame
(``simulate.vary``). Its frames go through detection, the quality gate and embedding as at a door. A photograph that made
a template makes no visit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from station_agent.bench.faces import labelled_pictures, sized
from station_agent.simulate.vary import vary
from station_agent.vision.engine import Face, FaceEngine, Vector
from station_agent.vision.frame import Pixels
from station_agent.vision.quality import judge

FRAMES: Final = 8
"""Frames of a visit: what a station judges by default before it denies."""

TEMPLATES: Final = 3
"""Photographs of a person that may become templates, as at an enrolment."""

MOST_VISITS: Final = 400
"""Enough for a rate of one in a hundred; a large set is sampled, because each visit takes a quarter of a second."""

FRAME_PX: Final = (640, 480)


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """A photograph with its face.

    Attributes:
        person: number of the person.
        pixels: shape (H, W, 3), uint8, BGR.
        vector: shape (D,).
    """

    person: int
    pixels: Pixels
    face: Face
    vector: Vector


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One person before the camera.

    Attributes:
        person: number of the person.
        frames: vectors of the usable frames, shape (K, D), K from 0 to ``FRAMES``.
    """

    person: int
    frames: NDArray[np.float32]


@dataclass(eq=False)
class Gathered:
    """Everything measured on.

    Attributes:
        people: how many there are.
        missed: photographs without a face.
        skipped: files that are no picture.
        unusable: frames refused, by reason.
    """

    people: int = 0
    stills: list[Still] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    missed: int = 0
    skipped: list[str] = field(default_factory=list)
    unusable: dict[str, int] = field(default_factory=dict)


def gather(
    dataset: Path, engine: FaceEngine, *, rng: np.random.Generator, most_visits: int = MOST_VISITS
) -> Gathered:
    """Read a set and run it through the engine.

    Args:
        dataset: one folder per person, pictures in it.
        engine: describes the faces.
        rng: varies the frames, and picks the visits of a large set.
        most_visits: a larger set is sampled down to so many.

    Raises:
        DatasetError: no such folder, or nothing in it.
    """
    gathered = Gathered()
    waiting: list[tuple[int, Path]] = []
    by_person: dict[str, list[Path]] = {}
    for person, file in labelled_pictures(dataset):
        by_person.setdefault(person, []).append(file)
    gathered.people = len(by_person)
    for number, files in enumerate(by_person.values()):
        templates = min(TEMPLATES, max(1, len(files) // 2))
        for file in files[:templates]:
            if still := _still(gathered, engine, number, file):
                gathered.stills.append(still)
        waiting += [(number, file) for file in files[templates:]]
    if len(waiting) > most_visits:
        chosen = sorted(rng.choice(len(waiting), most_visits, replace=False))
        waiting = [waiting[place] for place in chosen]
    for number, file in waiting:
        if (pixels := _picture(gathered, file)) is not None:
            frames = list(_frames(gathered, engine, pixels, rng))
            empty = np.empty((0, engine.dimension), dtype=np.float32)
            gathered.visits.append(Visit(number, np.stack(frames) if frames else empty))
    return gathered


def one_each(stills: Sequence[Still], rng: np.random.Generator) -> dict[int, Still]:
    """A template for every person, picked among theirs."""
    return {still.person: still for still in (stills[place] for place in rng.permutation(len(stills)))}


def _picture(gathered: Gathered, file: Path) -> Pixels | None:
    read = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if read is None:
        gathered.skipped.append(str(file))
        return None
    return sized(np.asarray(read, dtype=np.uint8))


def _still(gathered: Gathered, engine: FaceEngine, person: int, file: Path) -> Still | None:
    pixels = _picture(gathered, file)
    if pixels is None:
        return None
    faces = engine.detect(pixels, thorough=True)
    if not faces:
        gathered.missed += 1
        return None
    return Still(person, pixels, faces[0], engine.embed(pixels, faces[0]))


def _frames(
    gathered: Gathered, engine: FaceEngine, pixels: Pixels, rng: np.random.Generator
) -> Iterator[Vector]:
    for _ in range(FRAMES):
        frame = vary(pixels, rng, *FRAME_PX)
        faces = engine.detect(frame)
        reason = judge(frame, faces).reason if faces else "no_face"
        if reason:
            gathered.unusable[reason] = gathered.unusable.get(reason, 0) + 1
        else:
            yield engine.embed(frame, faces[0])
