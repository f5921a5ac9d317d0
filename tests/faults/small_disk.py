"""Campaigns ``disk-full`` (19) and ``disk-read-only`` (20): the real agent on a small tmpfs that fills, or takes no writing.

Orders are refused truthfully, the exit button works, the agent lives, and with room again everything goes on.
"""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cloud_hub.models import StationStatus
from tests.faults.checker import check
from tests.faults.disk import press_exit
from tests.faults.processes import spread
from tests.faults.report import Campaign
from tests.faults.rig import DOORS, EXITS, Rig, Station, fresh
from tests.faults.witness import Witness
from tests.support.station import wait_for

A_RIG: Final = 4
"""Trials before a fresh rig: a door takes three orders a minute."""

ORDERED: Final = DOORS[len(EXITS) :]
"""Doors without an exit button: their relays move by orders alone."""

TRIES: Final = 4
OBEYED: Final = frozenset({"PULSED_NOT_OPENED", "OPENED"})
REFUSED: Final = frozenset({"REJECTED", "NO_CHALLENGE", "DEVICE_OFFLINE", "EXPIRED"})


class Mounted:
    """A small file system below a station's data folder, in a mount namespace that dies with its holder."""

    def __init__(self, station: Station, options: str) -> None:
        self._data = station.folder / "data"
        self._data.mkdir(exist_ok=True)
        script = f'mount -t tmpfs -o {options} tmpfs "$1" && echo up && exec sleep infinity'
        self._holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, "sh", str(self._data)], stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n", "no tmpfs can be mounted here"
        self.wrap: Sequence[str] = ("nsenter", "-t", str(self._holder.pid), "-m", "--")

    @property
    def path(self) -> Path:
        """The data folder, seen from outside."""
        return Path(f"/proc/{self._holder.pid}/root{self._data}")

    def remount(self, option: str) -> None:
        """``ro`` or ``rw``; nobody may be writing."""
        subprocess.run([*self.wrap, "mount", "-o", f"remount,{option}", str(self._data)], check=True)

    def fill(self) -> None:
        """Take every byte that is left."""
        taken = sorted(self.path.glob("filler*"))
        if not taken:
            (self.path / "filler").touch()
        with (taken[0] if taken else self.path / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def fill_inodes(self) -> None:
        """Take every file that is left."""
        number = 0
        try:
            while True:
                (self.path / f"filler{number}").touch()
                number += 1
        except OSError:
            return

    def free(self) -> None:
        """Give it all back."""
        for path in self.path.glob("filler*"):
            path.unlink()

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[tuple[Rig, Station, Mounted]]:
    """A rig whose station keeps its data on a small tmpfs."""
    rig = Rig(fresh(folder))
    station = rig.stations[0]
    mounted = Mounted(station, options)
    try:
        rig.start(wraps={station.id: mounted.wrap})
        yield rig, station, mounted
    finally:
        rig.close()
        mounted.close()


class _Visitor:
    """Orders one door after the other, and says how each order ended."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.station = rig.stations[0]
        self.witness = Witness(rig)
        self.outcomes: Counter[str] = Counter()
        self._turn = 0

    def order(self) -> str:
        self._turn += 1
        door = ORDERED[self._turn % len(ORDERED)]
        self.rig.await_online()
        command = self.witness.order(self.station, door)
        if command is None:
            return "not taken"
        ended: list[str] = []

        def over() -> bool:
            shown = self.witness.look(command)
            if shown is not None and shown.final:
                ended.append(shown.state)
            return bool(ended)

        wait_for(over, within_s=60, what=f"{command} over")
        self.outcomes[ended[0]] += 1
        return ended[0]

    def can_keep(self) -> bool:
        """The hub has heard that the station's disk takes writing again."""
        with self.rig.sessions() as session:
            return session.get_one(StationStatus, self.station.id).storage in {"ok", "low"}

    def order_until(self, wanted: frozenset[str]) -> bool:
        """Try a few doors; whether an order ended as wanted."""
        return any(self.order() in wanted for _ in range(TRIES))


def _fill_up(visitor: _Visitor, disk: Mounted, door: str, *, inodes: bool) -> list[str]:
    """19. What is wrong with a station whose disk is full, and then is not."""
    wrong = []
    for _ in range(TRIES):  # the reserve goes first
        if inodes:
            disk.fill_inodes()
        disk.fill()
        if (ended := visitor.order()) in REFUSED:
            break
    else:
        wrong.append(f"19 orders were still obeyed on a full disk: {ended}")
    press_exit(visitor.station, door)
    if not visitor.station.alive:
        wrong.append(f"19 the agent ended: {visitor.station.last_words()}")
    disk.free()
    return wrong


def full(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` times: fill, order, press the exit, free, order."""
    begun_s = time.monotonic()
    chooser = random.Random(seed)  # noqa: S311 (a seed, no secret)
    wrong: list[str] = []
    recovery_s: list[float] = []
    outcomes: Counter[str] = Counter()
    for first in range(0, n, A_RIG):
        with small_disk(folder, "size=8m,nr_inodes=64") as (rig, _, disk):
            visitor = _Visitor(rig)
            try:
                for number in range(first, min(n, first + A_RIG)):
                    door = chooser.choice(EXITS)
                    wrong += _fill_up(visitor, disk, door, inodes=number % 2 == 1)
                    freed_s = time.monotonic()
                    wait_for(visitor.can_keep, what="the hub hears that the disk takes writing")
                    if not visitor.order_until(OBEYED):
                        wrong.append("19 with room again no order was obeyed")
                    recovery_s.append(time.monotonic() - freed_s)
            except AssertionError as error:
                wrong.append(f"19 in {rig.folder}: {error}")
            wrong += _judged(visitor)
            outcomes += visitor.outcomes
    figures: dict[str, float | int | str] = {
        **{f"obeyed again {name} s": value for name, value in spread(recovery_s).items()},
        "outcomes": ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items())),
    }
    return Campaign("disk-full", n, seed, wrong, figures, time.monotonic() - begun_s)


def read_only(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` times: start on a disk that takes no writing, order, press the exit; then on one that does."""
    begun_s = time.monotonic()
    chooser = random.Random(seed)  # noqa: S311 (a seed, no secret)
    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    for first in range(0, n, A_RIG):
        with small_disk(folder, "size=8m") as (rig, station, disk):
            visitor = _Visitor(rig)
            try:
                for _ in range(first, min(n, first + A_RIG)):
                    _restart(station, disk, "ro")
                    press_exit(station, chooser.choice(EXITS))
                    if (ended := visitor.order()) not in REFUSED:
                        wrong.append(f"20 an order on a read-only disk ended as {ended}")
                    _restart(station, disk, "rw")
                    if not visitor.order_until(OBEYED):
                        wrong.append("20 writable again, no order was obeyed")
            except AssertionError as error:
                wrong.append(f"20 in {rig.folder}: {error}")
            wrong += _judged(visitor)
            outcomes += visitor.outcomes
    figures: dict[str, float | int | str] = {
        "outcomes": ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
    }
    return Campaign("disk-read-only", n, seed, wrong, figures, time.monotonic() - begun_s)


def _restart(station: Station, disk: Mounted, option: str) -> None:
    station.kill()
    disk.remount(option)
    station.launch(wrap=disk.wrap)
    station.await_ready()


def _judged(visitor: _Visitor) -> list[str]:
    """By the checker; the exit button moves relays that nobody ordered, and what a full disk lost has its gaps."""
    history = visitor.witness.history(settled=False, stores_lost=[visitor.station.id])
    return [str(one) for one in check(history) if one.rule != "I3"]
