"""The enrolled people's vectors in one matrix, and the search for the nearest. Immutable: a change makes a new gallery.

So the vision thread can be given another gallery at any moment by a single assignment, and never searches half of one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station_agent.vision.engine import FaceEngine, Vector

_UNIT_TOLERANCE: Final = 1e-3
"""A vector off the unit length by more than this was not made by an engine; float32 rounding is 1e-6."""


@dataclass(frozen=True, slots=True)
class Match:
    """The nearest enrolled person.

    Attributes:
        score: on the engine's scale, larger is closer.
        margin: distance over the next *other* person's score; ``inf`` when only one person is enrolled.
    """

    person: str
    score: float
    margin: float


class Gallery:
    """Rows of unit length, grouped by person.

    Attributes:
        faces: shape (N, D), float32, read-only.
        people: owners in the order of their first row.
    """

    def __init__(
        self,
        dimension: int,
        rows: Iterable[tuple[str, NDArray[np.float32]]] = (),
        *,
        score: Callable[[float], float] = float,
    ) -> None:
        """Build from each person's rows.

        Args:
            dimension: D.
            rows: person and their vectors, shape (K, D), K >= 1, unit length; a person comes once.
            score: cosine to score, rising (``FaceEngine.score``).

        Raises:
            ValueError: shapes disagree, a vector is not of unit length, or a person comes twice.
        """
        blocks = [(person, check_faces(faces, dimension, whose=person)) for person, faces in rows]
        self.dimension = dimension
        self.people: Sequence[str] = tuple(person for person, _ in blocks)
        if len(set(self.people)) != len(self.people):
            raise ValueError("a person comes twice; give all rows of a person at once")
        self.faces = np.concatenate([np.empty((0, dimension), np.float32), *(faces for _, faces in blocks)])
        self.faces.flags.writeable = False
        self._starts = np.cumsum([0, *(len(faces) for _, faces in blocks)])
        self._score = score

    def __len__(self) -> int:
        return len(self.faces)

    def nearest(self, probe: Vector) -> Match | None:
        """The nearest person; None when nobody is enrolled.

        Args:
            probe: shape (D,), unit length, from the same engine and weights as the rows.

        Raises:
            ValueError: the shape is another, or the vector is not of unit length.
        """
        check_faces(
            probe[np.newaxis] if probe.ndim == 1 else probe, self.dimension, whose="the probe", most=1
        )
        if not self.people:
            return None
        cosines = self.faces @ probe.reshape(-1)
        best = int(cosines.argmax())
        owner = int(np.searchsorted(self._starts, best, side="right")) - 1
        score = self._score(float(cosines[best]))
        # a person's rows lie together: everybody else is what lies before and after them
        others = [
            part.max()
            for part in (cosines[: self._starts[owner]], cosines[self._starts[owner + 1] :])
            if part.size
        ]
        margin = score - self._score(float(max(others))) if others else float("inf")
        return Match(self.people[owner], score, margin)

    def of(self, person: str) -> NDArray[np.float32]:
        """A person's rows, shape (K, D).

        Raises:
            KeyError: not enrolled.
        """
        if person not in self.people:
            raise KeyError(person)
        number = self.people.index(person)
        return self.faces[self._starts[number] : self._starts[number + 1]]

    def with_person(self, person: str, faces: NDArray[np.float32]) -> "Gallery":
        """A gallery in which the person has these rows and no others.

        Raises:
            ValueError: as for the constructor.
        """
        return self._rebuilt([*self._all_but(person), (person, faces)])

    def without(self, person: str) -> "Gallery":
        """A gallery without the person; the same when they are not in it."""
        return self._rebuilt(self._all_but(person))

    def _all_but(self, person: str) -> list[tuple[str, NDArray[np.float32]]]:
        return [(other, self.of(other)) for other in self.people if other != person]

    def _rebuilt(self, rows: list[tuple[str, NDArray[np.float32]]]) -> "Gallery":
        return Gallery(self.dimension, rows, score=self._score)


def gallery_for(engine: FaceEngine, rows: Iterable[tuple[str, NDArray[np.float32]]] = ()) -> Gallery:
    """A gallery of vectors that this engine made."""
    return Gallery(engine.dimension, rows, score=engine.score)


def check_faces(
    faces: NDArray[np.float32], dimension: int, *, whose: str, most: int | None = None
) -> NDArray[np.float32]:
    """Refuse what is not a block of vectors: shape (K, D), K >= 1, unit length.

    Raises:
        ValueError: naming whose they are and what is wrong.
    """
    shape = faces.shape
    if len(shape) != 2 or not shape[0] or shape[1] != dimension or (most is not None and shape[0] > most):  # noqa: PLR2004 (rows and columns)
        raise ValueError(f"{whose}: vectors of shape {shape} where (K, {dimension}) is expected")
    lengths = np.linalg.norm(faces, axis=1)
    if not np.all(np.abs(lengths - 1.0) <= _UNIT_TOLERANCE):
        raise ValueError(
            f"{whose}: a vector of length {lengths[int(np.abs(lengths - 1.0).argmax())]:.4f}, not of unit length"
        )
    return faces
