"""False entries and false denials per visit by the number of people enrolled, by the agent's own command."""

from typing import Any

from station_agent.bench import identification as bench_identification
from tests.benchmarks.report import Row
from tests.support.parts import SHARED_FACES

SETS = ("lfw10", "att40")
ENGINE = "opencv"
"""The other engine takes 20 minutes: ``station-agent bench identify --engine face-recognition``."""


def measure() -> list[Row]:
    """A few rows per set and size."""
    rows = []
    for name in SETS:
        if not (SHARED_FACES / name).is_dir():
            rows.append(Row(f"{name}: no pictures on this machine", 0, "skipped"))
            continue
        report = bench_identification.run(SHARED_FACES / name, ENGINE)
        rows += [row for size in report["sizes"] for row in _rows(name, report["visits"], size)]
        filled = report["composites"]
        rows.append(
            Row(
                f"{name}: composites against real people: distance; tail ratio at 1e-1 / 1e-2 / 1e-3",
                filled["made"],
                f"{filled['distance']:.3f}; "
                + " / ".join(f"{filled['tail_ratio'][share]:.2f}" for share in ("1e-1", "1e-2", "1e-3")),
            )
        )
    return rows


def _rows(name: str, visits: int, size: dict[str, Any]) -> list[Row]:
    of = f"{name}, N = {size['n']} ({size['composites']} composites)"
    rows = [
        Row(
            f"{of}: FPIR where {row['predicted']:.0e} is predicted",
            visits,
            f"{row['fpir']:.1e} [{row['low']:.1e}, {row['high']:.1e}], ratio {row['ratio']:.2f}",
        )
        for row in size["model"]
    ]
    station = size["station"]
    rows.append(
        Row(
            f"{of}: at the station's T(N) = {station['threshold']:.3f}",
            visits,
            f"FPIR {station['fpir']:.1e} (<= {station['fpir_high']:.1e}), FNIR {station['fnir']:.3f} "
            f"[{station['fnir_low']:.3f}, {station['fnir_high']:.3f}] with one template, "
            f"{station['fnir_several']:.3f} with three",
        )
    )
    return rows
