"""``make faults``: every fault campaign, one report. Name campaigns to run only these."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.faults import cable, hostile, network, outages, raw, report, reunion, small_disk
from tests.faults.clocks import clocks
from tests.faults.disk import damage
from tests.faults.fuzz import hunt
from tests.faults.model import events, search
from tests.faults.power import power
from tests.faults.processes import kills
from tests.faults.report import Campaign, Report
from tests.faults.stalls import stalls

SEED: Final = 1
FOLDER: Final = Path("build/faults")

Run = Callable[[int, int, Path], Campaign]
"""``run(n, seed, folder)``: ``folder`` is the campaign's own, empty or not; it survives the run."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One campaign in the list.

    Attributes:
        run: does it.
        full_n: trials for the published figures.
        quick_n: trials that show in a minute or two that the campaign works.
    """

    run: Run
    full_n: int
    quick_n: int


CAMPAIGNS: Final[dict[str, Entry]] = {
    "model": Entry(search.run, full_n=100_000, quick_n=2_000),
    "model-and-hub": Entry(search.run_twin, full_n=2_000, quick_n=40),
    "events": Entry(events.run_events, full_n=2_000, quick_n=60),
    "fuzz": Entry(hunt.run, full_n=1_000, quick_n=50),
    "kills": Entry(kills, full_n=1_000, quick_n=30),
    "network": Entry(network.run, full_n=100, quick_n=10),
    "cable": Entry(cable.run, full_n=20, quick_n=2),
    "flapping-link": Entry(outages.run_flapping, full_n=5, quick_n=1),
    "brokers": Entry(outages.run_brokers, full_n=12, quick_n=3),
    "hostile-broker": Entry(hostile.run, full_n=300, quick_n=8),
    "corrupt-frames": Entry(raw.run, full_n=600, quick_n=24),
    "corrupt-clients": Entry(raw.run_broker, full_n=1_000, quick_n=30),
    "reunion": Entry(reunion.run, full_n=100, quick_n=20),
    "stalls": Entry(stalls, full_n=60, quick_n=8),
    "damage": Entry(damage, full_n=200, quick_n=10),
    "disk-full": Entry(small_disk.full, full_n=50, quick_n=4),
    "disk-read-only": Entry(small_disk.read_only, full_n=20, quick_n=2),
    "power": Entry(power, full_n=3_000, quick_n=100),
    "clocks": Entry(clocks, full_n=54, quick_n=6),
}


def main(arguments: Sequence[str], *, campaigns: Mapping[str, Entry] = CAMPAIGNS) -> int:
    """Run the wanted campaigns, or all; 1 when a rule was broken, 2 when there is no such campaign."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(campaigns)}")
    parser.add_argument("--n", type=int, help="trials of each campaign, instead of its own number")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--quick", action="store_true", help="a short run of each campaign")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="for the report")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.names) - set(campaigns):
        sys.stderr.write(
            f"no such campaign: {', '.join(sorted(unknown))}; there are {', '.join(campaigns)}\n"
        )
        return 2
    started_at, started_s = datetime.now(UTC), time.monotonic()
    done: list[Campaign] = []
    for name, entry in campaigns.items():
        if asked.names and name not in asked.names:
            continue
        own = asked.folder.resolve() / name  # a rig's processes work in folders of their own
        own.mkdir(parents=True, exist_ok=True)
        n = asked.n or (entry.quick_n if asked.quick else entry.full_n)
        sys.stdout.write(f"{name}: n {n}, seed {asked.seed}\n")
        sys.stdout.flush()
        done.append(_run(name, entry.run, n=n, seed=asked.seed, folder=own))
        # after each, so that an interrupted night still has something to show
        whole = Report(done, report.commit(), report.machine(), started_at, time.monotonic() - started_s)
        whole.write(asked.folder)
        sys.stdout.write(f"{name}: {len(done[-1].violations)} violations, {done[-1].seconds:.0f} s\n")
        sys.stdout.flush()
    sys.stdout.write((asked.folder / "report.md").read_text() if done else "")
    return 0 if done and whole.clean else 1


def _run(name: str, run: Run, *, n: int, seed: int, folder: Path) -> Campaign:
    """A campaign that breaks down has shown nothing, and says so; the others still run."""
    started_s = time.monotonic()
    try:
        return run(n, seed, folder)
    except Exception as error:  # noqa: BLE001 (top of a campaign)
        traceback.print_exc()
        broken = f"the campaign broke down: {type(error).__name__}: {error}"
        return Campaign(name, n, seed, [broken], seconds=time.monotonic() - started_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
