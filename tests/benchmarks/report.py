"""How a benchmark tells its figures: one Markdown table, with the machine, n, seed, commit and date above it."""

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    what: str
    n: int
    value: str


def heading(*, seed: int) -> str:
    """Machine, commit, seed and date."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, commit {commit or 'unknown'}, seed {seed}, "
        f"{machine()}, Python {platform.python_version()}"
    )


def machine() -> str:
    """Processor, how many of them, and memory."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {names[0] if names else platform.machine()}, {memory_gib:.0f} GiB"


def table(title: str, rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = [f"### {title}", "", "| figure | n | value |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {row.what} | {row.n} | {row.value} |" for row in rows), ""])


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the values lie, by the nearest-rank method."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def spread(values: Sequence[float], unit: str) -> str:
    """Median, 95th and 99th percentile."""
    return (
        f"p50 {statistics.median(values):.1f}, p95 {percentile(values, 0.95):.1f}, "
        f"p99 {percentile(values, 0.99):.1f} {unit}"
    )
