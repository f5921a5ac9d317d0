"""Whom several frames of one person show: the questions that enrolment and withdrawal ask of a gallery."""

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station_agent.vision.gallery import Gallery

TOLD_TWICE: Final = 2
"""Frames in which somebody else must be recognised before a capture counts as theirs. Fewer than the door asks for: there
one frame too many lets a stranger in, here one too few gives a person two identities."""


def recognised(
    gallery: Gallery, vectors: NDArray[np.float32], *, threshold: float, margin: float
) -> str | None:
    """The one person that every frame shows; None when there is none.

    Args:
        gallery: to search in.
        vectors: shape (K, D), unit-length rows, all of one face.
        threshold: least score.
        margin: least distance of the best person over the next.
    """
    people: set[str] = set()
    for vector in vectors:
        match = gallery.nearest(vector)
        if match is None or not (match.score >= threshold and match.margin >= margin):
            return None
        people.add(match.person)
    return people.pop() if len(people) == 1 else None


def shows_another(gallery: Gallery, person: str, vectors: NDArray[np.float32], *, threshold: float) -> bool:
    """Whether frames that are to be enrolled as one person show somebody enrolled under another id.

    Args:
        gallery: to search in; the person's own rows do not count.
        person: whose they are to be.
        vectors: shape (K, D), unit-length rows, all of one face.
        threshold: least score.
    """
    others = gallery.without(person)
    matches = [match for vector in vectors if (match := others.nearest(vector)) is not None]
    votes = Counter(match.person for match in matches if match.score >= threshold)
    return any(count >= min(TOLD_TWICE, len(vectors)) for count in votes.values())
