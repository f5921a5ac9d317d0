"""People who do not exist, to fill a gallery: the upper third of one face, the middle of a second, the lower of a third.

They stand in for enrolled people when a stranger's visit is measured, never for the stranger, and never where the
stranger lent a part. How close their scores come to those of real people is measured each time and reported.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from station_agent.bench.visits import Still
from station_agent.vision.engine import Face, FaceEngine, Vector

SIDE_PX: Final = 192
PARTS: Final = 3

_LAYOUT: Final = np.array(
    [[78.3, 91.7], [113.5, 91.5], [96.0, 111.7], [81.5, 132.4], [110.7, 132.2]], dtype=np.float32
)
"""Where the landmarks come to lie: those of the 112 px square SFace aligns to, with a border of 40 px."""

_FACE: Final = (slice(70, 160), slice(65, 128))
"""Rows and columns that surely are face, to match light and colour by."""

_BOX: Final = (60.0, 50.0, 72.0, 104.0)
_SOFTNESS_PX: Final = 4.0

Picture = NDArray[np.float32]


class Composite(NamedTuple):
    """Somebody made of several people.

    Attributes:
        parents: numbers of the people in it.
        vector: shape (D,).
    """

    parents: tuple[int, ...]
    vector: Vector


def compose(
    engine: FaceEngine, stills: Sequence[Still], count: int, *, rng: np.random.Generator
) -> Iterator[Composite]:
    """Make people.

    Args:
        engine: describes them.
        stills: of at least ``PARTS`` people.
        count: how many.
        rng: picks who is put together.

    Raises:
        ValueError: too few people.
    """
    by_person: dict[int, list[Picture]] = {}
    for still in stills:
        by_person.setdefault(still.person, []).append(_aligned(still))
    people = sorted(by_person)
    if len(people) < PARTS:
        raise ValueError(f"{len(people)} people; {PARTS} are needed to make another")
    face = Face(box=_BOX, landmarks=_LAYOUT, score=1.0)
    for _ in range(count):
        parents = tuple(int(person) for person in rng.choice(people, PARTS, replace=False))
        pictures = [by_person[parent][rng.integers(len(by_person[parent]))] for parent in parents]
        mixed = np.clip(_mixed(pictures), 0, 255).astype(np.uint8)
        yield Composite(parents, engine.embed(mixed, face))


def _aligned(still: Still) -> Picture:
    """The face brought to the common layout, stretched as its features ask, so that parts of several fit together."""
    landmarks = still.face.landmarks
    known = ~np.isnan(landmarks).any(axis=1)
    if known.sum() == len(landmarks):
        points = np.column_stack([landmarks, np.ones(len(landmarks))])
        place = np.linalg.lstsq(points, _LAYOUT, rcond=None)[0].T
    else:  # dlib finds no mouth, and three points may lie almost in a line: turn and scale only
        place, _ = cv2.estimateAffinePartial2D(landmarks[known], _LAYOUT[known])
    laid = cv2.warpAffine(
        still.pixels, place.astype(np.float32), (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(laid, dtype=np.float32)


def _mixed(pictures: Sequence[Picture]) -> Picture:
    """Upper, middle and lower part, softly joined below the eyes and below the nose, lit as the first."""
    light = pictures[0][_FACE].mean(axis=(0, 1))
    upper, middle, lower = (picture + light - picture[_FACE].mean(axis=(0, 1)) for picture in pictures)
    below_eyes, below_nose = (_below(row) for row in ((91.6 + 111.7) / 2 - 4, (111.7 + 132.3) / 2))
    return np.asarray(
        upper * (1 - below_eyes) + middle * below_eyes * (1 - below_nose) + lower * below_eyes * below_nose,
        dtype=np.float32,
    )


def _below(row: float) -> Picture:
    """0 above the row, 1 below it, shape (SIDE_PX, 1, 1)."""
    rows = np.arange(SIDE_PX, dtype=np.float32)
    share = 1.0 / (1.0 + np.exp(-(rows - row) / _SOFTNESS_PX))
    return np.asarray(share[:, np.newaxis, np.newaxis], dtype=np.float32)
