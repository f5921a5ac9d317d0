"""Liveness figures of docs/liveness.md: ``python -m tests.benchmarks.pad``.

Thresholds and limits were chosen on every other person of LFW-10, in the order of their names; the figures are of the
rest. The three recorded pictures of the shared set stand beside them: they are real, and they are three.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from station_agent.bench import pad as bench_pad
from station_agent.vision.liveness import cues_in
from station_agent.vision.models import opencv_models
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.benchmarks.report import Row, heading
from tests.support.faces import face_set, read
from tests.support.liveness import model_file, passive_model, write_manifest

RECORDED = {"image_T1.jpg": "live", "image_F1.jpg": "print", "image_F2.jpg": "screen replay"}


def measure(*, seed: int = 1, attempts: int = 2) -> list[Row]:
    """The rows of ``make bench``: few attempts, as each takes seconds."""
    with tempfile.TemporaryDirectory() as folder:
        result = _run(Path(folder), seed=seed, attempts=attempts, renderings=1)
    live, turns = result["passive"]["live"], result["live_turns"]
    rows = [Row("BPCER, passive, by frame", live["n"], f"{live['bpcer']:.3f}")]
    rows += [
        Row(f"APCER, passive, by frame, {species} (synthetic)", row["n"], f"{row['apcer']:.3f}")
        for species, row in result["passive"]["attacks"].items()
    ]
    rows += [
        Row(f"APCER, both, by attempt, {species} (synthetic)", row["n"], f"{row['both']:.3f}")
        for species, row in result["attempts"]["attacks"].items()
    ]
    rows.append(Row("live turns refused, pairs of photographs", turns["n"], f"{turns['bpcer']:.3f}"))
    rows.append(Row("passive model, ms a frame", live["n"], str(result["model_ms"])))
    return rows


@click.command()
@click.option("--attempts", default=30, show_default=True, help="Of each species against the challenge.")
@click.option("--renderings", default=3, show_default=True, help="Of each photograph and species.")
@click.option("--seed", default=2024, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(*, attempts: int, renderings: int, seed: int, as_json: bool) -> None:
    """Measure the held-out half of LFW-10, and the recorded pictures."""
    with tempfile.TemporaryDirectory() as folder:
        result = _run(Path(folder), seed=seed, attempts=attempts, renderings=renderings)
        recorded = _recorded(Path(folder))
    if as_json:
        click.echo(json.dumps({**result, "recorded": recorded}))
        return
    click.echo(heading(seed=seed))
    click.echo(bench_pad.format_table(result))
    click.echo(
        f"refused live turns: {result['live_turns']['refused']}; passive worst: {result['passive']['worst']}"
    )
    for name, (what, score, cues) in recorded.items():
        click.echo(f"recorded {name} ({what}): live score {score}, cues {', '.join(cues) or 'none'}")


def _run(folder: Path, *, seed: int, attempts: int, renderings: int) -> dict[str, Any]:
    people = sorted(person.name for person in face_set("lfw10").iterdir() if person.is_dir())[1::2]
    return bench_pad.run(
        face_set("lfw10"),
        model=model_file(),
        manifest=write_manifest(folder),
        people=people,
        renderings=renderings,
        attempts=attempts,
        seed=seed,
    )


def _recorded(folder: Path) -> dict[str, tuple[str, float | None, list[str]]]:
    engine, model = OpenCvEngine(opencv_models(None)), passive_model(folder)
    rows: dict[str, tuple[str, float | None, list[str]]] = {}
    for name, what in RECORDED.items():
        pixels = read(face_set("pad") / name)
        face = engine.detect(pixels, thorough=True)[0]
        score = model.score(pixels, face.box)
        rows[name] = (what, None if score is None else round(score, 4), [*sorted(cues_in(pixels, face))])
    return rows


if __name__ == "__main__":
    main()
