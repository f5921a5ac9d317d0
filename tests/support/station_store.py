"""A store with a clock that a test moves by hand."""

from pathlib import Path

from station_agent.clock import Stamp
from station_agent.store.store import Store

STATION = "st-test0001"
BOOT = "b" * 32
NOON_MS = 1_760_000_000_000


def stamp(
    mono_ms: int = 0, *, boot_id: str = BOOT, wall_ms: int | None = None, synced: bool = False
) -> Stamp:
    """A moment ``mono_ms`` after the test began."""
    return Stamp(
        boot_id=boot_id,
        mono_ms=mono_ms,
        wall_ms=NOON_MS + mono_ms if wall_ms is None else wall_ms,
        trust="synced" if synced else "unsynced",
    )


def open_store(folder: Path, at: Stamp | None = None) -> Store:
    """Open or reopen the station's store."""
    return Store(folder, station=STATION, stamp=at or stamp())
