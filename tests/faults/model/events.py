"""Each event once: a state machine over the station's real store and pump, the hub's real writer, and a hostile broker.

Invariants, judged by what was put into the store (``Ledger``), which neither side reads
  E1. In the end the hub has every event that the station kept and has not told to be given up, and no other.
  E2. What the hub has acknowledged it has, at that moment and in the end; a restored hub gets it again.
  E3. The hub takes for lost what the station has given up, and nothing else; no gap stays open, nothing waits.
  E4. An event has its effects once, however often it came; one that is history has none.
"""

import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Final
from unittest.mock import patch

from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from cloud_hub.alerts.rules import RULES
from cloud_hub.bridge import writer
from firmware_config import crashpoint
from firmware_config.signing import Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Ack, decode
from station_agent.store import outbox
from tests.faults.model.event_hub import HUB_KEY, EventHub
from tests.faults.model.event_station import STATION, EventStation, Ledger
from tests.faults.model.machine import Dice, dice_st
from tests.faults.model.search import Found, over_cores, run_machine
from tests.faults.model.world import Violation
from tests.faults.report import Campaign
from tests.support.scratch import scratch

Letter = tuple[Topic, bytes]

KINDS: Final = (
    EventKind.DOOR_HELD_OPEN, EventKind.ACCESS_LOCKED_OUT, EventKind.ACCESS_WRONGFUL_DENIAL, EventKind.DOOR_CLOSED,
    EventKind.ORDER_REFUSED, EventKind.STATION_STARTED,
)  # fmt: skip
"""Two of each lane; some raise alerts, one ends one."""

DATA: Final = {"door": "main", "reason": "conflict"}
STATION_POINTS: Final = (
    "agent.event.before_commit", "agent.outbox.committed", "agent.outbox.published", "agent.ack.before_forget",
    "agent.ack.forgotten",
)  # fmt: skip
HUB_POINTS: Final = (
    "bridge.batch.before_commit", "bridge.batch.committed", "bridge.batch.puback", "bridge.batch.acknowledged",
)  # fmt: skip
IN_MEMORY: Final = 8
"""Events that may wait for a disk that is held: few, so that some are given up."""

ROWS: Final = (6, 10, 200_000)
STEPS: Final = 24
SHARD: Final = 250
MOST_EVER: Final = 400
HEALING_S: Final = (*(15,) * 12, *(150,) * 80)


class EventWorld:
    """One history."""

    def __init__(self, *, station: type[EventStation] = EventStation, hub: type[EventHub] = EventHub) -> None:
        self.ledger = Ledger()
        self.folder = scratch("yz-once-")
        self.waiting: list[Letter] = []
        self.ever: list[Letter] = []
        self.hub_mono_s = 0.0
        self._made = 0
        clock = SimpleNamespace(monotonic=lambda: self.ledger.now_ms / 1000, perf_counter=time.perf_counter)
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, self.folder)
            undo.enter_context(patch.object(crashpoint, "here", self._reached))
            undo.enter_context(patch.object(outbox, "WAITING_LIMIT", IN_MEMORY))
            undo.enter_context(patch.object(writer, "time", clock))
            self.hub = hub(self.ledger, self.folder, post=self.post)
            undo.callback(self.hub.close)
            self._verifier = Verifier.of(encode_public(HUB_KEY.public_key()))
            self.station = station(
                self.ledger, self.folder, verifier=self._verifier, post=self.post, fresh=self.fresh
            )
            undo.callback(self.station.close)
            self._undo = undo.pop_all()

    def close(self) -> None:
        """Leave nothing behind."""
        self._undo.close()

    def fresh(self) -> str:
        """32 hex digits that were never used."""
        self._made += 1
        return f"{self._made:032x}"

    def post(self, topic: Topic, payload: bytes) -> None:
        """Somebody published."""
        if topic is Topic.ACK:
            self._check_ack(decode(self._verifier.open(payload, kind="ack"), Ack, station=STATION))
        self.waiting.append((topic, payload))
        self.ever = [*self.ever[-MOST_EVER:], (topic, payload)]

    def hand(self, letter: Letter) -> None:
        """Deliver, whatever it is; what the hub died over comes again."""
        topic, payload = letter
        if not topic.up:
            self.station.deliver(topic, payload)
        elif self.hub.alive and not self.hub.deliver([letter]):
            self.waiting.insert(0, letter)

    def settle(self, most: int = 200) -> None:
        """What honest parts do, in order."""
        for _ in range(most):
            self.station.turn()
            index = next((n for n, (topic, _) in enumerate(self.waiting) if self._can_take(topic)), None)
            if index is None:
                return
            self.hand(self.waiting.pop(index))

    def advance(self, length_ms: int) -> None:
        """Time passes."""
        self.ledger.now_ms += length_ms
        self.station.turn()
        self.station.beat()

    def heal(self, *, reconnect: bool) -> None:
        """Mend everything, and wait until all is well, or for hours."""
        station, hub = self.station, self.hub
        station.dies_at = hub.dies_at = None
        station.let_go()
        if not hub.alive:
            hub.start()
        if not station.alive:
            station.boot()
        if reconnect or not station.line_up:
            station.connect()
        self.settle()
        for length_s in HEALING_S:
            self.advance(length_s * 1000)
            self.settle()
            if self._trouble() is None:
                return

    def check(self) -> None:
        """E4, as it stands now.

        Raises:
            Violation: it is broken.
        """
        events = self.hub.events()
        for name, seen in events.items():
            if not seen.backfilled and name not in self.ledger.fresh:
                raise Violation(f"E4: {name} is history and was taken for news")
        for kind in KINDS:
            news = sum(seen.kind == kind.value and not seen.backfilled for seen in events.values())
            told = self.hub.told(kind.value)
            if kind in RULES and told != news:
                raise Violation(
                    f"E4: {news} events of {kind.value} were news, and it was raised {told} times"
                )

    def check_healed(self) -> None:
        """E1 to E3, after ``heal``.

        Raises:
            Violation: one of them is broken.
        """
        if (trouble := self._trouble()) is not None:
            raise Violation(trouble)

    def _trouble(self) -> str | None:
        ledger, events = self.ledger, self.hub.events()
        for name, seen in events.items():
            put = ledger.kept.get(name)
            if put is None or (put.number, put.kind.value) != (seen.number, seen.kind):
                return f"E1: the hub has {seen} as {name}; the station kept {put}"
        if gone := ledger.acked - set(events):
            return f"E2: {sorted(gone)} were acknowledged and are lost"
        install = self.station.store.install_id
        mine = {name for name in ledger.kept if name[0] == install}
        if missing := mine - ledger.given_up - set(events):
            return f"E1: the station kept {sorted(missing)}, and the hub never got them"
        return self._open_gap(install, {name[1] for name in events if name[0] == install})

    def _open_gap(self, install: str, here: set[int]) -> str | None:
        stream = self.hub.stream(install)
        if stream.gaps:
            return f"E3: the hub still waits for {stream.gaps}"
        lost = {number for first, last in stream.lost for number in range(first, last + 1)}
        if (absent := set(range(1, stream.high + 1)) - here) != lost:
            return f"E3: the hub takes {sorted(lost)} for lost, and lacks {sorted(absent)}"
        if told := absent - {number for owner, number in self.ledger.given_up if owner == install}:
            return f"E3: {sorted(told)} are lost, and the station never gave them up"
        rows = self.station.store.backlog().rows
        return f"E3: {rows} events still wait at the station" if rows else None

    def _can_take(self, topic: Topic) -> bool:
        if topic.up:
            return self.hub.alive
        return self.station.alive and self.station.line_up and not self.station.held

    def _check_ack(self, ack: Ack) -> None:
        if ack.events:
            here = {seq for install, seq in self.hub.events() if install == ack.install_id}
            if gone := set(ack.events) - here:
                raise Violation(f"E2: the hub acknowledged {sorted(gone)} and does not have them")

    def _reached(self, point: str) -> None:
        if point in HUB_POINTS:
            self.hub.reached(point)
        elif point in STATION_POINTS and hasattr(self, "station"):
            self.station.reached(point)


class EventMachine(RuleBasedStateMachine):
    """One history; ``make`` builds its world, a mutant another."""

    make: ClassVar[Callable[[], EventWorld]] = EventWorld
    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.tally["histories"] += 1
        self.world = type(self).make()
        self.failed = False

    def step(self, name: str) -> EventWorld:
        self.tally[f"rule {name}"] += 1
        self.tally["steps"] += 1
        return self.world

    # at the station

    @precondition(lambda self: self.world.station.alive)
    @rule(dice=dice_st)
    def happen(self, dice: Dice) -> None:
        """Events, of any lane; told at once, later, or not before something else goes wrong."""
        world = self.step("happen")
        for _ in range(1 + dice.below(5)):
            world.station.put(dice.pick(KINDS), DATA)
        world.station.settle()
        world.settle(dice.pick((0, 0, 1, 2, 8, 40)))

    @rule(dice=dice_st)
    def ordinary_day(self, dice: Dice) -> None:
        """Everything runs, and something happens that the hub soon knows."""
        world = self.step("ordinary_day")
        self._run()
        for _ in range(1 + dice.below(6)):
            world.station.put(dice.pick(KINDS), DATA)
        world.station.settle()
        world.settle()
        if dice.chance(2):
            world.advance(dice.pick((1_000, 15_000, 61_000)))
            world.settle()

    @rule(dice=dice_st)
    def outage(self, dice: Dice) -> None:
        """Things happen while the line is cut, or the agent is started anew before it is back."""
        world = self.step("outage")
        self._run()
        world.station.disconnect()
        for _ in range(1 + dice.below(6)):
            world.station.put(dice.pick(KINDS), DATA)
        world.station.settle()
        world.advance(dice.pick((1_000, 50_000, 70_000)))
        if dice.chance(2):
            world.station.crash()
        if not world.station.alive:
            world.station.boot(power=dice.chance(2))
        world.station.connect()
        world.settle(dice.pick((2, 6, 60)))

    @rule(dice=dice_st)
    def go_on(self, dice: Dice) -> None:
        self.step("go_on").settle(1 + dice.below(12))

    @rule(dice=dice_st)
    def wait(self, dice: Dice) -> None:
        """Heartbeats go on meanwhile."""
        world = self.step("wait")
        for _ in range(1 + dice.below(3)):
            world.advance(dice.pick((1_000, 5_000, 12_000, 61_000, 3_600_000)))
            world.settle(dice.below(6))

    @rule()
    def line(self) -> None:
        station = self.step("line").station
        if station.line_up:
            station.disconnect()
        elif station.alive:
            station.connect()

    @rule(dice=dice_st)
    def disk(self, dice: Dice) -> None:
        """It answers nobody for a while; what happens meanwhile is in memory only."""
        station = self.step("disk").station
        station.let_go() if station.held else station.hold()
        if dice.chance(4):
            station.cramp(dice.pick(ROWS))

    @precondition(lambda self: self.world.station.alive)
    @rule(dice=dice_st)
    def kill_station(self, dice: Dice) -> None:
        """Now, or when it next comes to a place."""
        station = self.step("kill_station").station
        if dice.chance(2):
            station.dies_at = dice.pick(STATION_POINTS)
        else:
            station.crash()

    @precondition(lambda self: not self.world.station.alive)
    @rule(dice=dice_st)
    def start_station(self, dice: Dice) -> None:
        world = self.step("start_station")
        if dice.chance(6):
            world.station.lose_store()
        world.station.boot(power=dice.chance(2))
        if dice.chance(2):
            world.station.connect()

    # the broker

    @rule(dice=dice_st)
    def drop(self, dice: Dice) -> None:
        world = self.step("drop")
        for _ in range(1 + dice.below(4)):
            if world.waiting:
                world.waiting.pop(dice.below(len(world.waiting)))

    @rule(dice=dice_st)
    def deliver_out_of_turn(self, dice: Dice) -> None:
        world = self.step("deliver_out_of_turn")
        if world.waiting:
            world.hand(world.waiting.pop(dice.below(len(world.waiting))))

    @rule(dice=dice_st)
    def replay(self, dice: Dice) -> None:
        """Batches and acknowledgements of any time, store and run; questions too."""
        world = self.step("replay")
        topics = dice.pick(((Topic.EVENT,), (Topic.ACK,), (Topic.EVENT, Topic.ACK, Topic.REQUEST)))
        found = [letter for letter in world.ever if letter[0] in topics]
        for _ in range(1 + dice.below(3)):
            if found:
                world.hand(found[-1 - dice.below(min(len(found), 40))])

    # the hub

    @rule(dice=dice_st)
    def kill_hub(self, dice: Dice) -> None:
        """Now, or when it next comes to a place."""
        hub = self.step("kill_hub").hub
        if dice.chance(3):
            hub.crash()
        else:
            hub.dies_at = dice.pick(HUB_POINTS)

    @precondition(lambda self: not self.world.hub.alive)
    @rule()
    def start_hub(self) -> None:
        self.step("start_hub").hub.start()

    @rule(dice=dice_st)
    def copies(self, dice: Dice) -> None:
        """Somebody makes a copy of its database, or puts one back."""
        hub = self.step("copies").hub
        hub.restore() if dice.chance(3) else hub.back_up()

    @rule(dice=dice_st)
    def ask_again(self, dice: Dice) -> None:
        """A question that nobody needed."""
        world = self.step("ask_again")
        install = world.station.store.install_id
        first = dice.below(40)
        world.hub.ask(install, first, first + dice.below(40))
        world.settle(dice.below(4))

    def _run(self) -> None:
        world = self.world
        if not world.hub.alive:
            world.hub.start()
        world.station.let_go()
        if not world.station.alive:
            world.station.boot()
        if not world.station.line_up:
            world.station.connect()

    def teardown(self) -> None:
        """Mend everything, wait, and look."""
        try:
            self.world.check()
            self.world.heal(reconnect=self.world.ledger.now_ms % 2 == 0)
            self.world.check()
            self.world.check_healed()
            self._count()
        finally:
            self.world.close()

    def _count(self) -> None:
        ledger, events = self.world.ledger, self.world.hub.events()
        self.tally["events kept"] += len(ledger.kept)
        self.tally["events given up"] += len(ledger.given_up)
        self.tally["events at the hub"] += len(events)
        self.tally["events as history"] += sum(seen.backfilled for seen in events.values())
        self.tally["stores"] += len({install for install, _ in ledger.kept})


def machine(make: Callable[[], EventWorld] = EventWorld) -> type[EventMachine]:
    """A machine with a world of this make, and a count of its own."""
    fields: dict[str, Any] = {"make": staticmethod(make), "tally": Counter()}
    return type("EventMachine", (EventMachine,), fields)


def search_events(n: int, first_seed: int, *, make: Callable[[], EventWorld] = EventWorld) -> Found:
    """Run ``n`` histories, or until the first that breaks an invariant."""
    made = machine(make)
    return run_machine(made, made.tally, n, first_seed, steps=STEPS)


def run_events(n: int, first_seed: int, folder: Path) -> Campaign:
    """The campaign: shards over all cores."""
    return over_cores("events", search_events, n, first_seed + 700, folder, shard=SHARD)
