"""Looks at the clocks once a second and puts on record what the wall clock did. Control thread only."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent.clock import Clock, Stamp
from station_agent.core.timekeeping import Timekeeping

LOOK_S: Final = 1.0
TORN_S: Final = 0.2
"""Two clocks read further apart than this, in a process that was stopped in between, say nothing about each other."""


class Anchors(Protocol):
    """Where moments that date a run are kept."""

    def keep_anchor(self, stamp: Stamp) -> None:
        """Keep it; returns at once."""


class Timekeeper:
    """One for the station."""

    def __init__(
        self, *, clock: Clock, anchors: Anchors, record: Callable[[EventKind, Mapping[str, Scalar]], None]
    ) -> None:
        self._clock = clock
        self._anchors = anchors
        self._record = record
        self._timekeeping = Timekeeping()
        self._looked_s: float | None = None

    def tick(self) -> None:
        """Look, if it is time to."""
        began_s = self._clock.monotonic_s()
        if self._looked_s is not None and began_s - self._looked_s < LOOK_S:
            return
        at = self._clock.stamp()
        if self._clock.monotonic_s() - began_s > TORN_S:
            return
        self._looked_s = began_s
        look = self._timekeeping.look(mono_ms=at.mono_ms, wall_ms=at.wall_ms, trust=at.trust)
        for change in look.changes:
            self._record(change.kind, change.data)
        if look.anchor:
            self._anchors.keep_anchor(at)
