"""Campaign ``stalls``: processes that stand still, die with a relay energised, or lose their memory or their database."""

import random
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine

from tests.faults.checker import check
from tests.faults.report import Campaign
from tests.faults.rig import DOORS, Rig, fresh, running
from tests.faults.witness import Witness
from tests.support.station import wait_for

SETTLE_S: Final = 60.0
DOORS_AT_ONCE: Final = 4
SHORT_S: Final = (0.5, 1.5, 2.9, 3.2, 5.0)
LONG_S: Final = (1.0, 2.0, 3.0, 4.0, 8.0, 15.0, 60.0)


@dataclass
class Found:
    """What a campaign counted."""

    trials: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    figures: dict[str, float | int | str] = field(default_factory=dict)

    def must(self, condition: object, what: str) -> None:
        if not condition:
            self.violations.append(what)


@dataclass
class Scene:
    """A rig, its witness, and where to write what is found."""

    rig: Rig
    witness: Witness
    found: Found
    random: random.Random
    long: bool

    def settle(self) -> None:
        wait_for(
            lambda: not (self.rig.unsettled() or self.witness.owed() or self.rig.gaps()),
            within_s=SETTLE_S,
            what=f"every order over and every promise kept: {self.rig.unsettled()}",
        )
        self.witness.look_at_all()

    def judge(self) -> None:
        history = self.witness.history()
        self.found.violations += [str(violation) for violation in check(history)]
        self.found.outcomes.update(order.state for order in history.orders)


def still(scene: Scene) -> None:
    """13: agent, broker or bridge stands still between click and pulse; nothing moves late when it goes on."""
    rig, station = scene.rig, scene.rig.stations[0]
    victim = scene.random.choice([station, station, rig.broker, rig.bridge])
    length_s = scene.random.choice(LONG_S if scene.long else SHORT_S)
    rig.await_online()
    doors = scene.random.sample(DOORS, k=DOORS_AT_ONCE)
    clicks = [threading.Thread(target=scene.witness.order, args=(station, door)) for door in doors]
    for click in clicks:
        click.start()
        time.sleep(scene.random.uniform(0, 0.03))
    time.sleep(scene.random.uniform(0, 0.2))
    since = time.time()
    victim.pause()
    try:
        time.sleep(length_s)
    finally:
        victim.resume()
        scene.witness.stood(victim.name, since=since)
    for click in clicks:
        click.join(30)
    scene.settle()
    scene.found.trials["13 stood still"] += DOORS_AT_ONCE


def mid_pulse(scene: Scene) -> None:
    """14: the agent dies with the relay energised. The next start finds it released; what lies between is the one-shot's."""
    rig, station = scene.rig, scene.rig.stations[0]
    door = scene.random.choice(DOORS)
    wire = f"relay:{door}"
    rig.await_online()
    command = scene.witness.order(station, door)
    if command is None:
        return
    wait_for(lambda: station.levels().get(wire) or not rig.unsettled(), within_s=20, what="pulse")
    energised = station.levels().get(wire)
    station.kill()
    scene.witness.died(station.id)
    station.start()
    scene.found.must(station.levels().get(wire) == 0, f"{door}: energised after the restart")
    scene.settle()
    shown = scene.witness.look(command)
    if energised and shown is not None:
        told = shown.state in {"INTERRUPTED", "PULSED_NOT_OPENED"}
        scene.found.must(told, f"{command}: cut off in its pulse and shown as {shown.state}")
        scene.found.trials["14 died in the pulse"] += 1


def authorising(scene: Scene) -> None:
    """16: the bridge dies between the challenge and GO: no GO without row and audit entry, and the reverse is no pulse."""
    rig, station = scene.rig, scene.rig.stations[0]
    place = scene.random.choice(("bridge.authorised.before_commit", "bridge.authorised.committed"))
    rig.bridge.kill()
    rig.bridge.launch(armed=place)
    rig.await_online()
    before = station.levels()
    command = scene.witness.order(station, scene.random.choice(DOORS))
    if command is not None:
        wait_for(lambda: rig.bridge.died() or not rig.unsettled(), within_s=20, what="the bridge dead")
        scene.found.trials["16 died while authorising"] += rig.bridge.died()
    rig.bridge.kill()
    scene.witness.died("bridge")
    rig.bridge.launch()
    scene.settle()
    moved = [wire for wire, level in station.levels().items() if level != before.get(wire)]
    scene.found.must(not moved, f"{command}: {moved} moved although GO was never sent")


def locked(scene: Scene) -> None:
    """17: somebody else holds the hub's database. Events wait, nothing is lost, and nobody is told that all is well."""
    rig, station = scene.rig, scene.rig.stations[0]
    length_s = 120.0 if scene.long else 4.0
    engine = create_engine(f"sqlite:///{rig.hub_folder / 'hub.db'}", isolation_level=None)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        end_s = time.monotonic() + length_s
        while time.monotonic() < end_s:
            door = scene.random.choice(DOORS)
            scene.found.must(scene.witness.open_door(station, door), "an event was not kept by the station")
            station.does(op="contact", door=door, open=False)
            time.sleep(0.2)
        if scene.long:
            status = rig.api.call("GET", "/readyz").status_code
            scene.found.must(status == 503, f"the console said {status} of a hub that stores nothing")
        connection.exec_driver_sql("ROLLBACK")
    engine.dispose()
    started_s = time.monotonic()
    scene.settle()
    scene.found.figures["17 caught up after s"] = round(time.monotonic() - started_s, 2)
    scene.found.trials["17 database held"] += 1


def starved(scene: Scene) -> None:
    """15: the agent is refused every further page of memory. The doors go on; with memory back, so does the rest."""
    rig, station = scene.rig, scene.rig.stations[0]
    rig.await_online()
    size = int(Path(f"/proc/{station.pid}/statm").read_text(encoding="ascii").split()[0])
    soft, hard = resource.prlimit(station.pid, resource.RLIMIT_AS)
    resource.prlimit(station.pid, resource.RLIMIT_AS, (size * resource.getpagesize(), hard))
    try:
        door = scene.random.choice(DOORS)
        command = scene.witness.order(station, door)
        if command is not None:
            # the simulator's socket needs a new thread for each word, so nothing is said to it meanwhile
            wait_for(lambda: (shown := scene.witness.look(command)) and shown.final, what="the order over")
            moved = any(
                order.id == command and order.state == "PULSED_NOT_OPENED" for order in rig.commands()
            )
            scene.found.must(moved, "the door did not obey while memory was short")
            scene.found.trials["15 no memory"] += 1
    finally:
        resource.prlimit(station.pid, resource.RLIMIT_AS, (soft, hard))
    scene.found.must(station.alive, f"the agent ended: {station.last_words()}")
    scene.witness.open_door(station, door)
    station.does(op="contact", door=door, open=False)
    scene.settle()


SCENES: Final[dict[str, Callable[[Scene], None]]] = {
    "still": still,
    "mid_pulse": mid_pulse,
    "authorising": authorising,
    "locked": locked,
    "starved": starved,
}
SHARES: Final = ("still", "mid_pulse", "still", "authorising", "still", "starved", "authorising", "mid_pulse")
"""What comes after what; ``locked`` comes once, at the end, because it is long."""

LONG_FROM: Final = 20
"""From so many scenes on the campaign is a long one: pauses of up to a minute, two minutes without a database."""

A_RIG: Final = 10
"""Scenes of one rig: its doors may be ordered three times a minute."""


def stalls(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` scenes; each is one trial or a few."""
    started_s = time.monotonic()
    found = Found()
    chooser = random.Random(seed)  # noqa: S311 (a seed, no secret)
    plan = [SHARES[number % len(SHARES)] for number in range(max(0, n - 1))] + ["locked"]
    for first in range(0, len(plan), A_RIG):
        with running(fresh(folder), stations=1) as rig:
            scene = Scene(rig, Witness(rig), found, chooser, long=n >= LONG_FROM)
            try:
                for name in plan[first : first + A_RIG]:
                    SCENES[name](scene)
                scene.judge()
            except AssertionError as error:
                found.violations.append(f"{name} in {rig.folder}: {error}")
    figures = {**found.figures, **found.trials, "outcomes": _counted(found.outcomes)}
    trials = sum(found.trials.values())
    return Campaign("stalls", trials, seed, found.violations, figures, time.monotonic() - started_s)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
