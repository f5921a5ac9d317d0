"""How long a thread of a process may keep the interpreter to itself while another waits for it."""

import sys
from typing import Final

TURN_S: Final = 0.000_5
"""Python's own 5 ms is longer than an order takes from one process to the next (docs/benchmarks.md)."""


def take_short_turns() -> None:
    """For a process in which an order changes threads. Call once, at its start."""
    sys.setswitchinterval(TURN_S)
