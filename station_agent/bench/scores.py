"""Arithmetic on scores of strangers: what is recorded of a set, with its confidence, and how alike two sets of scores are.

Every pair of a frame and a template of two different people is one comparison. Comparisons that share a person are not
independent, so confidence comes from drawing people anew, never comparisons.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from station_agent.bench.visits import Visit
from station_agent.core.threshold import Bell, Recording
from station_agent.vision.engine import FaceEngine

RESAMPLES: Final = 200

Numbers = NDArray[np.float64]
Owners = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Frames of visits against templates.

    Attributes:
        values: shape (frames, templates).
        visit: number of the visit of each frame, rising.
        person: who each frame shows.
        owner: whose each template is.
    """

    values: Numbers
    visit: Owners
    person: Owners
    owner: Owners

    @property
    def strange(self) -> NDArray[np.bool_]:
        """Where frame and template are of different people."""
        return np.asarray(self.person[:, np.newaxis] != self.owner[np.newaxis], dtype=np.bool_)

    def of(self, people: Owners) -> "Scores":
        """Only frames and templates of these people."""
        frames, templates = np.isin(self.person, people), np.isin(self.owner, people)
        return Scores(
            self.values[np.ix_(frames, templates)],
            self.visit[frames],
            self.person[frames],
            self.owner[templates],
        )


def scores_of(
    engine: FaceEngine, visits: Sequence[Visit], vectors: NDArray[np.float32], owner: Owners
) -> Scores:
    """Compare all frames of the visits with templates.

    Args:
        engine: for its scale.
        visits: those without a usable frame do not appear.
        vectors: shape (templates, D).
        owner: shape (templates,).
    """
    frames = np.concatenate([visit.frames for visit in visits])
    counts = [len(visit.frames) for visit in visits]
    return Scores(
        on_scale(engine, frames @ vectors.T),
        np.repeat(np.arange(len(visits)), counts),
        np.repeat([visit.person for visit in visits], counts),
        owner,
    )


def on_scale(engine: FaceEngine, cosines: NDArray[np.float32]) -> Numbers:
    """Cosines to scores, by a table: an engine's scale is a rising function of one number."""
    grid = np.linspace(-1.0, 1.0, 200_001)
    table = np.array([engine.score(float(cosine)) for cosine in grid])
    return np.asarray(np.interp(cosines, grid, table), dtype=np.float64)


def record(scores: Scores, source: str, *, rng: np.random.Generator) -> Recording:
    """What a station needs to know of these strangers' scores.

    Args:
        scores: of at least three people.
        source: name of the set.
        rng: draws people anew.
    """
    strange = scores.strange
    people, sums = _by_pair(scores, strange)
    draws = [np.bincount(rng.integers(people, size=people), minlength=people) for _ in range(RESAMPLES)]
    bells = [_bell(sums, draw.astype(np.float64)) for draw in draws]
    return Recording(
        source=source,
        people=people,
        comparisons=int(strange.sum()),
        likeness=likeness(scores),
        template_likeness=template_likeness(scores),
        bell=_bell(sums, np.ones(people)) or _none(),
        resampled=tuple(bell for bell in bells if bell is not None),
    )


def likeness(scores: Scores) -> float:
    """Correlation of two frames of one visit, over all templates of other people."""
    return _alike(scores.values, scores.strange, scores.visit, otherwise=0.999)


def template_likeness(scores: Scores) -> float:
    """Correlation of two templates of one person, over all frames of other people."""
    return _alike(scores.values.T, scores.strange.T, scores.owner, otherwise=0.0)


def _alike(values: Numbers, strange: NDArray[np.bool_], group: Owners, *, otherwise: float) -> float:
    """Correlation of two rows of one group: 1 - variance within groups / in all. Groups share what is strange."""
    within, free = 0.0, 0
    for number in np.unique(group):
        chosen = group == number
        if chosen.sum() > 1:
            block = values[np.ix_(chosen, strange[chosen][0])]
            within += float(((block - block.mean(axis=0)) ** 2).sum())
            free += (len(block) - 1) * block.shape[1]
    total = float(values[strange].var())
    return float(np.clip(1 - within / free / total, 0.0, 0.999)) if free and total > 0 else otherwise


def best_of_visit(scores: Scores, agreeing: int) -> tuple[Numbers, Owners]:
    """For each visit the score that ``agreeing`` of its frames reach against each template.

    Returns:
        Shape (visits, templates), -1 where there are too few frames; and who visited, shape (visits,).
    """
    numbers = np.unique(scores.visit)
    reached = np.full((len(numbers), len(scores.owner)), -1.0)
    for row, number in enumerate(numbers):
        block = scores.values[scores.visit == number]
        if len(block) >= agreeing:
            reached[row] = np.partition(block, len(block) - agreeing, axis=0)[len(block) - agreeing]
    first = np.searchsorted(scores.visit, numbers)
    return reached, scores.person[first]


def distance(one: Numbers, other: Numbers) -> float:
    """Largest difference of the two distributions (Kolmogorov and Smirnov), 0 to 1."""
    one, other = np.sort(one), np.sort(other)
    grid = np.linspace(min(one[0], other[0]), max(one[-1], other[-1]), 2001)
    shares = [np.searchsorted(values, grid) / len(values) for values in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def tail_ratio(real: Numbers, other: Numbers, share: float) -> float:
    """How often ``other`` exceeds what only ``share`` of ``real`` exceeds, over ``share``."""
    return float((other > np.quantile(real, 1 - share)).mean() / share)


def confidence(values: Numbers, *, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the mean over people, by drawing people anew.

    Args:
        values: one a person.
        rng: draws.
    """
    means = rng.choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _by_pair(scores: Scores, strange: NDArray[np.bool_]) -> tuple[int, Numbers]:
    """Comparisons, sum of scores and of their squares by pair of people: shape (3, people, people)."""
    people, person = np.unique(np.concatenate([scores.person, scores.owner]), return_inverse=True)
    frames, templates = person[: len(scores.person)], person[len(scores.person) :]
    row, column = np.nonzero(strange)
    place = frames[row] * len(people) + templates[column]
    values = scores.values[strange]
    sums = [
        np.bincount(place, weights=weight, minlength=len(people) ** 2)
        for weight in (np.ones_like(values), values, values**2)
    ]
    return len(people), np.asarray(np.stack(sums).reshape(3, len(people), len(people)), dtype=np.float64)


def _bell(sums: Numbers, drawn: Numbers) -> Bell | None:
    """The distribution when each person counts as often as they were drawn; None when hardly anybody was."""
    count, total, squares = ((values * np.outer(drawn, drawn)).sum() for values in sums)
    if not count or not squares * count > total**2:
        return None
    mean = total / count
    return Bell(float(mean), math.sqrt(squares / count - mean**2))


def _none() -> Bell:
    raise ValueError("no two scores of strangers to fit a distribution on")
