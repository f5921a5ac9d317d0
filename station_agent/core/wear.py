"""How much is written to the card in a day, from a counter that grows since the machine started (safety.md D11). Pure."""

from collections import deque
from typing import Final

DAY_S: Final = 24 * 3600.0
SAMPLE_S: Final = 600.0
SHORTEST_S: Final = 600.0
"""Less than this scales into nonsense."""


class Wear:
    """One for a disk."""

    def __init__(self, *, limit_bytes: int) -> None:
        """Begin without a sample.

        Args:
            limit_bytes: more than this in 24 h is told, once in 24 h.
        """
        self._limit = limit_bytes
        self._samples: deque[tuple[float, int]] = deque()
        self._told_s: float | None = None
        self.bytes_day: int | None = None

    def see(self, written: int | None, *, now_s: float) -> bool:
        """The counter now; None when there is none. True when it is time to tell that the card wears too fast."""
        if written is None:
            return False
        if self._samples and written < self._samples[-1][1]:
            self._samples.clear()  # another disk, or a counter that began anew
        if not self._samples or now_s - self._samples[-1][0] >= SAMPLE_S:
            self._samples.append((now_s, written))
        while len(self._samples) > 1 and now_s - self._samples[1][0] >= DAY_S:
            self._samples.popleft()
        first_s, first = self._samples[0]
        if now_s - first_s < SHORTEST_S:
            return False
        self.bytes_day = round((written - first) * DAY_S / (now_s - first_s))
        if self.bytes_day <= self._limit or (self._told_s is not None and now_s - self._told_s < DAY_S):
            return False
        self._told_s = now_s
        return True
