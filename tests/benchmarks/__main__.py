"""``make bench``: every figure of the README, with machine, commit, seed and date. Name parts to run only these."""

import sys
from collections.abc import Callable
from typing import Final

from tests.benchmarks import backlog, faces, identification, loop, pipeline, unlock, ways, wear
from tests.benchmarks.report import Row, heading, table

SEED: Final = 1
PARTS: Final[dict[str, tuple[str, Callable[[], list[Row]]]]] = {
    "faces": ("Face engines", faces.measure),
    "identification": ("Identification, by the number of people enrolled", identification.measure),
    "pipeline": ("Speed of a visit, and the agent at rest", pipeline.measure),
    "unlock": ("Unlock, from the click to the relay's edge", unlock.measure),
    "backlog": ("A hundred stations back after 72 hours offline", backlog.measure),
    "wear": ("Bytes written to the card", wear.measure),
    "ways": ("Ways in", ways.measure),
    "loop": ("The whole loop, in the demo", loop.measure),
}


def main(wanted: list[str]) -> int:
    """Run the wanted parts, or all."""
    if unknown := set(wanted) - set(PARTS):
        sys.stderr.write(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}\n")
        return 2
    sys.stdout.write(heading(seed=SEED) + "\n\n")
    for name, (title, measure) in PARTS.items():
        if not wanted or name in wanted:
            sys.stdout.write(table(title, measure()) + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
