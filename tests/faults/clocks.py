"""Campaign ``clocks`` (22): wall clocks that are wrong or jump while everything runs; monotonic clocks stay as they are.

libfaketime moves the clock of one process; the other processes, the trace and the judge keep the machine's.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import select

from cloud_hub.models import Event
from tests.faults.checker import check
from tests.faults.report import Campaign
from tests.faults.rig import DOORS, Rig, Station, fresh
from tests.faults.witness import Witness
from tests.support.station import wait_for

LIBRARY: Final = "libfaketimeMT.so.1"
JUMPS: Final = {
    "30 days back": -30 * 86_400,
    "a year ahead": 365 * 86_400,
    "1970": None,
    "an hour ahead": 3_600,
    "an hour back": -3_600,
    "a minute back": -60,
}
"""Seconds; None is the start of 1970."""

DATED_S: Final = 2.0
"""Most that the hub may be wrong about when something happened (safety.md D10)."""


def library() -> Path | None:
    """libfaketime, where Debian puts it."""
    return next(iter(sorted(Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"))), None)


class FakeClock:
    """The wall clock of one process, moved by a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.right()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # otherwise a child would take the offset of its parent as well
            "FAKETIME_DONT_RESET": "1",
        }

    def right(self) -> None:
        self._file.write_text("+0s\n", encoding="ascii")

    def jump(self, seconds: int | None) -> None:
        """Be wrong by so much from now on."""
        wrong_s = -int(time.time()) + 3_600 if seconds is None else seconds
        self._file.write_text(f"{wrong_s:+d}s\n", encoding="ascii")


@dataclass
class Scene:
    """A rig whose station and bridge have clocks of their own."""

    rig: Rig
    station_clock: FakeClock
    bridge_clock: FakeClock
    witness: Witness
    random: random.Random
    violations: list[str]
    trials: Counter[str]
    figures: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def station(self) -> Station:
        return self.rig.stations[0]

    def order(self, door: str) -> str:
        """Order, wait until it is over, and say how it ended."""
        command = self.witness.order(self.station, door)
        if command is None:
            return f"not taken {self.witness.refused}"
        states: list[str] = []

        def over() -> bool:
            shown = self.witness.look(command)
            if shown is not None and shown.final:
                states.append(shown.state)
            return bool(states)

        wait_for(over, what=f"{command} over")
        return states[0]

    def must(self, condition: object, what: str) -> None:
        if not condition:
            last = self.rig.commands()[-1:]
            self.violations.append(f"22 {what}; last order {[(row.id, row.state, row.code) for row in last]}")


def unsynced(scene: Scene, name: str, door: str) -> None:
    """Nobody vouches for the station's clock: the nonce alone decides, and a good order is obeyed."""
    scene.station.does(op="clock", synced=False)
    scene.station_clock.jump(JUMPS[name])
    scene.rig.await_online()
    state = scene.order(door)
    scene.must(state == "PULSED_NOT_OPENED", f"unsynced, {name}: a good order ended as {state}")
    _dated(scene, door, name)


def deceived(scene: Scene, name: str, door: str) -> None:
    """The time service vouches for a wrong clock: refused, never obeyed; right again, obeyed again."""
    scene.station_clock.jump(JUMPS[name])
    scene.station.does(op="clock", synced=True)
    scene.rig.await_online()
    state = scene.order(door)
    scene.must(
        state in {"NO_CHALLENGE", "REJECTED", "EXPIRED"}, f"synced but wrong, {name}: ended as {state}"
    )
    scene.station_clock.right()
    state = scene.order(door)
    scene.must(state == "PULSED_NOT_OPENED", f"right again after {name}: a good order ended as {state}")


def stepped_hub(scene: Scene, name: str, door: str) -> None:
    """The hub's clock jumps with an order under way: the order ends, and the next one works."""
    scene.rig.await_online()
    command = scene.witness.order(scene.station, door)
    scene.bridge_clock.jump(JUMPS[name])
    try:
        wait_for(lambda: not scene.rig.unsettled(), within_s=60, what=f"hub {name}: {command} over")
    finally:
        scene.bridge_clock.right()
    scene.witness.look_at_all()
    scene.rig.await_online()


def _dated(scene: Scene, door: str, name: str) -> None:
    """An event of a station with a wrong clock is dated right, by the monotonic clock."""
    before = scene.rig.total(Event)
    at = time.time()
    scene.witness.open_door(scene.station, door)
    scene.station.does(op="contact", door=door, open=False)
    wait_for(lambda: scene.rig.total(Event) > before and not scene.witness.owed(), what="the event")
    with scene.rig.sessions() as session:
        query = select(Event).where(Event.kind.in_(("door.opened", "door.forced"))).order_by(Event.id.desc())
        row = session.scalars(query.limit(1)).one()
    wrong_s = abs(row.occurred_at.timestamp() - at)
    scene.figures["dated wrong by at most s"] = max(
        round(wrong_s, 3), float(scene.figures.get("dated wrong by at most s", 0))
    )
    scene.must(wrong_s <= DATED_S, f"{name}: an event is dated {wrong_s:.1f} s wrong")


ACTS: Final[tuple[Callable[[Scene, str, str], None], ...]] = (unsynced, deceived, stepped_hub)
A_RIG: Final = 8


def clocks(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` jumps, each with one or two orders."""
    begun_s = time.monotonic()
    violations: list[str] = []
    trials: Counter[str] = Counter()
    figures: dict[str, float | int | str] = {}
    chooser = random.Random(seed)  # noqa: S311 (a seed, no secret)
    plan = [(ACTS[number % len(ACTS)], list(JUMPS)[number // len(ACTS) % len(JUMPS)]) for number in range(n)]
    for first in range(0, n, A_RIG):
        own = fresh(folder)
        rig = Rig(own)
        scene = Scene(
            rig,
            FakeClock(own / "station.clock"),
            FakeClock(own / "bridge.clock"),
            Witness(rig),
            chooser,
            violations,
            trials,
            figures,
        )
        faked = {
            rig.stations[0].name: scene.station_clock.environment,
            "bridge": scene.bridge_clock.environment,
        }
        try:
            rig.start(environments=faked)
            for number, (act, name) in enumerate(plan[first : first + A_RIG]):
                act(scene, name, DOORS[number])
                trials[act.__name__] += 1
            wait_for(lambda: not (rig.unsettled() or rig.gaps()), within_s=60, what="all over")  # noqa: B023
            # the bridge's own rows are dated by a clock that jumped: only what the wire shows is judged
            found = [one for one in check(scene.witness.history()) if one.rule not in {"I2", "I3", "I4"}]
            violations += [str(violation) for violation in found]
        except AssertionError as error:
            violations.append(f"22 in {own}: {error}")
        finally:
            rig.close()
    counted = {f"jumps, {name}": count for name, count in sorted(trials.items())}
    return Campaign(
        "clocks", sum(trials.values()), seed, violations, {**figures, **counted}, time.monotonic() - begun_s
    )
