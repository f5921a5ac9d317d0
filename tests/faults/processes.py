"""Campaign ``kills``: agents, bridge, web and broker die at random moments and at named places while people use the doors."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Final

from firmware_config import crashpoint
from tests.faults.checker import check
from tests.faults.crowd import Crowd
from tests.faults.history import attribute
from tests.faults.parts import Part
from tests.faults.report import Campaign
from tests.faults.rig import Rig, Station, fresh
from tests.faults.witness import Witness
from tests.support.station import wait_for

KILLS_A_RIG: Final = 150
"""Then a fresh one, so that a history stays small enough to be judged as a whole."""

ROUND_S: Final = 1.2
DRAIN_EVERY: Final = 8
SETTLE_S: Final = 60.0
OFTEN: Final = ("bridge.batch.", "agent.event.", "agent.outbox.")
"""Places that are passed all the time: death comes at a later turn."""


def places(part: Part) -> list[str]:
    """Crash points of a process, in a fixed order."""
    owner = "agent" if isinstance(part, Station) else part.name
    return sorted(name for name in crashpoint.NAMES if name.startswith(owner + "."))


@dataclass
class Tally:
    """What a campaign counted, over all its rigs."""

    kills: int = 0
    by_place: Counter[str] = field(default_factory=Counter)
    by_part: Counter[str] = field(default_factory=Counter)
    orders: int = 0
    looks: int = 0
    promised: int = 0
    events: int = 0
    most_pulses: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    recovery_s: list[float] = field(default_factory=list)
    drain_s: list[float] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


class Reaper:
    """Kills one rig again and again."""

    def __init__(self, rig: Rig, tally: Tally, *, seed: int, wanted: list[str]) -> None:
        """Prepare.

        Args:
            rig: up.
            tally: counts go here.
            seed: of moments and victims.
            wanted: places that nobody has died at yet; armed first.
        """
        self.rig = rig
        self.tally = tally
        self.witness = Witness(rig)
        self._random = random.Random(seed)  # noqa: S311 (a seed, no secret)
        self._wanted = wanted
        self._armed: dict[str, str | None] = {}
        self._crowds = [
            Crowd(self.witness, station, seed=seed + number) for number, station in enumerate(rig.stations)
        ]
        self.kills = 0

    def round(self) -> None:
        """People come; some processes die; they are started again."""
        for crowd in self._crowds:
            crowd.start()
        try:
            end_s = time.monotonic() + ROUND_S
            victims = self._victims()
            moments = sorted(self._random.uniform(0.1, ROUND_S) for _ in victims)
            for victim, moment in zip(victims, moments, strict=True):
                time.sleep(max(0.0, end_s - ROUND_S + moment - time.monotonic()))
                if victim.alive:
                    self._bury(victim, "random moment")
            time.sleep(max(0.0, end_s - time.monotonic()))
        finally:
            for crowd in self._crowds:
                crowd.stop()
        self.revive(armed=True)

    def _victims(self) -> list[Part]:
        """Who dies at a random moment; the bridge most often, for it is between all the others."""
        pool = self._random.sample([*self.rig.parts, self.rig.bridge, *self.rig.stations], k=2)
        return list(dict.fromkeys(pool))[: self._random.choice((0, 1, 1, 2))]

    def drain(self) -> None:
        """Everything up and unarmed; wait until every order is over and every promise kept; look at every order."""
        for part in self.rig.parts:
            if self._armed.get(part.name) is not None and part.alive:
                self._bury(part, "to disarm it", count=False)
        self.revive(armed=False)
        started_s = time.monotonic()
        wait_for(
            lambda: not (self.rig.unsettled() or self.witness.owed() or self.rig.gaps()),
            within_s=SETTLE_S,
            what="all orders over and all promises kept",
        )
        self.tally.drain_s.append(time.monotonic() - started_s)
        self.witness.look_at_all()

    def revive(self, *, armed: bool) -> None:
        """Start what is dead, each armed for a place or for none, until the hub hears every station again."""
        for part in self.rig.parts:
            if part is self.rig.web and part.alive and not part.children():
                self._bury(part, str(self._armed.get(part.name)))
        self._note_the_dead()
        dead = [part for part in self.rig.parts if not part.alive]
        if not dead:
            return
        started_s = time.monotonic()
        for part in dead:
            self._armed[part.name] = self._arm(part) if armed else None
            part.launch(armed=self._armed[part.name])
        wait_for(self._serve, within_s=SETTLE_S, what="every process at work")
        self.tally.recovery_s.append(time.monotonic() - started_s)

    def serve(self) -> None:
        """After the last death every station opens a door for an order."""
        self.rig.await_online()
        for crowd in self._crowds:
            command, door = crowd.order_one()
            wait_for(lambda: not self.rig.unsettled(), within_s=SETTLE_S, what="the last order over")
            shown = None if command is None else self.witness.look(command)
            if shown is None or shown.state != "PULSED_NOT_OPENED":
                self.tally.violations.append(f"I5: {door} after the last death: {shown}")

    def judge(self) -> None:
        """Check everything this rig has seen."""
        history = self.witness.history()
        found = check(history)
        tally = self.tally
        tally.rules.update(violation.rule for violation in found)
        tally.violations += [str(violation) for violation in found]
        tally.orders += self.witness.orders
        tally.looks += self.witness.looks
        tally.promised += self.witness.promised
        tally.events += len(history.rows)
        tally.outcomes.update(order.state for order in history.orders)
        own = attribute(history).of.values()
        tally.most_pulses = max([tally.most_pulses, *(len(pulses) for pulses in own)])

    def _serve(self) -> bool:
        """Who is armed may die at once, and is then started unarmed."""
        self._note_the_dead()
        for part in self.rig.parts:
            if not part.alive:
                self._armed[part.name] = None
                part.launch()
        return all(part.ready() for part in self.rig.parts) and all(
            self.rig.online(station) for station in self.rig.stations
        )

    def _note_the_dead(self) -> None:
        for part in self.rig.parts:
            if part.died():
                self._count(part, self._armed.get(part.name) or "by itself")
                part.kill()

    def _bury(self, part: Part, place: str, *, count: bool = True) -> None:
        part.kill()
        if count:
            self._count(part, place)
        else:
            self.witness.died(part.name)

    def _count(self, part: Part, place: str) -> None:
        self.witness.died(part.name)
        name = place.split(":", maxsplit=1)[0]
        self.kills += 1
        self.tally.kills += 1
        self.tally.by_place[name] += 1
        self.tally.by_part["agent" if isinstance(part, Station) else part.name] += 1
        if name in self._wanted:
            self._wanted.remove(name)

    def _arm(self, part: Part) -> str | None:
        own = places(part)
        if not own or self._random.random() < 0.2:
            return None
        first = [name for name in own if name in self._wanted]
        name = self._random.choice(first or own)
        return f"{name}:{self._random.randint(1, 8)}" if name.startswith(OFTEN) else name


def kills(n: int, seed: int, folder: Path) -> Campaign:
    """At least ``n`` deaths of processes by SIGKILL; n counts deaths."""
    started_s = time.monotonic()
    tally = Tally()
    wanted = sorted(crashpoint.NAMES)
    number = 0
    while tally.kills < n:
        rig = Rig(fresh(folder), stations=2)
        reaper = Reaper(rig, tally, seed=seed * 1_000 + number, wanted=wanted)
        try:
            _live(reaper, until=min(KILLS_A_RIG, n - tally.kills))
        except AssertionError as error:
            tally.violations.append(f"I5: rig {number} in {rig.folder}: {error}")
        finally:
            rig.close()
        number += 1
    return Campaign(
        "kills", tally.kills, seed, tally.violations, _figures(tally), time.monotonic() - started_s
    )


def _live(reaper: Reaper, *, until: int) -> None:
    """One rig from its first start to its judgement."""
    reaper.revive(armed=True)
    rounds = 0
    while reaper.kills < until:
        reaper.round()
        rounds += 1
        if rounds % DRAIN_EVERY == 0:
            reaper.drain()
    reaper.drain()
    reaper.serve()
    reaper.judge()


def _figures(tally: Tally) -> dict[str, float | int | str]:
    never = sorted(crashpoint.NAMES - tally.by_place.keys())
    return {
        "orders": tally.orders,
        "answers shown to operators": tally.looks,
        "openings promised": tally.promised,
        "events at the hub": tally.events,
        "acknowledged then lost": tally.rules["lost"],
        "duplicated": tally.rules["once"],
        "outcomes that contradict the wire": tally.rules["I4"],
        "most pulses of an order": tally.most_pulses,
        **{f"recovery {name} s": value for name, value in spread(tally.recovery_s).items()},
        **{f"drain {name} s": value for name, value in spread(tally.drain_s).items()},
        "victims": _counted(tally.by_part),
        "places": _counted(tally.by_place),
        "places nobody died at": ", ".join(never) or "none",
        "outcomes": _counted(tally.outcomes),
    }


def spread(values: list[float]) -> dict[str, float]:
    """p50, p99 and the largest."""
    if len(values) < 2:
        return {"max": max(values, default=0.0)}
    cuts = quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "max": round(max(values), 3)}


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
