"""Measures a face engine on a folder of pictures: who is told apart, how many faces are missed, how long it takes.

Every pair of pictures is compared once: two of one person make a genuine pair, two of different people an impostor pair.
A threshold is set so that at most the named share of impostor pairs reaches it; TAR is the share of genuine pairs above.
A share smaller than one pair, for example 1e-4 of 4,500, allows none; such a figure says no more than the pairs can.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from station_agent.errors import AgentError
from station_agent.vision.camera_replay import PICTURES
from station_agent.vision.dlib_engine import DlibEngine
from station_agent.vision.engine import FaceEngine, Vector
from station_agent.vision.frame import Pixels
from station_agent.vision.gallery import gallery_for
from station_agent.vision.models import dlib_models, opencv_models
from station_agent.vision.opencv_engine import OpenCvEngine

ENGINES: Final[Mapping[str, Callable[[], FaceEngine]]] = {
    "opencv": lambda: OpenCvEngine(opencv_models(None)),
    "face-recognition": lambda: DlibEngine(dlib_models()),
}
"""By the name configuration and the command line use."""

FMRS: Final = ("1e-2", "1e-3", "1e-4")
"""Shares of impostor pairs that are let through."""

SHORTER_SIDE_PX: Final = 250
"""A smaller picture is enlarged by the least whole factor that reaches this: detectors expect a camera's scale."""

LONGEST_PX: Final = 1280
"""A larger picture is reduced to it, the largest frame a station takes by default."""


class DatasetError(AgentError, ValueError):
    """There is nothing to measure; the message names the folder and says what is expected in it."""


@dataclass
class _Run:
    """What one pass over the pictures gathers."""

    owners: list[str] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)
    missed: int = 0
    skipped: list[str] = field(default_factory=list)
    detect_ms: list[float] = field(default_factory=list)
    embed_ms: list[float] = field(default_factory=list)


def run(dataset: Path, engine_name: str) -> dict[str, Any]:
    """Measure an engine.

    Args:
        dataset: one folder per person, pictures in it.
        engine_name: a key of ``ENGINES``.

    Returns:
        The document of ``station-agent bench faces --json``; ``skipped`` names files that are not pictures.

    Raises:
        DatasetError: no such folder, or fewer than two people, or nobody with two usable pictures.
        ModelError: the engine's models are not there.
        KeyError: no such engine.
    """
    people = labelled_pictures(dataset)
    engine = ENGINES[engine_name]()
    gathered = _Run()
    for person, file in people:
        _take(gathered, engine, person, file)
    genuine, impostor = _cosines(gathered)
    if not len(genuine) or not len(impostor):
        raise DatasetError(
            f"{dataset}: {len(gathered.vectors)} faces found in {len(people)} files; needed are two people, "
            "and two pictures of one of them"
        )
    thresholds = {fmr: _threshold(impostor, float(fmr)) for fmr in FMRS}
    return {
        "engine": engine.name,
        "digest": engine.digest,
        "images": len(people) - len(gathered.skipped),
        "people": len({person for person, _ in people}),
        "missed": gathered.missed,
        "genuine": len(genuine),
        "impostor": len(impostor),
        "tar": {fmr: round(float((genuine > least).mean()), 4) for fmr, least in thresholds.items()},
        "threshold": {fmr: round(engine.score(least), 4) for fmr, least in thresholds.items()},
        "detect_ms": _spread(gathered.detect_ms),
        "embed_ms": _spread(gathered.embed_ms),
        "search_ms": _spread(_search_ms(gathered, engine)),
        "skipped": gathered.skipped,
    }


def format_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Several measurements as a table for people, one line each."""
    head = ("engine", "images", "people", "missed", "genuine", "impostor")
    times = ("detect_ms", "embed_ms", "search_ms")
    rows = [(*head, *(f"TAR@{fmr}" for fmr in FMRS), *(f"{name} p50/p95" for name in times))]
    rows += [
        (
            *(str(result[name]) for name in head),
            *(f"{result['tar'][fmr]:.4f}" for fmr in FMRS),
            *(f"{result[name]['p50']:.2f}/{result[name]['p95']:.2f}" for name in times),
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    )


def sized(pixels: Pixels) -> Pixels:
    """Bring a picture to a camera's scale: enlarge a small one by a whole factor, reduce a huge one."""
    height, width = pixels.shape[:2]
    factor = -(-SHORTER_SIDE_PX // min(height, width))
    if factor > 1 and max(height, width) * factor <= LONGEST_PX:
        larger = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        return np.asarray(larger, dtype=np.uint8)
    ratio = LONGEST_PX / max(height, width)
    if ratio < 1:
        smaller = cv2.resize(pixels, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        return np.asarray(smaller, dtype=np.uint8)
    return pixels


def labelled_pictures(dataset: Path) -> list[tuple[str, Path]]:
    """Person and picture, in the order of their names.

    Raises:
        DatasetError: no such folder, or no picture in it.
    """
    if not dataset.is_dir():
        raise DatasetError(f"{dataset} is not a folder; expected is a folder with one folder per person")
    found = [
        (folder.name, file)
        for folder in sorted(dataset.iterdir())
        if folder.is_dir()
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in PICTURES
    ]
    if not found:
        raise DatasetError(
            f"{dataset}: no picture found; expected is one folder per person with {', '.join(sorted(PICTURES))} files in it"
        )
    return found


def _take(gathered: _Run, engine: FaceEngine, person: str, file: Path) -> None:
    read = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if read is None:
        gathered.skipped.append(str(file))
        return
    pixels = sized(np.asarray(read, dtype=np.uint8))
    began_s = time.perf_counter()
    faces = engine.detect(pixels, thorough=True)
    gathered.detect_ms.append((time.perf_counter() - began_s) * 1000)
    if not faces:
        gathered.missed += 1
        return
    began_s = time.perf_counter()
    vector = engine.embed(pixels, faces[0])
    gathered.embed_ms.append((time.perf_counter() - began_s) * 1000)
    gathered.owners.append(person)
    gathered.vectors.append(vector)


def _cosines(gathered: _Run) -> tuple[Vector, Vector]:
    """Cosines of all genuine and of all impostor pairs. Row by row: a set of 13,000 pictures has 88 million pairs."""
    none = np.empty(0, dtype=np.float32)
    genuine, impostor = [none], [none]
    if gathered.vectors:
        faces, owners = np.stack(gathered.vectors), np.array(gathered.owners)
        for number in range(len(faces) - 1):
            row = faces[number + 1 :] @ faces[number]
            same = owners[number + 1 :] == owners[number]
            genuine.append(row[same])
            impostor.append(row[~same])
    return np.concatenate(genuine), np.concatenate(impostor)


def _threshold(impostor: Vector, fmr: float) -> float:
    """The cosine that at most this share of impostor pairs exceeds."""
    place = len(impostor) - 1 - int(fmr * len(impostor))
    return float(np.partition(impostor, place)[place])


def _search_ms(gathered: _Run, engine: FaceEngine) -> Iterator[float]:
    """Time of one search, for every face in the gallery of all faces."""
    owners, faces = np.array(gathered.owners), np.stack(gathered.vectors)
    gallery = gallery_for(
        engine, [(person, faces[owners == person]) for person in dict.fromkeys(gathered.owners)]
    )
    for vector in gathered.vectors:
        began_s = time.perf_counter()
        gallery.nearest(vector)
        yield (time.perf_counter() - began_s) * 1000


def _spread(times_ms: Sequence[float] | Iterator[float]) -> dict[str, float]:
    p50, p95 = np.quantile(list(times_ms), [0.5, 0.95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}
