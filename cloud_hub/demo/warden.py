"""Kills the demo's processes when the demo itself is gone, even by kill -9.

A process of its own, run by path with the bare interpreter. It reads ``+PGID`` and ``-PGID`` lines; at the end of the
input every process group still listed is killed. It imports nothing of this project.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def watch(lines: Iterable[str]) -> set[int]:
    """Follow the lines to their end and return the process groups that are left."""
    groups: set[int] = set()
    for line in lines:
        change = groups.add if line.startswith("+") else groups.discard
        with contextlib.suppress(ValueError):
            change(int(line[1:]))
    return groups


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    for group in watch(sys.stdin):
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
