"""Runs the machine: so many histories of one seed, generated only, nothing shrunk and nothing remembered."""

import io
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.faults.model.differential import TwinHub
from tests.faults.model.machine import machine
from tests.faults.model.world import Violation, World
from tests.faults.report import Campaign, Figure

STEPS: Final = 24
SHARD: Final = 2_000
"""Histories of one process and one seed: Hypothesis remembers every one it made."""

TWIN_SHARD: Final = 250

OF_ORDERS: Final = ("pulses", "histories with a pulse", "modes changed", "contradictions", "steps compared")
SHOWN: Final = (
    "events ",
    "stores",
    "final ",
    "rule ",
    "tamper ",
    "click ",
    "station refused ",
    "hub refused ",
)


@dataclass(slots=True)
class Found:
    """What a run saw.

    Attributes:
        tally: how often each rule ran, each final state was reached, and so on.
        violation: the first, or None.
        history: that led to it.
    """

    tally: Counter[str]
    violation: str | None = None
    history: str = ""


def search(
    n: int, first_seed: int, *, make: Callable[..., World] = World, steps: int = STEPS, shrink: bool = False
) -> Found:
    """Run ``n`` histories, or until the first that breaks an invariant."""
    made = machine(make)
    return run_machine(made, made.tally, n, first_seed, steps=steps, shrink=shrink)


def run_machine(
    made: type[RuleBasedStateMachine],
    tally: Counter[str],
    n: int,
    first_seed: int,
    *,
    steps: int = STEPS,
    shrink: bool = False,
) -> Found:
    """The same with any machine that raises a ``Violation``."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    how = settings(
        max_examples=n,
        stateful_step_count=steps,
        phases=phases,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    said = io.StringIO()
    try:
        with redirect_stdout(said):
            run_state_machine_as_test(seed(first_seed)(made), settings=how)
    except Violation as violation:
        notes = "\n".join(getattr(violation, "__notes__", ()))
        return Found(tally, str(violation), said.getvalue() + notes)
    return Found(tally)


def run(n: int, first_seed: int, folder: Path) -> Campaign:
    """The campaign: shards over all cores."""
    return over_cores("model", search, n, first_seed, folder, shard=SHARD)


def search_twin(n: int, first_seed: int) -> Found:
    """The same with the real hub beside its model."""
    return search(n, first_seed, make=partial(World, hub=TwinHub))


def run_twin(n: int, first_seed: int, folder: Path) -> Campaign:
    """The campaign of the real hub beside its model, in histories of other seeds."""
    return over_cores("model-and-hub", search_twin, n, first_seed + 500, folder, shard=TWIN_SHARD)


def over_cores(
    name: str, look: Callable[[int, int], Found], n: int, first_seed: int, folder: Path, *, shard: int
) -> Campaign:
    """So many histories in shards, each with a process and a seed of its own."""
    started_s = time.monotonic()
    shards = [min(shard, n - start) for start in range(0, n, shard)]
    seeds = [first_seed * 100_000 + index for index in range(len(shards))]
    whole: Counter[str] = Counter()
    violations = []
    with ProcessPoolExecutor(os.cpu_count(), initializer=_hush) as pool:
        for number, found in zip(seeds, pool.map(look, shards, seeds), strict=True):
            whole += found.tally
            if found.violation is not None:
                violations.append(f"seed {number}: {found.violation}")
                (folder / f"history-{number}.txt").write_text(f"{found.violation}\n{found.history}\n")
    (folder / "tally.txt").write_text("".join(f"{name}\t{count}\n" for name, count in sorted(whole.items())))
    seconds = time.monotonic() - started_s
    return Campaign(
        name, whole["histories"], first_seed, violations, figures(whole, len(seeds), seconds), seconds
    )


def _hush() -> None:
    """What goes wrong goes wrong on purpose."""
    logging.getLogger().addHandler(logging.NullHandler())


def figures(tally: Counter[str], seeds: int, seconds: float) -> dict[str, Figure]:
    """What a reader needs to believe that the histories were worth something."""
    told: dict[str, Figure] = {
        "rules": sum(name.startswith("rule ") for name in tally),
        "steps": tally["steps"],
        "seeds": seeds,
        "ms per history": 1000 * seconds / max(1, tally["histories"]),
    }
    told |= {name: tally[name] for name in OF_ORDERS if tally["rule click"]}
    for start in SHOWN:
        told |= {name: tally[name] for name in sorted(tally) if name.startswith(start)}
    return told
