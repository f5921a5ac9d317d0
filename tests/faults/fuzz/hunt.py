"""The fuzz campaign: Hypothesis over every target, then a coverage-guided run of atheris where there is a wheel for it."""

import contextlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.faults.fuzz.mutations import mutated
from tests.faults.fuzz.targets import Target, targets
from tests.faults.report import Campaign, Figure

BASE_BYTES: Final = 1 << 20
PER_BYTE: Final = 64
"""Memory that one input may take at its peak: 1 MiB and 64 times its own size."""

GUIDED_SHARE: Final = 100
"""Runs of atheris for each example of Hypothesis."""

GUIDED_LONGEST_S: Final = 600

CORPUS: Final = Path(__file__).parents[1] / "corpus"
"""Inputs that once broke something: ``TARGET.NAME.hex``, blanks of the target's name as underscores."""


@dataclass(slots=True)
class Hunt:
    """What was seen of one target."""

    target: Target
    runs: int = 0
    refused: int = 0
    peak: int = 0
    crashes: list[str] = field(default_factory=list)

    def feed(self, data: bytes) -> None:
        """One input; what raises anything but a verdict, or takes too much memory, is a crash."""
        self.runs += 1
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            self.target.feed(data)
        except self.target.verdicts:
            self.refused += 1
        except Exception as error:  # noqa: BLE001 (that is what is hunted)
            self._note(data, f"{type(error).__name__}: {str(error)[:120]}")
        _, peak = tracemalloc.get_traced_memory()
        self.peak = max(self.peak, peak - before)
        if peak - before > BASE_BYTES + PER_BYTE * len(data):
            self._note(data, f"{peak - before} bytes for {len(data)}")

    def _note(self, data: bytes, what: str) -> None:
        self.crashes.append(f"{self.target.name}: {what}; input {data[:200].hex()}")


@settings(max_examples=1, phases=[Phase.generate], database=None, deadline=None)
@given(st.text() | st.binary() | st.integers() | st.floats())
def feed_nothing(_nothing: object) -> None:
    """Hypothesis reads all our sources for constants at its first draw: ten times slower while memory is traced."""


def hunt(target: Target, n: int, first_seed: int) -> Hunt:
    """``n`` mutated inputs of one target, and its corpus."""
    found = Hunt(target)

    @seed(first_seed)
    @settings(
        max_examples=n,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=mutated(target.seeds, is_json=target.is_json))
    def feed(data: bytes) -> None:
        found.feed(data)

    feed_nothing()
    for good in target.seeds:
        with contextlib.suppress(*target.verdicts):
            target.feed(good)  # what is loaded once counts for no input
    tracemalloc.start()
    try:
        for data in corpus(target.name):
            found.feed(data)
        feed()
    finally:
        tracemalloc.stop()
    return found


def corpus(name: str) -> list[bytes]:
    """What once broke this target."""
    files = sorted(CORPUS.glob(f"{name.replace(' ', '_').replace('/', '-')}.*.hex"))
    return [bytes.fromhex(file.read_text()) for file in files]


def run(n: int, first_seed: int, folder: Path) -> Campaign:
    """The campaign; ``n`` examples a target by Hypothesis, and ``GUIDED_SHARE`` times as many by atheris."""
    started_s = time.monotonic()
    found = [hunt(target, n, first_seed) for target in targets().values()]
    violations = [crash for item in found for crash in item.crashes]
    figures: dict[str, Figure] = {
        "targets": len(found),
        "inputs by Hypothesis": sum(item.runs for item in found),
        "refused": sum(item.refused for item in found),
        "peak memory of one input, KiB": max(item.peak for item in found) // 1024,
    }
    guided, crashes = _guided(n, first_seed, folder)
    total = sum(item.runs for item in found) + int(guided.get("inputs by atheris", 0))
    return Campaign(
        "fuzz", total, first_seed, violations + crashes, figures | guided, time.monotonic() - started_s
    )


def _guided(n: int, first_seed: int, folder: Path) -> tuple[dict[str, Figure], list[str]]:
    """One process of atheris for each target: libFuzzer never gives its process back."""
    try:
        version = importlib.metadata.version("atheris")
    except importlib.metadata.PackageNotFoundError:
        return {"atheris": "not here: no wheel for this Python or machine, so Hypothesis alone"}, []
    inputs, edges, crashes = 0, 0, []
    for name, target in targets().items():
        own = folder / name.replace(" ", "_").replace("/", "-")
        own.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate((*target.seeds, *corpus(name))):
            (own / f"seed-{number}").write_bytes(data)
        done = subprocess.run(
            [
                sys.executable, "-m", "tests.faults.fuzz.guided", name, str(own), f"-runs={n * GUIDED_SHARE}",
                f"-seed={first_seed}", "-max_len=70000", f"-max_total_time={GUIDED_LONGEST_S}",
                f"-artifact_prefix={own}/", "-rss_limit_mb=2048", "-print_final_stats=1",
            ],
            capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": "."}, errors="replace",
        )  # fmt: skip
        (own / "log.txt").write_text(done.stderr)
        said = re.findall(r"stat::number_of_executed_units: +(\d+)", done.stderr)
        covered = re.findall(r"cov: (\d+)", done.stderr)
        inputs += int(said[-1]) if said else 0
        edges += int(covered[-1]) if covered else 0
        if done.returncode or not said:
            crashes.append(f"{name}: atheris ended with {done.returncode}; {_last(done.stderr)}")
    told: dict[str, Figure] = {"atheris": version, "inputs by atheris": inputs, "edges covered": edges}
    (folder / "guided.json").write_text(json.dumps(told))
    return told, crashes


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if "Error" in line or "ERROR" in line or "Exception" in line]
    return " / ".join(lines[:3]) or text[-200:]
