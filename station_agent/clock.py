"""Time: a monotonic clock that runs on through sleep, the wall clock, and how far the wall clock can be trusted."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from firmware_config.wire import Clock as Trust

SYNCED_FLAG: Final = Path("/run/systemd/timesync/synchronized")
"""Made by systemd-timesyncd, and by chrony-wait where chrony is used (deploy/agent)."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment, as every event carries it.

    Attributes:
        boot_id: 32 hex digits; ``mono_ms`` compares only within it.
        mono_ms: CLOCK_BOOTTIME in milliseconds.
        wall_ms: milliseconds since the Unix epoch by this machine's clock.
        trust: what ``wall_ms`` is worth.
    """

    boot_id: str
    mono_ms: int
    wall_ms: int
    trust: Trust


MACHINE_RUN: Final = Path("/proc/sys/kernel/random/boot_id")
"""Differs from one start of the machine to the next: CLOCK_BOOTTIME compares only within it."""


def machine_run() -> str:
    """Names this run of the machine, which outlives a run of the agent; empty where nothing tells."""
    try:
        return MACHINE_RUN.read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Clock(Protocol):
    """Where every part of the agent gets its time, so that a test can hold it still."""

    boot_id: str

    def monotonic_s(self) -> float:
        """Seconds on CLOCK_BOOTTIME: never steps back, runs on while the machine sleeps."""

    def stamp(self) -> Stamp:
        """This moment."""


class SystemClock:
    """The machine's own clocks.

    ``boot_id`` names this run of the agent, not only of the kernel: a restarted agent has lost what it held in memory,
    nonces among it, so it must not look like the same one.
    """

    def __init__(self) -> None:
        self.boot_id = os.urandom(16).hex()

    def monotonic_s(self) -> float:
        """Seconds on CLOCK_BOOTTIME."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def stamp(self) -> Stamp:
        """This moment."""
        trust: Trust = "synced" if SYNCED_FLAG.exists() else "unsynced"
        return Stamp(
            boot_id=self.boot_id,
            mono_ms=int(self.monotonic_s() * 1000),
            wall_ms=time.time_ns() // 1_000_000,
            trust=trust,
        )
