"""One reading of the station's clocks, as the cores see it. PURE."""

from typing import Protocol

from firmware_config.wire import Clock


class Moment(Protocol):
    """A reading of the station's clocks; ``station_agent.clock.Stamp`` is one."""

    @property
    def mono_ms(self) -> int:
        """CLOCK_BOOTTIME in milliseconds."""

    @property
    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch."""

    @property
    def trust(self) -> Clock:
        """What ``wall_ms`` is worth."""
