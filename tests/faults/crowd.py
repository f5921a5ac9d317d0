"""People before a rig: they click, watch what becomes of it, walk through doors that open and force some that do not."""

import random
import threading
import time
from collections import deque
from functools import partial
from typing import Final

from station_agent.core.debounce import CHATTER_EDGES, CHATTER_S
from tests.faults.rig import DOORS, Station
from tests.faults.witness import Witness
from tests.support.station import wait_for

PER_DOOR: Final = 3
"""Orders a minute that the hub takes for a door; a few more are tried."""

AFTER_S: Final = 65.0
"""The hub counts its minute from when it had an order, which is later than the click."""

SWINGS: Final = CHATTER_EDGES // 2 - 2
"""Openings of a door in ``CHATTER_S``: with more edges than a person makes its contact is not believed, and rightly."""


class Crowd:
    """One thread for a station, from ``start`` to ``stop``; may start again."""

    def __init__(self, witness: Witness, station: Station, *, seed: int) -> None:
        self._witness = witness
        self._station = station
        self._random = random.Random(seed)  # noqa: S311 (a seed, no secret)
        self._clicked: dict[str, deque[float]] = {door: deque(maxlen=PER_DOOR) for door in DOORS}
        self._swung: dict[str, deque[float]] = {door: deque(maxlen=SWINGS) for door in DOORS}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.fault: BaseException | None = None

    def start(self) -> None:
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"crowd-{self._station.id}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(60)
        if self.fault is not None:
            raise self.fault

    def order_one(self) -> tuple[str | None, str]:
        """Click once, now that nobody else does: the order's id when the hub took it, and the door."""
        rested = partial(self._may_click, rest_s=AFTER_S)
        wait_for(lambda: any(map(rested, DOORS)), within_s=2 * AFTER_S, what="a door to order")
        door = next(filter(rested, DOORS))
        self._clicked[door].append(time.monotonic())
        return self._witness.order(self._station, door), f"{self._station.id}/{door}"

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._scene()
        except BaseException as error:  # noqa: BLE001 (told to whoever stops the crowd)
            self.fault = error

    def _scene(self) -> None:
        free = [door for door in DOORS if self._may_click(door)]
        act = self._random.random()
        if free and act < 0.7:
            door = self._random.choice(free)
            self._clicked[door].append(time.monotonic())
            self._visit(door, walks=self._random.random() < 0.6 and self._may_swing(door))
        elif act < 0.9:
            self._swing(self._random.choice(DOORS))
        else:
            self._station.does(op="mains", up=self._random.random() < 0.5)
        self._stopping.wait(0.02)

    def _may_click(self, door: str, *, rest_s: float = 60.0) -> bool:
        clicks = self._clicked[door]
        return len(clicks) < PER_DOOR or time.monotonic() - clicks[0] > rest_s

    def _may_swing(self, door: str) -> bool:
        swung = self._swung[door]
        return len(swung) < SWINGS or time.monotonic() - swung[0] > CHATTER_S

    def _open(self, door: str) -> bool:
        self._swung[door].append(time.monotonic())
        return self._witness.open_door(self._station, door)

    def _visit(self, door: str, *, walks: bool) -> None:
        command = self._witness.order(self._station, door)
        until_s = time.monotonic() + 1.5
        opened = False
        while not self._stopping.is_set() and time.monotonic() < until_s:
            if command is not None and (shown := self._witness.look(command)) and shown.final:
                break
            if not opened and walks and self._station.levels().get(f"relay:{door}"):
                opened = self._open(door)
            self._stopping.wait(0.05)
        if opened:
            self._station.does(op="contact", door=door, open=False)

    def _swing(self, door: str) -> None:
        """Without any order: forced, or held shut by nobody's fault."""
        if not self._may_swing(door):
            return
        self._open(door)
        self._station.does(op="contact", door=door, open=False)
