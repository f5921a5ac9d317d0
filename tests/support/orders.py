"""Orders as a hub makes them, and a judge for them, for tests of ``core.commands``."""

from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec

from firmware_config.wire import Challenge, Clock, Evidence, Go, Order
from station_agent.core.commands import Commands, Known

STATION, INSTALL, BOOT = "st-demo0001", "1" * 32, "b" * 32
NOON_MS = 1_760_000_000_000
SEEN = Evidence(energised_mono_ms=1, opened_mono_ms=2)


@dataclass(frozen=True)
class At:
    """A moment; the wall clock follows the monotonic one unless told otherwise."""

    mono_ms: int
    wall_ms: int = -1
    trust: Clock = "unsynced"

    def __post_init__(self) -> None:
        if self.wall_ms < 0:
            object.__setattr__(self, "wall_ms", NOON_MS + self.mono_ms)


def an_order(cmd: int = 1, **changes: Any) -> Order:
    order = Order(
        station=STATION, cmd_id=f"{cmd:032x}", door="main", verb="unlock", pulse_ms=5000, issued_ms=NOON_MS
    )
    return msgspec.structs.replace(order, **changes)


def a_go(order: Order, challenge: Challenge, **changes: Any) -> Go:
    go = Go(
        **{name: getattr(order, name) for name in order.__struct_fields__},
        boot_id=BOOT,
        nonce=challenge.nonce,
    )
    return msgspec.structs.replace(go, **changes)


def begin(known: dict[str, Known] | None = None) -> Commands:
    fresh = count(1)
    return Commands(
        station=STATION,
        install_id=INSTALL,
        boot_id=BOOT,
        doors=("main", "side"),
        nonce=lambda: f"{next(fresh):032x}",
        known=known or {},
    )
