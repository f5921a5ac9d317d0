"""Fault 23 of safety.md: orders through a broker that doubles, delays, reorders, replays, retains, drops, swaps and lies."""

import contextlib
import random
import time
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from cloud_hub.errors import CallerError
from cloud_hub.models import Command
from tests.faults.broker import HONEST, HostileBroker, drawn
from tests.faults.report import Campaign
from tests.faults.site import Site
from tests.faults.truth import late_pulses, violations
from tests.support.station import wait_for

PACE_S: Final = 2.8
"""Eight doors take 24 orders a minute."""

PATIENCE_S: Final = 10.0
"""A station that the last mood has driven away may come back first."""

SETTLE_S: Final = 90.0
OLDEST: Final = 400
"""Commands replayed at the end."""


def run(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` orders, each in a mood of its own; then calm, and every command that ever passed once more."""
    began_s = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 (a campaign, to be repeated)
    with HostileBroker(seed=seed) as broker, Site(folder / "s", broker.port, seed=seed) as site:
        placed = 0
        refused = 0
        for _ in range(n):
            broker.mood = drawn(chance)
            next_s = time.monotonic() + PACE_S
            with contextlib.suppress(AssertionError):
                site.await_presence("online", within_s=PATIENCE_S)
            try:
                site.order()
                placed += 1
            except CallerError:
                refused += 1  # the door's last order is not over, or may have opened it
            wait_for(lambda at_s=next_s: time.monotonic() >= at_s)  # type: ignore[misc]
        broker.mood = HONEST
        wrong = _settle(site)
        edges = len(site.edges("relay:"))
        commands = [logged.message for logged in broker.heard("/down/req") + broker.heard("/down/go")]
        broker.deliver(*commands[-OLDEST:])
        _settle(site)
        if (moved := len(site.edges("relay:")) - edges) != 0:
            wrong.append(
                f"I1: {moved} edges of relays while {len(commands[-OLDEST:])} old commands were replayed"
            )
        wrong += violations(site) + late_pulses(site, broker)
        orders = site.rows(Command)
        figures: dict[str, float | int | str] = {
            "orders": placed,
            "not taken": refused,
            "pulses": sum(value for _, _, value in site.edges("relay:")),
            "commands replayed at the end": len(commands[-OLDEST:]),
            "refused payloads": sum(site.rejected().values()),
            **{f"faults {name}": count for name, count in broker.done.items()},
            **{
                f"ended {state}": sum(o.state == state for o in orders)
                for state in sorted({o.state for o in orders})
            },
        }
    return Campaign("hostile-broker", placed, seed, wrong, figures, time.monotonic() - began_s)


def _settle(site: Site) -> list[str]:
    """Wait until nothing is open any more; what is open for too long."""

    def still() -> list[str]:
        return [f"{row.id[:8]} {row.state}" for row in site.rows(Command) if not row.final]

    try:
        site.await_quiet(within_s=SETTLE_S)
        wait_for(lambda: not still(), within_s=SETTLE_S)
    except (AssertionError, SQLAlchemyError) as error:
        return [f"I5: {SETTLE_S:.0f} s after the last fault: {error}; {still()}"]
    return []
