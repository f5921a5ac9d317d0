"""A clock that a test moves by hand."""

from station_agent.clock import Stamp


class HandClock:
    """Stands still until told otherwise."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.boot_id = "0" * 32
        self._now_s = now_s

    def monotonic_s(self) -> float:
        return self._now_s

    def stamp(self) -> Stamp:
        mono_ms = int(self._now_s * 1000)
        return Stamp(
            boot_id=self.boot_id, mono_ms=mono_ms, wall_ms=1_700_000_000_000 + mono_ms, trust="synced"
        )

    def advance(self, seconds: float) -> None:
        self._now_s += seconds
