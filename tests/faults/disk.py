"""Campaign ``damage`` (21): files of a stopped station are damaged before the real agent starts on them.

What must hold: the door's service is back, the station never answers wrongly in silence, and the hub hears of it.
"""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import select

from cloud_hub.models import Event
from tests.faults.checker import check
from tests.faults.processes import spread
from tests.faults.report import Campaign
from tests.faults.rig import EXITS, Rig, Station, fresh, running
from tests.faults.witness import Witness
from tests.support.station import wait_for

SERVICE_S: Final = 20.0
"""After a damaged file the door works again within this (safety.md D5)."""

A_RIG: Final = 50
PAGE: Final = 4096


def _flip(data: bytearray, chooser: random.Random, _: bytes) -> bytearray:
    for _bit in range(chooser.choice((1, 4, 64))):
        place = chooser.randrange(len(data))
        data[place] ^= 1 << chooser.randrange(8)
    return data


def _truncate(data: bytearray, chooser: random.Random, _: bytes) -> bytearray:
    return data[: chooser.randrange(len(data))]


def _zero(data: bytearray, chooser: random.Random, _: bytes) -> bytearray:
    place = chooser.randrange(len(data)) // PAGE * PAGE
    end = min(len(data), place + PAGE)
    data[place:end] = bytes(end - place)
    return data


def _older(data: bytearray, chooser: random.Random, old: bytes) -> bytearray:
    """One page as it was at an earlier time."""
    place = chooser.randrange(len(data)) // PAGE * PAGE
    chunk = old[place : place + PAGE]
    data[place : place + len(chunk)] = chunk
    return data


WAYS: Final[dict[str, Callable[[bytearray, random.Random, bytes], bytearray]]] = {
    "bits flipped": _flip,
    "truncated": _truncate,
    "page zeroed": _zero,
    "older page": _older,
}


def store_files(station: Station) -> list[Path]:
    """What an agent keeps, without locks, what was set aside, and what SQLite makes anew by itself."""
    found = (station.folder / "data").rglob("*")
    return sorted(
        path
        for path in found
        if path.is_file()
        and path.stat().st_size
        and ".damaged-" not in path.name
        and path.name != "ballast.bin"  # nothing is in it
        and not path.name.endswith((".lock", "-shm"))
    )


def press_exit(station: Station, door: str) -> bool:
    """Somebody inside presses the button; whether the relay moved."""
    wire = f"relay:{door}"
    before = len([edge for edge in station.edges() if edge["device"] == wire and edge["value"]])
    station.does(op="exit", door=door)
    wait_for(
        lambda: len([edge for edge in station.edges() if edge["device"] == wire and edge["value"]]) > before,
        within_s=SERVICE_S,
        what=f"{door} obeys its exit button",
    )
    return True


def _set_aside(station: Station) -> set[str]:
    return {path.name for path in (station.folder / "data").rglob("*.damaged-*")}


def _told(rig: Rig) -> int:
    """Events at the hub that speak of damage."""
    with rig.sessions() as session:
        rows = session.scalars(select(Event).where(Event.kind.in_(("storage.damaged", "station.started"))))
        return sum(row.kind == "storage.damaged" or bool(row.data.get("set_aside")) for row in rows)


class _Vandal:
    """Damages one file of a stopped station at a time."""

    def __init__(self, rig: Rig, chooser: random.Random, violations: list[str]) -> None:
        self.rig = rig
        self.station = rig.stations[0]
        self.witness = Witness(rig)
        self.random = chooser
        self.violations = violations
        self.by_way: Counter[str] = Counter()
        self.by_file: Counter[str] = Counter()
        self.start_s: list[float] = []
        self.noticed = 0
        self._old: dict[str, bytes] = {}

    def trial(self) -> None:
        door = self.random.choice(EXITS)
        wait_for(lambda: not self.witness.owed(), within_s=90, what=f"promises kept: {self.witness.owed()}")
        self.station.kill()
        self.witness.died(self.station.id)
        said = self._damage()
        aside, told = _set_aside(self.station), _told(self.rig)
        started_s = time.monotonic()
        try:
            self.station.start()
            press_exit(self.station, door)
        except AssertionError as error:
            self.violations.append(f"21 {said}: no service: {error}")
            self._rebuild()
            return
        self.start_s.append(time.monotonic() - started_s)
        if self.start_s[-1] > SERVICE_S:
            self.violations.append(f"21 {said}: the door was back after {self.start_s[-1]:.1f} s")
        # the shunt makes it a legal opening; either way it is one event
        self.witness.open_door(self.station, door)
        self.station.does(op="contact", door=door, open=False)
        if _set_aside(self.station) - aside:
            self.noticed += 1
            wait_for(lambda: _told(self.rig) > told, within_s=90, what=f"the hub hears of it: {said}")

    def _damage(self) -> str:
        path = self.random.choice(store_files(self.station))
        way = self.random.choice(list(WAYS))
        data = path.read_bytes()
        old = self._old.setdefault(path.name, data)
        path.write_bytes(WAYS[way](bytearray(data), self.random, old))
        self.by_way[way] += 1
        self.by_file[path.name] += 1
        return f"{path.name} {way}"

    def _rebuild(self) -> None:
        self.station.kill()
        shutil.rmtree(self.station.folder / "data")
        self.station.start()


def damage(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` damaged files before a start."""
    begun_s = time.monotonic()
    violations: list[str] = []
    chooser = random.Random(seed)  # noqa: S311 (a seed, no secret)
    start_s: list[float] = []
    by_way: Counter[str] = Counter()
    by_file: Counter[str] = Counter()
    noticed = done = 0
    while done < n:
        with running(fresh(folder)) as rig:
            vandal = _Vandal(rig, chooser, violations)
            try:
                for _ in range(min(A_RIG, n - done)):
                    done += 1
                    vandal.trial()
                wait_for(lambda: not vandal.witness.owed(), within_s=90, what="promises kept")  # noqa: B023
            except AssertionError as error:
                violations.append(f"21 {error}")
            found = check(vandal.witness.history(settled=False, stores_lost=[rig.stations[0].id]))
            # the exit button moves relays that nobody ordered
            violations += [str(violation) for violation in found if violation.rule != "I3"]
        start_s += vandal.start_s
        by_way += vandal.by_way
        by_file += vandal.by_file
        noticed += vandal.noticed
    figures: dict[str, float | int | str] = {
        **{f"door back {name} s": value for name, value in spread(start_s).items()},
        "set aside": noticed,
        "ways": _counted(by_way),
        "files": _counted(by_file),
    }
    return Campaign("damage", done, seed, violations, figures, time.monotonic() - begun_s)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
