"""Measures liveness on a folder of photographs: attacks are rendered from them, so every figure is synthetic.

Passive, by frame: each photograph as the person themselves and as every species of attack, judged by the model and the
cues. Active and both, by attempt: each sheet is held up and tilted as the prompts ask, and the real gate decides on the
rendered frames. APCER is the share of attacks taken for live, worst species first; BPCER the share of live refused.

Photographs cannot turn their heads. What stands in for a live turn is a pair of a person's photographs, one straight and
one turned, often years apart: it says whether identity and narrowing hold in a turn, not how often people get it wrong.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from station_agent.bench.attempts import Bench, Photograph, attempt, bend_of, replay
from station_agent.bench.faces import DatasetError, sized
from station_agent.core.challenge import NARROWEST, STRAIGHT_YAW, TURN_YAW
from station_agent.core.entry import SAME_PERSON
from station_agent.core.liveness import JUDGED_YAW, Live, NotLive
from station_agent.vision import attacks
from station_agent.vision.camera_replay import PICTURES
from station_agent.vision.frame import Pixels
from station_agent.vision.liveness import cues_in
from station_agent.vision.liveness_cues import turn_of
from station_agent.vision.liveness_model import PassiveModel, read_manifest
from station_agent.vision.models import opencv_models
from station_agent.vision.opencv_engine import OpenCvEngine

MOST_PICTURES: Final = 200
"""Of a larger folder so many are drawn by the seed."""


def run(
    dataset: Path,
    *,
    model: Path | None = None,
    manifest: Path | None = None,
    people: Collection[str] | None = None,
    renderings: int = 1,
    attempts: int = 10,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure liveness.

    Args:
        dataset: one folder per person, photographs of live people in it.
        model: ONNX file of the passive network; without one only cues and challenge are measured.
        manifest: about it; its digest counts.
        people: names of the folders to use; all when None. Thresholds were set on others (docs/liveness.md).
        renderings: of each photograph, as the person and as each species.
        attempts: of each species against the active challenge; each takes a few seconds.
        seed: of everything random.

    Returns:
        The document of ``station-agent bench pad --json``; shares are None where nothing could be measured.

    Raises:
        DatasetError: no photograph with a face in it.
        ModelError: the model or its manifest cannot be used.
        ValueError: only one of model and manifest is given.
    """
    if (model is None) != (manifest is None):
        raise ValueError("a model and its manifest go together")
    passive = None
    if model is not None and manifest is not None:
        passive = PassiveModel(model, read_manifest(manifest).sha256, manifest)
    bench = Bench(OpenCvEngine(opencv_models(None)), passive, np.random.default_rng(seed), [])
    files = _files(dataset, people)
    drawn = sorted(bench.rng.permutation(len(files))[:MOST_PICTURES])
    bench.photographs += _photographs(bench.engine, [files[number] for number in drawn])
    if not bench.photographs:
        raise DatasetError(f"{dataset}: no photograph with a face among {len(files)} pictures")
    by_frame = _by_frame(bench, renderings)
    by_attempt = _by_attempt(bench, attempts)
    return {
        "synthetic": True,
        "seed": seed,
        "images": len(bench.photographs),
        "people": len({photograph.person for photograph in bench.photographs}),
        "pictures_found": len(files),
        "model": None if passive is None else {"digest": passive.digest, "threshold": passive.threshold},
        "passive": by_frame,
        "attempts": by_attempt,
        "replay": replay(bench),
        "live_turns": _live_turns(bench),
        "model_ms": _spread(bench.model_ms),
        "cues_ms": _spread(bench.cues_ms),
    }


def format_table(result: Mapping[str, Any]) -> str:
    """A measurement as text for people."""
    by_frame, by_attempt = result["passive"], result["attempts"]
    lines = [
        f"synthetic attacks from {result['images']} photographs of {result['people']} people, seed {result['seed']}",
        "",
        "passive, by frame: share stopped by each gate and by any; what is left is APCER (for live: BPCER, share stopped)",
        f"{'species':<12}{'n':>6}{'model':>9}{'pattern':>9}{'border':>9}{'any':>9}{'APCER':>9}",
    ]
    for name, row in {"live": by_frame["live"], **by_frame["attacks"]}.items():
        gates = row["stopped"]
        shares = [gates["model"], gates["screen_pattern"], gates["straight_border"], gates["any"]]
        shares.append(row.get("apcer"))
        lines.append(f"{name:<12}{row['n']:>6}" + "".join(f"{_text(share):>9}" for share in shares))
    lines += ["", "by attempt, APCER:", f"{'species':<12}{'n':>6}{'active':>9}{'both':>9}  refused because"]
    for name, row in by_attempt["attacks"].items():
        reasons = ", ".join(f"{reason} {count}" for reason, count in row["reasons"].items())
        lines.append(f"{name:<12}{row['n']:>6}{_text(row['active']):>9}{_text(row['both']):>9}  {reasons}")
    worst = [f"{mode} {_text(value['apcer'])} ({value['species']})" for mode, value in _worst(result).items()]
    films, turns = result["replay"], result["live_turns"]
    return "\n".join(
        [
            *lines,
            "",
            f"worst species: {'; '.join(worst)}",
            f"replay of a passed attempt, n {films['n']}:",
            f"  2 steps {_text(films['2'])}, 3 steps {_text(films['3'])}, all moves in turn {_text(films['all_moves'])}",
            f"live turns, n {turns['n']}: refused {_text(turns['bpcer'])}",
            f"model {result['model_ms']} ms, cues {result['cues_ms']} ms a frame",
        ]
    )


def _files(dataset: Path, people: Collection[str] | None) -> list[tuple[str, Path]]:
    if not dataset.is_dir():
        raise DatasetError(f"{dataset} is not a folder; expected is a folder with one folder per person")
    return [
        (folder.name, file)
        for folder in sorted(dataset.iterdir())
        if folder.is_dir() and (people is None or folder.name in people)
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in PICTURES
    ]


def _photographs(engine: OpenCvEngine, files: list[tuple[str, Path]]) -> Iterator[Photograph]:
    for person, file in files:
        read = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if read is None:
            continue
        pixels = sized(np.asarray(read, dtype=np.uint8))
        if faces := engine.detect(pixels, thorough=True):
            yield Photograph(person, pixels, faces[0])


def _by_frame(bench: Bench, renderings: int) -> dict[str, Any]:
    """Every photograph as itself and as every species, judged by what one frame shows."""
    stopped: dict[str, list[frozenset[str]]] = defaultdict(list)
    for photograph in bench.photographs * max(1, renderings):
        stopped["live"].append(
            _stopped(bench, attacks.live(photograph.pixels, photograph.face.box, bench.rng))
        )
        for species, made in attacks.SPECIES.items():
            sheet = made(photograph.pixels, photograph.face.box, bench.rng)
            pose = attacks.some_pose(bench.rng, bend=bend_of(species))
            stopped[species].append(_stopped(bench, attacks.show(sheet, pose, bench.room(), bench.rng)))
    with_model = bench.model is not None
    rows = {name: _row(of_species, with_model=with_model) for name, of_species in stopped.items()}
    live = rows.pop("live")
    live["bpcer"] = live["stopped"]["any"]
    for row in rows.values():
        row["apcer"] = round(1 - row["stopped"]["any"], 4)
    species, worst = max(rows.items(), key=lambda item: item[1]["apcer"])
    return {"live": live, "attacks": rows, "worst": {"species": species, "apcer": worst["apcer"]}}


def _stopped(bench: Bench, pixels: Pixels) -> frozenset[str]:
    """The gates that stop a frame; ``no_face`` when there is none."""
    faces = bench.engine.detect(pixels)
    if not faces:
        return frozenset({"no_face"})
    stopped: set[str] = set()
    if bench.model is not None:
        began_s = time.perf_counter()
        score = bench.model.score(pixels, faces[0].box)
        bench.model_ms.append((time.perf_counter() - began_s) * 1000)
        if score is None or score < bench.model.threshold:
            stopped.add("model")
    began_s = time.perf_counter()
    stopped |= cues_in(pixels, faces[0])
    bench.cues_ms.append((time.perf_counter() - began_s) * 1000)
    return frozenset(stopped)


def _row(stopped: list[frozenset[str]], *, with_model: bool) -> dict[str, Any]:
    def share(gate: str) -> float:
        return round(sum(gate in gates for gates in stopped) / len(stopped), 4)

    return {
        "n": len(stopped),
        "stopped": {
            "model": share("model") if with_model else None,
            "screen_pattern": share("screen_pattern"),
            "straight_border": share("straight_border"),
            "no_face": share("no_face"),
            "any": round(sum(bool(gates) for gates in stopped) / len(stopped), 4),
        },
    }


def _by_attempt(bench: Bench, attempts: int) -> dict[str, Any]:
    """Sheets of every species, tilted as the prompts ask."""
    rows: dict[str, Any] = {}
    for species in attacks.SPECIES if attempts else ():
        verdicts = [attempt(bench, species, number) for number in range(attempts)]
        refused = Counter(active.reason for active, _ in verdicts if isinstance(active, NotLive))
        rows[species] = {
            "n": attempts,
            "active": round(sum(isinstance(active, Live) for active, _ in verdicts) / attempts, 4),
            "both": None
            if bench.model is None
            else round(sum(isinstance(both, Live) for _, both in verdicts) / attempts, 4),
            "reasons": dict(refused.most_common()),
        }
    return {"attacks": rows}


def _live_turns(bench: Bench) -> dict[str, Any]:
    """Pairs of a person's photographs, one straight and one turned: refused by identity or by narrowing."""
    seen = [
        (photograph.person, *turn_of(photograph.face), bench.engine.embed(photograph.pixels, photograph.face))
        for photograph in bench.photographs
    ]
    refused: Counter[str] = Counter()
    pairs = 0
    for person, yaw, aspect, vector in seen:
        for other, other_yaw, other_aspect, other_vector in seen:
            turned = abs(other_yaw - yaw) >= TURN_YAW and abs(other_yaw) <= JUDGED_YAW
            if other != person or not turned or abs(yaw) > STRAIGHT_YAW:
                continue
            pairs += 1
            refused["identity"] += not float(vector @ other_vector) >= SAME_PERSON
            refused["narrowing"] += not other_aspect / aspect >= NARROWEST
            refused["any"] += not (
                float(vector @ other_vector) >= SAME_PERSON and other_aspect / aspect >= NARROWEST
            )
    shares = {
        reason: round(refused[reason] / pairs, 4) if pairs else None for reason in ("identity", "narrowing")
    }
    return {"n": pairs, "bpcer": round(refused["any"] / pairs, 4) if pairs else None, "refused": shares}


def _worst(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The worst species of each mode."""
    worst: dict[str, dict[str, Any]] = {"passive": result["passive"]["worst"]}
    rows = result["attempts"]["attacks"]
    for mode in ("active", "both"):
        measured = {species: row[mode] for species, row in rows.items() if row[mode] is not None}
        if measured:
            species = max(measured, key=lambda name: measured[name])
            worst[mode] = {"species": species, "apcer": measured[species]}
    return worst


def _spread(times_ms: list[float]) -> dict[str, float] | None:
    if not times_ms:
        return None
    p50, p95 = np.quantile(times_ms, [0.5, 0.95])
    return {"p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _text(share: float | None) -> str:
    return "–" if share is None else f"{share:.3f}"
