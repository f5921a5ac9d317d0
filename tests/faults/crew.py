"""Some light stations in a process of their own, led over a pipe."""

import logging
import random
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from firmware_config.turns import take_short_turns
from firmware_config.vocabulary import EventKind
from tests.benchmarks.fleet import LightStation

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from firmware_config.wire import Scalar

KINDS: Final = (EventKind.DOOR_OPENED, EventKind.ACCESS_GRANTED, EventKind.HELP_REQUESTED)
ANSWER_S: Final = 60.0


class Crew:
    """``with`` opens their stores; each word waits until all of them have obeyed."""

    def __init__(self, homes: Sequence[Path]) -> None:
        """Prepare.

        Args:
            homes: folders, each with a station file.
        """
        context = get_context("spawn")
        self._line, other = context.Pipe()
        self._process = context.Process(target=_work, args=(list(homes), other), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._line.send(("close",))
        self._process.join(ANSWER_S)
        self._process.kill()

    def connect(self) -> None:
        """The network is there."""
        self._ask("connect")

    def keep(self, count: int, *, seed: int) -> None:
        """So many things happen at each of them."""
        self._ask("keep", count, seed)

    def drained(self) -> bool:
        """Nothing waits at any of them."""
        return bool(self._ask("drained"))

    def _ask(self, *words: object) -> object:
        self._line.send(words)
        return self._answer()

    def _answer(self) -> object:
        assert self._line.poll(ANSWER_S), "a crew does not answer"
        return self._line.recv()


def _work(homes: list[Path], line: "Connection[Any, Any]") -> None:
    take_short_turns()
    logging.disable(logging.WARNING)  # every cut line says so, of every station
    stations = [LightStation(home) for home in homes]

    def connect() -> None:
        for station in stations:
            station.connect()

    def keep(count: int, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 (a campaign, to be repeated)
        for station in stations:
            for number in range(count):
                data: dict[str, Scalar] = {"door": "main", "n": number}
                station.store.put_event(chance.choice(KINDS), data, station.clock.stamp())

    words: dict[str, Callable[..., object]] = {
        "connect": connect,
        "keep": keep,
        "drained": lambda: all(station.drained for station in stations),
    }
    line.send("ready")
    while (word := line.recv())[0] != "close":
        line.send(words[word[0]](*word[1:]))
    for station in stations:
        station.close()
