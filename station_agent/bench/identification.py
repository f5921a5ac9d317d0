"""Measures identification: how often a stranger's visit opens a door for somebody enrolled, and an enrolled one's does not.

Galleries of each size are filled with the set's people, one template each, and beyond them with composites
(``bench.composites``). The people are split in ``FOLDS``. The visits of each part are held against the prediction of a
model fitted on the scores of all the others among themselves: it saw neither these strangers nor a pair they are in.
Intervals come from drawing people anew.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from station_agent.bench import scores as bench_scores
from station_agent.bench.composites import PARTS, Composite, compose
from station_agent.bench.faces import ENGINES, DatasetError
from station_agent.bench.scores import (
    Numbers,
    Owners,
    Scores,
    best_of_visit,
    likeness,
    scores_of,
    template_likeness,
)
from station_agent.bench.visits import FRAMES, MOST_VISITS, TEMPLATES, Gathered, Still, gather, one_each
from station_agent.core.threshold import Bell, Frames, GalleryTooLargeError, Impostors, repeated
from station_agent.vision.engine import FaceEngine
from station_agent.vision.impostors import UnrecordedError, load

SIZES: Final = (50, 200, 1000, 5000)
SEED: Final = 1

RULES: Final = Frames(agreeing=3, judged=FRAMES, tries=1)
"""A measured visit is one try under a station's default rules."""

STATION_RULES: Final = Frames(agreeing=3, judged=FRAMES)
STATION_FPIR: Final = 1e-3
MARGIN: Final = 0.06
"""What a station goes by unless configured otherwise (``firmware_config.station.FaceEntry``)."""

TARGETS: Final = (1e-1, 1e-2, 1e-3)
"""Rates of false entries a fitted model is asked a threshold for, to hold the measured rate against."""

GALLERIES: Final = 20
"""Drawn for each size."""

FOLDS: Final = 5
LEAST_PEOPLE: Final = 6
"""Four to fit a model on besides the part that is held against it."""

RECORDED_SHARES: Final = ("1e-1", "1e-2", "1e-3", "1e-4")


def run(
    dataset: Path,
    engine_name: str,
    sizes: Sequence[int] = SIZES,
    seed: int = SEED,
    *,
    visits: int = MOST_VISITS,
    record_to: Path | None = None,
) -> dict[str, Any]:
    """Measure identification.

    Args:
        dataset: one folder per person, pictures in it; two or more pictures each make visits.
        engine_name: a key of ``bench.faces.ENGINES``.
        sizes: people enrolled; none measures nothing but what ``record_to`` gets.
        seed: of the frames, the composites and all draws.
        visits: a larger set is sampled down to so many.
        record_to: where to write what ``vision/impostors`` keeps of a set.

    Returns:
        The document of ``station-agent bench identify --json``.

    Raises:
        DatasetError: no such folder, or too few people with two pictures.
        ModelError: the engine's models are not there.
        OSError: the record cannot be written.
    """
    rng = np.random.default_rng(seed)
    engine = ENGINES[engine_name]()
    gathered = gather(dataset, engine, rng=rng, most_visits=visits)
    if record_to is not None:
        document = recorded(engine, gathered, source=dataset.name, seed=seed, rng=rng)
        record_to.write_text(json.dumps(document, indent=None) + "\n", encoding="utf-8")
    return evaluate(engine, gathered, source=dataset.name, sizes=sizes, seed=seed, rng=rng)


def recorded(
    engine: FaceEngine, gathered: Gathered, *, source: str, seed: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Strangers' scores of a set, as the files in ``vision/impostors`` hold them. Draws people anew from ``rng``."""
    scores = _against_people(engine, gathered, source)
    found = bench_scores.record(scores, source, rng=rng)
    strange = scores.values[scores.strange]
    return {
        "engine": engine.name,
        "digest": engine.digest,
        "source": source,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "seed": seed,
        "people": found.people,
        "visits": len(gathered.visits),
        "comparisons": found.comparisons,
        "likeness": round(found.likeness, 4),
        "template_likeness": round(found.template_likeness, 4),
        "quantiles": {
            share: round(float(np.quantile(strange, 1 - float(share))), 4) for share in RECORDED_SHARES
        },
        "bell": _row(found.bell),
        "resampled": [_row(bell) for bell in found.resampled],
    }


def evaluate(
    engine: FaceEngine,
    gathered: Gathered,
    *,
    source: str,
    sizes: Sequence[int],
    seed: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """The document of ``run`` for what was gathered."""
    people = _against_people(engine, gathered, source)
    enrolled = one_each(gathered.stills, rng)
    short = max(0, max(sizes, default=0) - len(enrolled) + 1)
    spare = math.ceil(short / (1 - PARTS / len(enrolled))) + PARTS if short else 0
    composites = list(compose(engine, gathered.stills, spare, rng=rng))
    gallery = _Gallery(enrolled, composites)
    scores = scores_of(engine, gathered.visits, gallery.vectors, gallery.owner)
    parts = _parts(people, rng)
    models = [_model_of(people.of(np.setdiff1d(people.person, part)), rng) for part in parts]
    shipped = _shipped(engine)
    field = _Field(gallery, *best_of_visit(scores, RULES.agreeing), people, parts)
    return {
        "engine": engine.name,
        "digest": engine.digest,
        "source": source,
        "seed": seed,
        "people": gathered.people,
        "visits": len(gathered.visits),
        "missed": gathered.missed,
        "unusable": gathered.unusable,
        "skipped": gathered.skipped,
        "frames_of_a_visit": _frames_of_a_visit(people),
        "composites": _composites(people, scores, gallery) if composites else None,
        "sizes": [_size(field, n, models, shipped, rng) for n in sizes],
    }


class _Gallery:
    """One template a person, then the composites.

    Attributes:
        people: numbers of the people, by column.
        vectors: shape (people and composites, D).
        owner: number of the person; below zero for a composite.
        parents: shape (people and composites, ``PARTS``): who is in it.
    """

    def __init__(self, enrolled: Mapping[int, Still], composites: Sequence[Composite]) -> None:
        self.people = np.array(sorted(enrolled))
        stills = [enrolled[person] for person in self.people]
        self.vectors = np.stack([*(still.vector for still in stills), *(made.vector for made in composites)])
        self.owner = np.concatenate([self.people, -1 - np.arange(len(composites))])
        themselves = np.repeat(self.people[:, np.newaxis], PARTS, axis=1)
        made = np.array([made.parents for made in composites], dtype=np.int64).reshape(-1, PARTS)
        self.parents = np.concatenate([themselves, made])

    def others(self, person: int, n: int, order: Owners) -> Owners:
        """Columns of a gallery of ``n`` in which nobody is the person: people first, composites in this order."""
        strange = ~(self.parents == person).any(axis=1)
        people, made = order[order < len(self.people)], order[order >= len(self.people)]
        return np.concatenate([people[strange[people]], made[strange[made]]])[:n]


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """What galleries are drawn from.

    Attributes:
        reached: what enough frames of a visit reach, shape (visits, columns of the gallery).
        visitor: who visited, shape (visits,).
        scores: of all frames against all templates of real people.
        parts: of the people, one for each fold.
    """

    gallery: _Gallery
    reached: Numbers
    visitor: Owners
    scores: Scores
    parts: Sequence[Owners]

    def strangers(self, n: int, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
        """Best and second-best score of each visit in galleries of ``n`` others: shape (visits, galleries) each."""
        best = np.full((len(self.visitor), GALLERIES), -1.0)
        second = best.copy()
        for draw in range(GALLERIES):
            order = rng.permutation(len(self.gallery.owner))
            for person in np.unique(self.visitor):
                rows = np.flatnonzero(self.visitor == person)
                columns = self.gallery.others(int(person), n, order)
                block = self.reached[np.ix_(rows, columns)]
                best[rows, draw] = block.max(axis=1)
                if len(columns) > 1:
                    second[rows, draw] = np.partition(block, -2, axis=1)[:, -2]
        return best, second

    def own(self) -> Numbers:
        """What each visit reaches against the visitor's one template in the gallery."""
        column = np.searchsorted(self.gallery.people, self.visitor)
        return np.asarray(self.reached[np.arange(len(self.visitor)), column])

    def own_of_all(self) -> Numbers:
        """What each visit reaches against all of the visitor's templates."""
        reached, visitor = best_of_visit(self.scores, RULES.agreeing)
        mine = visitor[:, np.newaxis] == self.scores.owner[np.newaxis]
        return np.asarray(np.where(mine, reached, -1.0).max(axis=1), dtype=np.float64)


def _model_of(scores: Scores, rng: np.random.Generator) -> Impostors:
    recording = bench_scores.record(scores, "all but one part", rng=rng)
    return Impostors(engine="", digest="", floor=-1.0, recordings=(recording,))


def _size(
    field: _Field, n: int, models: Sequence[Impostors], shipped: Impostors | None, rng: np.random.Generator
) -> dict[str, Any]:
    best, second = field.strangers(n, rng)
    real = min(n, len(field.gallery.people) - 1)
    return {
        "n": n,
        "real": real,
        "composites": n - real,
        "model": [
            _against_model(field, n, best, models=models, target=target, rng=rng) for target in TARGETS
        ],
        "station": _at_station(field, n, best, second, shipped=shipped, rng=rng) if shipped else None,
    }


def _against_model(
    field: _Field,
    n: int,
    best: Numbers,
    *,
    models: Sequence[Impostors],
    target: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Each part's visits against the threshold at which the model of all others predicts the target."""
    opened = np.zeros(best.shape)
    thresholds = []
    for model, part in zip(models, field.parts, strict=True):
        threshold = model.threshold(n, target, RULES, confidence=None)
        rows = np.isin(field.visitor, part)
        opened[rows] = best[rows] >= threshold
        thresholds.append(round(threshold, 4))
    fpir, low, high = _rate(opened, field.visitor, rng)
    return {
        "predicted": target,
        "fpir": fpir,
        "low": low,
        "high": high,
        "ratio": round(fpir / target, 3),
        "thresholds": thresholds,
    }


def _at_station(
    field: _Field, n: int, best: Numbers, second: Numbers, *, shipped: Impostors, rng: np.random.Generator
) -> dict[str, Any]:
    """What a station would do: its own recordings, with their confidence."""
    try:
        threshold = shipped.threshold(n, STATION_FPIR, STATION_RULES)
        several = shipped.threshold(n, STATION_FPIR, STATION_RULES, templates=TEMPLATES)
    except GalleryTooLargeError as error:
        return {"refused": str(error)}
    own = field.own()[:, np.newaxis]
    fpir = _rate(best >= threshold, field.visitor, rng)
    with_margin = _rate((best >= threshold) & (best - second >= MARGIN), field.visitor, rng)
    missed = _rate((own < threshold) | (own - best < MARGIN), field.visitor, rng)
    missed_several = _rate(field.own_of_all()[:, np.newaxis] < several, field.visitor, rng)
    return {
        "threshold": round(threshold, 4),
        "predicted": float(f"{shipped.predicted_fpir(n, threshold, RULES):.3g}"),
        **dict(zip(("fpir", "fpir_low", "fpir_high"), fpir, strict=True)),
        "fpir_with_margin": with_margin[0],
        **dict(zip(("fnir", "fnir_low", "fnir_high"), missed, strict=True)),
        "threshold_several": round(several, 4),
        **dict(zip(("fnir_several", "fnir_several_low", "fnir_several_high"), missed_several, strict=True)),
    }


def _rate(happened: NDArray[Any], visitor: Owners, rng: np.random.Generator) -> tuple[float, float, float]:
    """Share of visits, with its 95 % interval; each person weighs the same."""
    of_person = np.array([happened[visitor == person].mean() for person in np.unique(visitor)])
    low, high = bench_scores.confidence(of_person, rng=rng)
    return round(float(of_person.mean()), 6), round(low, 6), round(high, 6)


def _frames_of_a_visit(scores: Scores) -> dict[str, Any]:
    """How much agreeing frames lower the share of false matches, where one frame in a hundred is one."""
    strange = scores.values[scores.strange]
    least = float(np.quantile(strange, 0.99))
    reached, visitor = best_of_visit(scores, RULES.agreeing)
    others = visitor[:, np.newaxis] != scores.owner[np.newaxis]
    found = likeness(scores)
    return {
        "likeness": round(found, 4),
        "template_likeness": round(template_likeness(scores), 4),
        "of_one_frame": 0.01,
        "of_a_visit": round(float((reached[others] >= least).mean()), 5),
        "modelled": round(repeated(0.01, found, RULES), 5),
    }


def _composites(people: Scores, scores: Scores, gallery: _Gallery) -> dict[str, Any]:
    """How far composites score like real people against strangers."""
    real = people.values[people.strange]
    made = gallery.owner < 0
    apart = ~(scores.person[:, np.newaxis, np.newaxis] == gallery.parents[made][np.newaxis]).any(axis=2)
    composed = scores.values[:, made][apart]
    return {
        "made": int(made.sum()),
        "distance": round(bench_scores.distance(real, composed), 4),
        "tail_ratio": {
            share: round(bench_scores.tail_ratio(real, composed, float(share)), 3)
            for share in RECORDED_SHARES
        },
    }


def _against_people(engine: FaceEngine, gathered: Gathered, source: str) -> Scores:
    """All frames against all templates of real people."""
    seen = {visit.person for visit in gathered.visits if len(visit.frames)}
    if len(seen & {still.person for still in gathered.stills}) < LEAST_PEOPLE:
        raise DatasetError(
            f"{source}: {len(seen)} people with a usable visit; needed are {LEAST_PEOPLE}, "
            "each with two pictures or more"
        )
    vectors = np.stack([still.vector for still in gathered.stills])
    owner = np.array([still.person for still in gathered.stills])
    return scores_of(engine, gathered.visits, vectors, owner)


def _parts(scores: Scores, rng: np.random.Generator) -> Sequence[Owners]:
    return np.array_split(rng.permutation(np.unique(scores.person)), FOLDS)


def _shipped(engine: FaceEngine) -> Impostors | None:
    try:
        return load(engine.name, engine.digest)
    except UnrecordedError:
        return None


def _row(bell: Bell) -> list[float]:
    return [round(bell.mean, 6), round(bell.deviation, 6)]


def format_table(report: Mapping[str, Any]) -> str:
    """One measurement as a table for people."""
    lines = [
        f"{report['engine']} on {report['source']}, seed {report['seed']}",
        f"people: {report['people']}, visits: {report['visits']}",
        f"frames of a visit: {report['frames_of_a_visit']}",
        f"composites: {report['composites']}",
    ]
    for size in report["sizes"]:
        lines.append(f"N = {size['n']} ({size['real']} real people, {size['composites']} composites)")
        lines += [
            f"  predicted {row['predicted']:.0e}: measured {row['fpir']:.2e} [{row['low']:.2e}, {row['high']:.2e}], "
            f"ratio {row['ratio']}, T {row['thresholds']}"
            for row in size["model"]
        ]
        lines.append(f"  station: {size['station']}")
    return "\n".join(lines)
