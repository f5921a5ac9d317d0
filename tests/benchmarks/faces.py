"""Verification and identification speed of both engines on the shared sets, by the agent's own command."""

from station_agent.bench import faces as bench_faces
from tests.benchmarks.report import Row
from tests.support.parts import SHARED_FACES

SETS = ("lfw10", "att40")
ENGINES = ("opencv", "face-recognition")


def measure() -> list[Row]:
    """One row per set and engine."""
    rows = []
    for name in SETS:
        if not (SHARED_FACES / name).is_dir():
            rows.append(Row(f"{name}: no pictures on this machine", 0, "skipped"))
            continue
        for engine in ENGINES:
            found = bench_faces.run(SHARED_FACES / name, engine)
            tar = found["tar"]
            rows.append(
                Row(
                    f"{name}, {engine}: TAR at FMR 1e-2 / 1e-3 / 1e-4",
                    found["genuine"],
                    f"{tar['1e-2']:.4f} / {tar['1e-3']:.4f} / {tar['1e-4']:.4f} ({found['impostor']} impostor pairs, "
                    f"{found['missed']} of {found['images']} faces missed)",
                )
            )
            for what in ("detect", "embed", "search"):
                took = found[f"{what}_ms"]
                rows.append(
                    Row(
                        f"{name}, {engine}: {what}",
                        found["images"],
                        f"p50 {took['p50']:.2f}, p95 {took['p95']:.2f} ms",
                    )
                )
    return rows
