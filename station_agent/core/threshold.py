"""The least score at which a face may open a door, from how many people are enrolled. PURE: no clock, file or numpy.

A stranger is compared with everybody enrolled, so the more people there are, the more often one of them looks alike.

Rules
  1. A stranger's visit opens the door falsely when it speaks for any of N people: 1 - (1 - F)^N, where F is the share of
     (visit, enrolled person) pairs in which the visit alone would speak for that person (safety.md F2).
  2. F follows from the share of single frames that reach the threshold, because several must agree and the frames of
     one visit resemble each other. They are neither independent nor equal: their likeness is measured, not assumed.
     The same holds for the templates of one person, of which the best counts.
  3. How many single frames reach a score is a normal distribution fitted on recorded scores of strangers. The highest
     scores wanted lie beyond all recorded ones, so the threshold takes the pessimistic end of the fit's confidence, on
     the worst set. Held against people it was not fitted on, it did better than any tail model (docs/adr/0018).
  4. Never below ``Impostors.floor``: there the recording is dense enough to need no model.
  5. More people than ``Impostors.largest`` are refused: no figure of ours covers them.

``docs/face-entry.md`` has the measured curve; ``station_agent.bench.identification`` records and checks it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final

LARGEST_VALIDATED_N: Final = 5000
"""Most people in one gallery under any engine: the largest for which a prediction was compared with a measurement."""

CLOSED: Final = 2.0
"""No score of any engine reaches it: the threshold of a door that opens for no face."""

CONFIDENCE: Final = 0.95
"""One-sided, over resampled people."""

TRIES: Final = 3
"""Tries of one visit the target has to cover: after a denial a further one begins while the person stays."""

_NORMAL: Final = NormalDist()
_STEPS: Final = 160
_REACH: Final = 8.5
"""Standard deviations integrated over; the rest weighs less than 1e-16."""

_HALVINGS: Final = 34
_LEAST_SHARE: Final = 1e-12


class GalleryTooLargeError(ValueError):
    """More people than any measurement covers."""

    def __init__(self, people: int, largest: int) -> None:
        super().__init__(
            f"{people} people in one gallery; entry by face is validated up to {largest}: "
            "enrol fewer, or give this station's shifts galleries of their own"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """How frames make a decision.

    Attributes:
        agreeing: frames of one try that must speak for the same person.
        judged: frames of one try.
        tries: tries of one visit.
    """

    agreeing: int
    judged: int
    tries: int = TRIES

    def __post_init__(self) -> None:
        """Refuse what cannot be decided.

        Raises:
            ValueError: not 1 <= agreeing <= judged, or no try.
        """
        if not (1 <= self.agreeing <= self.judged and self.tries >= 1):
            raise ValueError(f"{self.agreeing} of {self.judged} frames in {self.tries} tries decide nothing")


@dataclass(frozen=True, slots=True)
class Bell:
    """A normal distribution of scores.

    Attributes:
        mean: on the engine's scale.
        deviation: standard deviation, on the same.
    """

    mean: float
    deviation: float

    def exceeded(self, score: float) -> float:
        """Share of comparisons that reach the score, exact far out too."""
        return _beyond((score - self.mean) / self.deviation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What strangers scored in one set of pictures.

    Attributes:
        source: name of the set.
        people: different people in it.
        comparisons: of single frames with single templates of other people.
        likeness: correlation of the scores of two frames of one visit with the same template, 0 to 1.
        template_likeness: correlation of the scores of one frame with two templates of the same person, 0 to 1.
        bell: fitted on all of it.
        resampled: fitted on people drawn anew, with replacement.
    """

    source: str
    people: int
    comparisons: int
    likeness: float
    template_likeness: float
    bell: Bell
    resampled: Sequence[Bell]

    def exceeded(self, score: float, *, confidence: float | None = None) -> float:
        """Share of single frames of strangers that reach the score; its upper bound when a confidence is given."""
        if confidence is None:
            return self.bell.exceeded(score)
        shares = sorted(bell.exceeded(score) for bell in (self.bell, *self.resampled))
        return shares[math.ceil(confidence * len(shares)) - 1]

    def of_a_visit(self, share: float, frames: Frames, templates: int) -> float:
        """From the share of single comparisons to that of visits, against one enrolled person (rule 2)."""
        of_a_frame = repeated(share, self.template_likeness, Frames(agreeing=1, judged=templates, tries=1))
        return repeated(of_a_frame, self.likeness, frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impostors:
    """What is recorded of strangers' scores under one engine.

    Attributes:
        engine: its name.
        digest: SHA-256 of the weights.
        floor: least threshold, on the engine's scale.
        recordings: at least one; the worst decides.
        largest: most people in one gallery.
    """

    engine: str
    digest: str
    floor: float
    recordings: Sequence[Recording]
    largest: int = LARGEST_VALIDATED_N

    def predicted_fpir(
        self, n: int, threshold: float, frames: Frames, *, templates: int = 1, confidence: float | None = None
    ) -> float:
        """Share of strangers' visits that would open the door.

        Args:
            n: people enrolled.
            threshold: least score of a match.
            frames: how frames decide.
            templates: of each person.
            confidence: for the upper bound at this confidence; without it the best estimate, of the worst set.
        """
        of_one = (
            recording.of_a_visit(recording.exceeded(threshold, confidence=confidence), frames, templates)
            for recording in self.recordings
        )
        return of_a_gallery(max(of_one, default=1.0), n)

    def threshold(
        self,
        n: int,
        fpir: float,
        frames: Frames,
        *,
        templates: int = 1,
        confidence: float | None = CONFIDENCE,
    ) -> float:
        """The least score at which a frame may speak for somebody: T(N).

        Args:
            n: people enrolled; nobody counts as one.
            fpir: share of strangers' visits that may open the door, 0 to 1.
            frames: how frames decide.
            templates: of each person, on average, rounded up.
            confidence: None for the best estimate, which is for measurements and not for doors.

        Raises:
            GalleryTooLargeError: above ``largest``.
            ValueError: a number makes no sense.
        """
        if n > self.largest:
            raise GalleryTooLargeError(n, self.largest)
        if n < 0 or templates < 1 or not 0 < fpir < 1:
            raise ValueError(f"no threshold for {n} people with {templates} templates at a rate of {fpir}")
        if not self.recordings:
            return CLOSED
        of_one = -math.expm1(math.log1p(-fpir) / max(1, n))
        least = [
            _least_score(recording, _few_enough(recording, of_one, frames, templates), confidence)
            for recording in self.recordings
        ]
        return max(self.floor, *least)


def of_a_gallery(of_one: float, n: int) -> float:
    """From one enrolled person to ``n`` (rule 1)."""
    return 1.0 if of_one >= 1 else -math.expm1(n * math.log1p(-of_one))


@lru_cache(maxsize=4096)
def repeated(share: float, likeness: float, frames: Frames) -> float:
    """From one comparison to several that resemble each other (rule 2).

    A score is thought of as the sum of what all of them share and of what is its own, both normal, with the recorded
    correlation. No model at all gives the bound ``tries * judged / agreeing`` times ``share``, by Markov's inequality.
    """
    if share <= 0 or share >= 1:
        return min(1.0, max(0.0, share))
    limit = -_NORMAL.inv_cdf(share)
    shared, own = math.sqrt(likeness), math.sqrt(1.0 - likeness)

    def opened(z: float) -> float:
        reached = _beyond((limit - shared * z) / own) if own else float(z >= limit)
        a_try = _at_least(frames.agreeing, frames.judged, reached)
        return -math.expm1(frames.tries * math.log1p(-a_try)) if a_try < 1 else 1.0

    step = 2 * _REACH / _STEPS
    grid = (-_REACH + (number + 0.5) * step for number in range(_STEPS))
    modelled = sum(_NORMAL.pdf(z) * opened(z) for z in grid) * step
    return min(modelled, frames.tries * frames.judged / frames.agreeing * share, 1.0)


def _few_enough(recording: Recording, of_one: float, frames: Frames, templates: int) -> float:
    """The largest share of single comparisons at which visits still keep to ``of_one``."""
    return math.exp(
        _highest(
            lambda power: recording.of_a_visit(math.exp(power), frames, templates) <= of_one,
            math.log(_LEAST_SHARE),
            0.0,
        )
    )


def _least_score(recording: Recording, share: float, confidence: float | None) -> float:
    """The least score that so few comparisons reach."""
    return -_highest(
        lambda negative: recording.exceeded(-negative, confidence=confidence) <= share,
        -CLOSED,
        -recording.bell.mean,
    )


def _highest(fits: Callable[[float], bool], low: float, high: float) -> float:
    """The highest value that fits, where ``low`` does and everything below one that fits does too."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _beyond(deviations: float) -> float:
    """Share of a normal distribution above its mean by so many standard deviations."""
    return 0.5 * math.erfc(deviations / math.sqrt(2.0))


def _at_least(k: int, m: int, share: float) -> float:
    """Probability of at least ``k`` of ``m`` independent trials."""
    rest = 1.0 - share
    return min(1.0, sum(math.comb(m, hits) * share**hits * rest ** (m - hits) for hits in range(k, m + 1)))
