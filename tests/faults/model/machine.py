"""The state machine: what people, power, network and a hostile broker may do in any order, and what must stay true."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_config.topics import Topic
from firmware_config.wire import CHALLENGE_LIFE_MS, Verb
from station_agent.doorkeeper import Cause
from tests.faults.model import broker
from tests.faults.model.broker import Letter
from tests.faults.model.world import DOORS, EVERY_DOOR, World, as_retained

OPERATORS: Final = ("token:lin", "token:wang", "token:desk")
PULSES_MS: Final = (500, 1_000, 3_000, 10_000)

PAUSES_MS: Final = (0, 0, 1, 10, 200, 1_000)
JUMPS_MS: Final = (0, -3_600_000, 3_600_000, -(10**12), 3 * 10**10, 3_000)
MOVES: Final[tuple[tuple[bool | None, ...], ...]] = (
    (True,), (False,), (True, False, True, False), (True, False), (None,)
)  # fmt: skip
STATIONS: Final = tuple(DOORS)

TERMS_S: Final = (60, 90, 24 * 3_600)
MODE_VERBS: Final[tuple[Verb, ...]] = ("hold_open", "end_hold_open", "lock_down", "end_lock_down")
SPREAD: Final = 0x9E3779B97F4A7C15
"""Odd, so that no two numbers give the same throws; large, so that the later throws differ too."""

T = TypeVar("T")


class Dice:
    """All that is left to chance in one step, out of one number: a draw of its own for each would cost ten times more."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._left = number * SPREAD

    def __repr__(self) -> str:
        return f"Dice({self._number})"

    def below(self, limit: int) -> int:
        """From 0, ``limit`` exclusive."""
        self._left, found = divmod(self._left, limit)
        return found

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def chance(self, one_in: int) -> bool:
        return self.below(one_in) == 0

    def length_ms(self) -> int:
        """Of time: short, about the life of a nonce, or long."""
        low, high = self.pick(((1, 500), (500, 4_000), (4_000, 70_000)))
        return low + self.below(high - low)


dice_st: Final = st.integers(0, (1 << 24) - 1).map(Dice)

Place: TypeAlias = tuple[str, str]

EDITS: Final[dict[str, Callable[[Letter, int], Letter]]] = {
    "flip": broker.flip,
    "cut": broker.cut,
    "rename": broker.renamed,
    "forge": lambda letter, _: broker.forged(letter),
    "req_as_go": lambda letter, _: broker.moved(letter, Topic.GO, letter.station),
    "go_as_req": lambda letter, _: broker.moved(letter, Topic.REQUEST, letter.station),
    "result_as_challenge": lambda letter, _: broker.moved(letter, Topic.CHALLENGE, letter.station),
    "other_station": lambda letter, _: broker.moved(letter, letter.topic or Topic.GO, other(letter.station)),
    "retain": lambda letter, _: as_retained(letter),
}


def other(station: str) -> str:
    """The station that it is not."""
    return next(name for name in DOORS if name != station)


class OrderMachine(RuleBasedStateMachine):
    """One history; ``make`` builds its world, a mutant another."""

    make: ClassVar[Callable[..., World]] = World
    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.tally["histories"] += 1
        self.world = type(self).make(tally=self.tally)
        self.checked = True

    def step(self, name: str) -> World:
        self.tally[f"rule {name}"] += 1
        self.tally["steps"] += 1
        self.checked = False
        return self.world

    # orders

    @rule(dice=dice_st)
    def click(self, dice: Dice) -> None:
        """Somebody clicks, and the order gets so far."""
        world = self.step("click")
        place, actor, pulse_ms = dice.pick(EVERY_DOOR), dice.pick(OPERATORS), dice.pick(PULSES_MS)
        confirm, rung = dice.chance(2), not dice.chance(4)
        answer = world.hub.click(place, cmd_id=world.fresh(), actor=actor, length=pulse_ms, confirm=confirm)
        self.tally[f"click {answer}"] += 1
        if rung:
            world.hub.look()
        world.settle(dice.below(15), dice.pick(PAUSES_MS))

    @rule(dice=dice_st)
    def click_and_come_in(self, dice: Dice) -> None:
        """The ordinary day: an order that arrives, and somebody at the door."""
        world = self.step("click_and_come_in")
        place = dice.pick(EVERY_DOOR)
        self._order(place, OPERATORS[0], dice.pick(PULSES_MS))
        world.settle(20, 5)
        world.advance(1 + dice.below(4_000))
        if world.stations[place[0]].coils[place[1]].free:
            world.move(*place, is_open=True)

    @rule(dice=dice_st)
    def change_mode(self, dice: Dice) -> None:
        """An administrator locks a door down, holds it open, or ends that; the order gets so far."""
        world = self.step("change_mode")
        place = dice.pick(EVERY_DOOR)
        self._order(place, dice.pick(OPERATORS), dice.pick(TERMS_S), dice.pick(MODE_VERBS))
        world.settle(dice.below(12), dice.pick(PAUSES_MS))
        if dice.chance(4):
            world.stations[place[0]].crash(dice.below(3))

    @rule(dice=dice_st)
    def go_on(self, dice: Dice) -> None:
        """Honest parts do what waits."""
        self.step("go_on").settle(1 + dice.below(14), dice.pick(PAUSES_MS))

    @rule(dice=dice_st)
    def wait(self, dice: Dice) -> None:
        self.step("wait").advance(dice.length_ms())

    @rule(dice=dice_st)
    def revoke(self, dice: Dice) -> None:
        world = self.step("revoke")
        actor = dice.pick(OPERATORS)
        world.hub.revoked.discard(actor) if dice.chance(2) else world.hub.revoked.add(actor)

    @rule(dice=dice_st)
    def revoke_in_an_order(self, dice: Dice) -> None:
        """Between REQ and GO, most of the time."""
        world = self.step("revoke_in_an_order")
        self._order(dice.pick(EVERY_DOOR), OPERATORS[2], PULSES_MS[0])
        world.settle(dice.below(5))
        world.hub.revoked.add(OPERATORS[2])

    # the broker

    @rule(dice=dice_st)
    def deliver_out_of_turn(self, dice: Dice) -> None:
        world = self.step("deliver_out_of_turn")
        if (letter := world.broker.take(dice.below(40))) is not None:
            world.hand(letter)

    @rule(dice=dice_st)
    def drop(self, dice: Dice) -> None:
        self.step("drop").broker.take(dice.below(40))

    @rule(dice=dice_st)
    def replay(self, dice: Dice) -> None:
        """Any message of any time, presence included."""
        world = self.step("replay")
        if (letter := world.broker.old(dice.below(60))) is not None:
            for _ in range(1 + dice.below(3)):
                world.hand(letter)

    @rule(dice=dice_st)
    def replay_of_an_order(self, dice: Dice) -> None:
        """The dangerous ones, more often than chance would have it."""
        world = self.step("replay_of_an_order")
        topic = dice.pick((Topic.GO, Topic.REQUEST, Topic.CHALLENGE, Topic.RESULT, Topic.REPLY))
        if (letter := world.broker.old(dice.below(6), only=lambda item: item.topic is topic)) is not None:
            for _ in range(1 + dice.below(3)):
                world.hand(letter)
                world.settle(1)

    @rule(dice=dice_st)
    def replay_after_the_pulse(self, dice: Dice) -> None:
        """While the nonce of an order would still be young enough for a second one."""
        world = self.step("replay_after_the_pulse")
        self._order(dice.pick(EVERY_DOOR), OPERATORS[0], PULSES_MS[0])
        world.settle(12)
        world.advance(1_020 + dice.below(1_900))
        for topic in dice.pick(((Topic.GO,), (Topic.REQUEST, Topic.GO))):
            self._replay_newest(topic)
        world.settle(2)

    @rule(dice=dice_st)
    def tamper(self, dice: Dice) -> None:
        world = self.step("tamper")
        how = dice.pick(sorted(EDITS))
        if (letter := world.broker.old(dice.below(30), only=broker.is_sealed)) is not None:
            self.tally[f"tamper {how}"] += 1
            world.hand(EDITS[how](letter, dice.below(1 << 14)))

    @rule(dice=dice_st)
    def swap_bodies(self, dice: Dice) -> None:
        world = self.step("swap_bodies")
        mine = world.broker.old(dice.below(30), only=broker.is_sealed)
        theirs = world.broker.old(dice.below(30), only=broker.is_sealed)
        if mine is not None and theirs is not None and mine.payload != theirs.payload:
            world.hand(broker.swap(mine, theirs))

    @rule(dice=dice_st)
    def lie(self, dice: Dice) -> None:
        """The next PUBACK says so, true or not."""
        self.step("lie").lies = dice.pick(("nobody", "delivered"))

    # power and processes

    @rule(dice=dice_st)
    def kill_bridge(self, dice: Dice) -> None:
        """Now, or at its next commit."""
        world = self.step("kill_bridge")
        where = dice.pick((None, "before_commit", "after_commit"))
        if where is None:
            world.hub.crash()
        world.hub.dies = where

    @precondition(lambda self: not self.world.hub.alive)
    @rule()
    def start_bridge(self) -> None:
        self.step("start_bridge").hub.restart()

    @rule(dice=dice_st)
    def kill_station(self, dice: Dice) -> None:
        """Of what waits for the disk, some jobs made it."""
        self.step("kill_station").stations[dice.pick(STATIONS)].crash(dice.below(4))

    @rule(dice=dice_st)
    def kill_station_in_an_order(self, dice: Dice) -> None:
        """At every step of one: before its challenge, its intent, its commit, in its pulse, before its result."""
        world = self.step("kill_station_in_an_order")
        place = dice.pick(EVERY_DOOR)
        self._order(place, OPERATORS[0], dice.pick(PULSES_MS))
        world.settle(dice.below(12), dice.pick(PAUSES_MS))
        station = world.stations[place[0]]
        station.crash(dice.below(3))
        if dice.chance(2):
            world.advance(1 + dice.below(12_000))
            station.boot(power=dice.chance(2))
            station.connect()

    @precondition(lambda self: any(not station.alive for station in self.world.stations.values()))
    @rule(dice=dice_st)
    def start_station(self, dice: Dice) -> None:
        world = self.step("start_station")
        for station in world.stations.values():
            if not station.alive:
                if dice.chance(4):
                    station.lose_store()
                station.boot(power=dice.chance(2))
                station.connect()

    @rule(dice=dice_st)
    def stand_still(self, dice: Dice) -> None:
        """SIGSTOP, time, SIGCONT. Meanwhile the kernel takes what is sent, and people move doors."""
        self.step("stand_still")
        self._stand_still(dice.pick(EVERY_DOOR), dice)

    @rule(dice=dice_st)
    def stand_still_in_an_order(self, dice: Dice) -> None:
        """The same in the middle of an order."""
        world = self.step("stand_still_in_an_order")
        place = dice.pick(EVERY_DOOR)
        self._order(place, OPERATORS[1], dice.pick(PULSES_MS))
        world.settle(dice.below(12))
        self._stand_still(place, dice)

    @rule(dice=dice_st)
    def line(self, dice: Dice) -> None:
        place = self.step("line").stations[dice.pick(STATIONS)]
        if dice.chance(2):
            place.line_up = False
        elif place.running and not place.line_up:
            place.connect()

    @rule(dice=dice_st)
    def disk(self, dice: Dice) -> None:
        place = self.step("disk").stations[dice.pick(STATIONS)]
        place.disk.full = dice.chance(2)
        if dice.chance(2):
            place.flush()

    @rule(dice=dice_st)
    def wall_clock(self, dice: Dice) -> None:
        place = self.step("wall_clock").stations[dice.pick(STATIONS)]
        place.clock.wall_off_ms = dice.pick(JUMPS_MS)
        place.clock.trust = "synced" if dice.chance(2) else "unsynced"

    # people at the door

    @rule(dice=dice_st)
    def contact(self, dice: Dice) -> None:
        world = self.step("contact")
        place = dice.pick(EVERY_DOOR)
        for is_open in dice.pick(MOVES):
            world.move(*place, is_open=is_open)

    @rule(dice=dice_st)
    def press_exit(self, dice: Dice) -> None:
        self.step("press_exit").press_exit(*dice.pick(EVERY_DOOR))

    @rule(dice=dice_st)
    def show_face(self, dice: Dice) -> None:
        """Somebody is let in at the door itself."""
        station, door = dice.pick(EVERY_DOOR)
        place = self.step("show_face").stations[station]
        if place.running:
            place.work()
            place.keepers[door].grant(Cause(via="face", person="p-1"), pulse_s=5.0)

    @rule(dice=dice_st)
    def fire(self, dice: Dice) -> None:
        self.step("fire").burn(dice.pick(STATIONS), active=dice.chance(3))

    @rule(dice=dice_st)
    def relay(self, dice: Dice) -> None:
        """Its wire breaks, or is mended; not while it is on."""
        station, door = dice.pick(EVERY_DOOR)
        coil = self.step("relay").stations[station].coils[door]
        if not coil.energised:
            how = dice.pick(("good", "good", "stuck", "broken"))
            coil.stuck, coil.broken = how == "stuck", how == "broken"

    def _order(self, place: Place, actor: str, length: int, verb: Verb = "unlock") -> None:
        hub = self.world.hub
        answer = hub.click(place, verb, cmd_id=self.world.fresh(), actor=actor, length=length)
        self.tally[f"click {answer}"] += 1
        hub.look()

    def _replay_newest(self, topic: Topic) -> None:
        letter = self.world.broker.old(0, only=lambda item: item.topic is topic)
        if letter is not None:
            self.world.hand(letter)

    def _stand_still(self, place: Place, dice: Dice) -> None:
        world, station = self.world, self.world.stations[place[0]]
        if not station.running:
            return
        station.frozen = True
        if dice.chance(2):
            world.settle(dice.below(8))
        world.advance(dice.pick((CHALLENGE_LIFE_MS - 1, CHALLENGE_LIFE_MS, CHALLENGE_LIFE_MS + 1, 0)))
        world.advance(dice.length_ms())
        if dice.chance(3):
            world.move(*place, is_open=True)
        world.advance(dice.length_ms())
        station.thaw()
        if dice.chance(3):
            world.move(*place, is_open=True)

    # what must stay true

    @invariant()
    def holds(self) -> None:
        if not self.checked:
            self.checked = True
            self.world.check()

    def teardown(self) -> None:
        """Mend everything, wait a minute, and look once more."""
        self.world.heal(reconnect=self.world.truth.now_ms % 2 == 0)
        self.world.check()
        self.world.check_healed()
        self._count()

    def _count(self) -> None:
        pulses = self.world.truth.pulses
        self.tally["pulses"] += sum(len(found) for found in pulses.values())
        self.tally["histories with a pulse"] += bool(pulses)
        self.tally["modes changed"] += len(self.world.truth.applied)
        self.tally["contradictions"] += len(self.world.hub.contradictions)
        for row in self.world.hub.rows.values():
            self.tally[f"final {row.state}"] += 1
        for station in self.world.stations.values():
            for reason, count in station.refused.items():
                self.tally[f"station refused {reason}"] += count


def machine(make: Callable[..., World] = World) -> type[OrderMachine]:
    """A machine with a world of this make, and a count of its own."""
    fields: dict[str, Any] = {"make": staticmethod(make), "tally": Counter()}
    return type("OrderMachine", (OrderMachine,), fields)
