"""The hub's wall clock beside a clock that nobody can set: so a message keeps its moment although the former is set.

Any thread may ask for ``now``; ``set_by`` belongs to the writer thread.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from cloud_hub.db import utc_now

_UPTIME: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""It goes on while the machine sleeps, where the system has such a clock."""

SET: Final = timedelta(seconds=5)
"""A wall clock that gained or lost this much between two looks was set; less is drift, which relations follow."""


def uptime_s() -> float:
    """Seconds on a clock that nobody can set."""
    return time.clock_gettime(_UPTIME)


class HubClock:
    """Wall clock and uptime of one process.

    Args:
        wall: aware UTC now.
        uptime: seconds that only grow.
    """

    def __init__(
        self, wall: Callable[[], datetime] = utc_now, uptime: Callable[[], float] = uptime_s
    ) -> None:
        self.now = wall
        self._uptime = uptime
        self._looked = (wall(), uptime())

    def at(self, came_s: float) -> datetime:
        """When ``uptime`` said this, by the wall clock as it is set now."""
        return self.now() - timedelta(seconds=self._uptime() - came_s)

    def set_by(self) -> timedelta:
        """By how much the wall clock was set since the last look; zero when it was not."""
        (wall, uptime), self._looked = self._looked, (self.now(), self._uptime())
        gained = (self._looked[0] - wall) - timedelta(seconds=self._looked[1] - uptime)
        return gained if abs(gained) >= SET else timedelta()
