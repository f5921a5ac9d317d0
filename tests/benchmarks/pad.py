"""Liveness figures of docs/liveness.md: ``python -m tests.benchmarks.pad``.

Thresholds and limits were chosen on every other person of LFW-10, in the order of their names; the figures are of the
rest. The three recorded pictures of the shared set stand beside them: they are real, and they are three.
"""

import json
import tempfile
from pathlib import Path

import click

from station_agent import bench_pad
from station_agent.vision.liveness import cues_in
from station_agent.vision.models import opencv_models
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.benchmarks.report import heading
from tests.support.faces import face_set, read
from tests.support.liveness import model_file, passive_model, write_manifest

RECORDED = {"image_T1.jpg": "live", "image_F1.jpg": "print", "image_F2.jpg": "screen replay"}


@click.command()
@click.option("--attempts", default=30, show_default=True, help="Of each species against the challenge.")
@click.option("--renderings", default=3, show_default=True, help="Of each photograph and species.")
@click.option("--seed", default=2024, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(*, attempts: int, renderings: int, seed: int, as_json: bool) -> None:
    """Measure the held-out half of LFW-10, and the recorded pictures."""
    people = sorted(folder.name for folder in face_set("lfw10").iterdir() if folder.is_dir())[1::2]
    with tempfile.TemporaryDirectory() as folder:
        result = bench_pad.run(
            face_set("lfw10"),
            model=model_file(),
            manifest=write_manifest(Path(folder)),
            people=people,
            renderings=renderings,
            attempts=attempts,
            seed=seed,
        )
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
