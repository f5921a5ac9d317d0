"""The machine's clocks, and a time service that whoever drives the simulation switches on and off."""

from dataclasses import replace

from station_agent.clock import Stamp, SystemClock


class SimulatedClock(SystemClock):
    """As the machine's, unless told what the wall clock is worth.

    Attributes:
        synced: None leaves it to the machine.
    """

    synced: bool | None = None

    def stamp(self) -> Stamp:
        """This moment."""
        stamp = super().stamp()
        if self.synced is None:
            return stamp
        return replace(stamp, trust="synced" if self.synced else "unsynced")
