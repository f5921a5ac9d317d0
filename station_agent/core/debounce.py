"""A switch's raw edges to levels that count. Pure: times are given, nothing waits here.

An edge counts once its level has held for the holding time; it counts even when the next edge came before anybody
looked, so a blip of at least the holding time is never lost (safety.md S6). More edges than a person can make mean that
the switch chatters or its wire is loose: the level is then FAULTED until the wire has been quiet.
"""

from collections import deque
from enum import StrEnum
from typing import Final

CHATTER_EDGES: Final = 20
"""More edges than this within ``CHATTER_S`` are no person (safety.md, fault 26)."""
CHATTER_S: Final = 10.0
QUIET_S: Final = 5.0
"""A chattering wire is believed again after this long without an edge."""


class Level(StrEnum):
    """What a switch says once it is believed."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    FAULTED = "faulted"


class Debounce:
    """One switch.

    Args:
        active: the raw level at start; it counts at once.
        hold_s: holding time.
        now_s: monotonic time.

    Attributes:
        level: the level that counts.
    """

    def __init__(self, *, active: bool, hold_s: float, now_s: float) -> None:
        self.level = _level(active=active)
        self._hold_s = hold_s
        self._raw = active
        self._since_s = now_s
        self._edges_s: deque[float] = deque(maxlen=CHATTER_EDGES + 1)

    @property
    def deadline_s(self) -> float | None:
        """Monotonic time at which ``take`` is due without a new edge; None when nothing is pending."""
        if self.level is _level(active=self._raw):
            return None
        return self._since_s + (QUIET_S if self.level is Level.FAULTED else self._hold_s)

    def take(self, *, active: bool, now_s: float) -> tuple[Level, ...]:
        """Take in the raw level: at an edge, at a deadline, or whenever somebody looked.

        Args:
            active: the raw level now.
            now_s: monotonic time; one before the last edge counts as that edge's.

        Returns:
            Levels that have come to count since the last call, in order.
        """
        now_s = max(now_s, self._since_s)  # a driver may tell an edge late
        told = list(self._settled(now_s))
        if active != self._raw:
            self._raw, self._since_s = active, now_s
            self._edges_s.append(now_s)
            if self.level is not Level.FAULTED and self._chatters():
                self.level = Level.FAULTED
                told.append(self.level)
        return tuple(told)

    def _settled(self, now_s: float) -> tuple[Level, ...]:
        if self.deadline_s is None or now_s < self.deadline_s:
            return ()
        if self.level is Level.FAULTED:
            self._edges_s.clear()
        self.level = _level(active=self._raw)
        return (self.level,)

    def _chatters(self) -> bool:
        full = len(self._edges_s) > CHATTER_EDGES
        return full and self._edges_s[-1] - self._edges_s[0] <= CHATTER_S


def _level(*, active: bool) -> Level:
    return Level.ACTIVE if active else Level.INACTIVE
