"""Modes of doors over time: ends, clock jumps, restarts of agent and machine, and the rules of which order beats which."""

from dataclasses import dataclass, field, replace
from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_config.vocabulary import DoorMode, Outcome
from firmware_config.wire import LONGEST_MODE_S, TIMED, Clock, Evidence, Order, Result, Verb
from station_agent.core.commands import ModeChange
from station_agent.core.modes import KEEP_S, Modes, Term, Turn, refusal, resume, term_of

NOON_MS = 1_760_000_000_000
HOLD, DOWN = DoorMode.HOLD_OPEN, DoorMode.LOCK_DOWN
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class At:
    mono_ms: int
    wall_ms: int
    trust: Clock = "synced"


def at(mono_s: float, *, wall_off_s: float = 0, trust: Clock = "synced") -> At:
    """A moment; the wall clock shows noon plus the monotonic time unless it is off."""
    return At(int(mono_s * 1000), NOON_MS + int((mono_s + wall_off_s) * 1000), trust)


def a_change(verb: Verb, moment: At, *, duration_s: int = 3600, cmd: int = 1) -> ModeChange:
    order = Order(
        station="st-demo0001",
        cmd_id=f"{cmd:032x}",
        door="main",
        verb=verb,
        duration_s=duration_s if verb in TIMED else 0,
        issued_ms=NOON_MS,
    )
    answer = Result(
        station=order.station, cmd_id=order.cmd_id, install_id="1" * 32, boot_id="b" * 32, mono_ms=moment.mono_ms,
        wall_ms=moment.wall_ms, clock=moment.trust, outcome=Outcome.APPLIED, evidence=Evidence(),
    )  # fmt: skip
    return ModeChange(order, "d" * 64, moment.mono_ms, moment.mono_ms + 3000, answer, answer)


def a_term(verb: Verb = "lock_down", moment: At | None = None, *, duration_s: int = 3600) -> Term:
    begun = moment or at(100)
    term = term_of(a_change(verb, begun, duration_s=duration_s), begun, "m1")
    assert term is not None
    return term


@pytest.mark.parametrize(
    ("verb", "mode", "burning", "reason"),
    [
        *((verb, mode, burning, None) for verb, mode, burning in product(["lock_down"], DoorMode, [False, True])),
        *((verb, DOWN, burning, "locked_down") for verb, burning in product(["unlock", "hold_open"], [False, True])),
        *(("hold_open", mode, False, None) for mode in (DoorMode.NORMAL, HOLD)),
        *(("hold_open", mode, True, "fire_active") for mode in (DoorMode.NORMAL, HOLD)),
        *(("unlock", mode, burning, None) for mode, burning in product((DoorMode.NORMAL, HOLD), [False, True])),
        *(("end_hold_open", mode, False, None if mode is HOLD else "not_in_force") for mode in DoorMode),
        *(("end_lock_down", mode, True, None if mode is DOWN else "not_in_force") for mode in DoorMode),
    ],
)  # fmt: skip
def test_which_order_is_refused_in_which_mode(
    verb: Verb, mode: DoorMode, reason: str | None, *, burning: bool
) -> None:
    assert refusal(verb, mode, burning=burning) == reason


def test_every_verb_but_unlock_begins_or_ends_a_mode() -> None:
    begun = {
        verb for verb in get_args(Verb) if verb != "unlock" and term_of(a_change(verb, at(0)), at(0), "m1")
    }
    assert begun == TIMED


@pytest.mark.parametrize("verb", ["hold_open", "lock_down"])
@pytest.mark.parametrize("jump_s", [0, -86_400 * 365, 86_400 * 365, -1, 3599])
def test_a_mode_ends_on_its_second_whatever_the_wall_clock_does(verb: Verb, jump_s: int) -> None:
    modes, begun = Modes("m1"), at(100)
    change = a_change(verb, begun)
    modes.changed(change, term_of(change, begun, "m1"))
    early, _ = modes.pass_time(at(3699.999, wall_off_s=jump_s))
    assert early == []
    (turn,), _ = modes.pass_time(at(3700, wall_off_s=jump_s))
    assert (turn.door, turn.term, turn.why) == ("main", None, "expired")
    assert modes.due_mono_ms is None


def test_a_newer_order_replaces_the_mode_and_its_end() -> None:
    modes = Modes("m1")
    for number, (verb, duration_s) in enumerate([("hold_open", 9000), ("lock_down", 60), ("hold_open", 30)]):
        change = a_change(verb, at(number), duration_s=duration_s, cmd=number)  # type: ignore[arg-type]
        turn = modes.changed(change, term_of(change, at(number), "m1"))
        assert (turn.why, modes.of("main")) == ("ordered", turn.term)
    over, _ = modes.pass_time(at(32))
    assert [turn.before and turn.before.mode for turn in over] == [HOLD]


def test_an_end_by_order_is_told_as_one() -> None:
    modes, change = Modes("m1"), a_change("lock_down", at(0))
    modes.changed(change, term_of(change, at(0), "m1"))
    turn = modes.changed(a_change("end_lock_down", at(5)), None)
    assert (turn.term, turn.why, modes.of("main")) == (None, "ended", None)


# restarts


@pytest.mark.parametrize("verb", ["hold_open", "lock_down"])
@pytest.mark.parametrize("trust", ["synced", "unsynced", "restored"])
def test_after_a_restart_of_the_agent_the_rest_of_the_time_goes_on(verb: Verb, trust: Clock) -> None:
    term = a_term(verb, at(100, trust=trust))
    rest = resume(term, at(1100, wall_off_s=-(10**7), trust=trust), "m1")
    assert rest.term is not None
    assert (rest.term.until_mono_ms, rest.term.left_ms, rest.assumed) == (3_700_000, 2_600_000, False)
    assert resume(term, at(3700, trust=trust), "m1").why == "expired"


@pytest.mark.parametrize("verb", ["hold_open", "lock_down"])
def test_after_a_restart_of_the_machine_two_synchronised_clocks_tell_the_end(verb: Verb) -> None:
    rest = resume(a_term(verb), at(5, wall_off_s=1095), "m2")
    assert rest.term is not None
    assert (rest.term.left_ms, rest.term.until_mono_ms, rest.term.machine) == (2_600_000, 2_605_000, "m2")
    assert resume(a_term(verb), at(5, wall_off_s=4000), "m2").why == "expired"


@pytest.mark.parametrize(
    ("then", "now"),
    [("unsynced", "synced"), ("synced", "unsynced"), ("restored", "synced"), ("synced", "restored")],
)
def test_where_no_clock_tells_a_hold_ends_and_a_lock_down_goes_on(then: Clock, now: Clock) -> None:
    moment = at(5, wall_off_s=10**6, trust=now)
    held = resume(a_term("hold_open", at(100, trust=then)), moment, "m2")
    assert (held.term, held.why) == (None, "restart")
    shut = resume(a_term("lock_down", at(100, trust=then)), moment, "m2")
    assert shut.term is not None
    assert (shut.term.left_ms, shut.term.until_mono_ms) == (HOUR_MS, 5_000 + HOUR_MS)


@pytest.mark.parametrize("machine", ["", "m1"])
def test_a_machine_nobody_can_name_and_a_clock_that_ran_backwards_tell_nothing(machine: str) -> None:
    kept = replace(a_term("hold_open", at(100, trust="unsynced")), machine=machine)
    assert resume(kept, at(50, trust="unsynced"), machine).term is None
    back = resume(a_term("lock_down"), at(5, wall_off_s=-(10**6)), "m2")
    assert back.term is not None
    assert back.term.left_ms == HOUR_MS


def test_an_assumed_end_gives_way_to_the_true_one_once_the_clock_is_synchronised() -> None:
    modes = Modes("m2")
    (turn,) = modes.begin([a_term("lock_down")], at(5, trust="unsynced"))
    assert turn.term is not None
    assert modes.pass_time(at(3604, trust="unsynced"))[0] == []
    modes.begin([a_term("lock_down")], at(5, trust="unsynced"))
    assert modes.pass_time(at(70, wall_off_s=3629))[0] == []  # 1 s before the true end
    assert [turn.why for turn in modes.pass_time(at(71, wall_off_s=3629))[0]] == ["expired"]


def test_a_lock_down_is_written_again_every_minute_and_a_hold_is_not() -> None:
    for verb, writes in (("lock_down", 59), ("hold_open", 0)):
        modes, change = Modes("m1"), a_change(verb, at(0))  # type: ignore[arg-type]
        modes.changed(change, term_of(change, at(0), "m1"))
        kept: list[Term] = []
        while (due_ms := modes.due_mono_ms) is not None:
            kept += modes.pass_time(at(due_ms / 1000))[1]
        assert [term.left_ms for term in kept] == [HOUR_MS - KEEP_S * 1000 * n for n in range(1, writes + 1)]


@dataclass
class World:
    """One door's station over many lives. ``ran_ms`` counts while it runs; what it wrote is kept."""

    true_ms: int = 0
    boot_ms: int = 0
    machine: int = 1
    wall_off_ms: int = 0
    trust: Clock = "synced"
    ran_ms: int = 0
    lives: int = 1
    kept: list[Term] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.modes = Modes("m1")

    def now(self) -> At:
        return At(self.true_ms - self.boot_ms, NOON_MS + self.true_ms + self.wall_off_ms, self.trust)

    def order(self, verb: Verb, duration_s: int) -> None:
        change = a_change(verb, self.now(), duration_s=duration_s)
        self.take(self.modes.changed(change, term_of(change, self.now(), f"m{self.machine}")))

    def take(self, turn: Turn) -> None:
        self.kept = [turn.term] if turn.term else []

    def run(self, ms: int) -> None:
        until_ms = self.true_ms + ms
        self.ran_ms += ms
        while (due_ms := self.modes.due_mono_ms) is not None and due_ms + self.boot_ms <= until_ms:
            self.true_ms = max(self.true_ms, due_ms + self.boot_ms)
            self.look()
        self.true_ms = until_ms
        self.look()

    def look(self) -> None:
        turns, terms = self.modes.pass_time(self.now())
        for turn in turns:
            self.take(turn)
        self.kept = terms or self.kept

    def jump(self, ms: int) -> None:
        """The wall clock is set; who sets it wrongly does not call it synchronised."""
        self.wall_off_ms = ms
        self.trust = "synced" if ms == 0 else "unsynced"

    def restart(self, off_ms: int, *, power: bool) -> None:
        self.true_ms += off_ms
        self.lives += 1
        if power:
            self.machine += 1
            self.boot_ms = self.true_ms - 1
        self.modes = Modes(f"m{self.machine}")
        for turn in self.modes.begin(self.kept, self.now()):
            self.take(turn)

    @property
    def in_force(self) -> bool:
        return self.modes.of("main") is not None


LIVES = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.integers(0, 7_200_000)),
        st.tuples(st.just("jump"), st.sampled_from([0, 0, -(10**9), 10**9, 10**12, 1])),
        st.tuples(st.just("restart"), st.integers(0, 4_000_000), st.booleans()),
    ),
    max_size=12,
)
DURATIONS = st.one_of(st.integers(1, LONGEST_MODE_S), st.integers(1, 600))


def live(verb: Verb, duration_s: int, lives: list[tuple[str, int] | tuple[str, int, bool]]) -> World:
    world = World()
    world.order(verb, duration_s)
    for name, *arguments in lives:
        if name == "restart":
            world.restart(int(arguments[0]), power=bool(arguments[1]))
        else:
            getattr(world, name)(arguments[0])
        if verb == "lock_down":
            assert world.in_force or world.true_ms >= duration_s * 1000, "never early"
        else:
            assert not world.in_force or world.true_ms < duration_s * 1000, "never late"
        assert not world.in_force or world.ran_ms <= duration_s * 1000 + world.lives * KEEP_S * 1000
    return world


@given(DURATIONS, LIVES)
@settings(max_examples=300, deadline=None)
def test_no_clock_and_no_restart_ends_a_lock_down_early_or_makes_it_last_for_ever(
    duration_s: int, lives: list[tuple[str, int]]
) -> None:
    world = live("lock_down", duration_s, [*lives])
    world.run(duration_s * 1000 + (world.lives + 1) * KEEP_S * 1000)
    assert not world.in_force
    assert world.kept == []


@given(DURATIONS, LIVES)
@settings(max_examples=300, deadline=None)
def test_no_clock_and_no_restart_makes_a_hold_last_longer_than_ordered(
    duration_s: int, lives: list[tuple[str, int]]
) -> None:
    live("hold_open", duration_s, [*lives])
