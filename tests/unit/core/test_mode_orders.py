"""Orders that change a door's mode: the same challenge as for a pulse, one write instead of two steps, and who waits for whom."""

from itertools import count
from typing import Any

import msgspec
import pytest

from firmware_config.vocabulary import Outcome
from firmware_config.wire import CHALLENGE_LIFE_MS, TIMED, Challenge, Clock, Evidence, Go, Order, Result, Verb
from station_agent.core.commands import (
    ACTS_A_MINUTE,
    Commands,
    Ignored,
    Intent,
    ModeChange,
    StartPulse,
    digest_of,
)

STATION, BOOT, NOON_MS = "st-demo0001", "b" * 32, 1_760_000_000_000
VERBS: tuple[Verb, ...] = ("hold_open", "end_hold_open", "lock_down", "end_lock_down")
SEEN = Evidence(energised_mono_ms=1)


class At:
    """A moment of a clock nobody has set."""

    wall_ms = 0
    trust: Clock = "unsynced"

    def __init__(self, mono_ms: int) -> None:
        self.mono_ms = mono_ms


def begin() -> Commands:
    fresh = count(1)
    return Commands(
        station=STATION, install_id="1" * 32, boot_id=BOOT, doors=("main",), nonce=lambda: f"{next(fresh):032x}",
        known={},
    )  # fmt: skip


def an_order(verb: Verb, cmd: int = 1, **changes: Any) -> Order:
    order = Order(
        station=STATION,
        cmd_id=f"{cmd:032x}",
        door="main",
        verb=verb,
        pulse_ms=5000 if verb == "unlock" else 0,
        duration_s=3600 if verb in TIMED else 0,
        issued_ms=NOON_MS,
    )
    return msgspec.structs.replace(order, **changes)


def challenged(commands: Commands, order: Order, at: At) -> Go:
    answer = commands.order(order, at, None)
    assert isinstance(answer, Challenge), answer
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    return Go(**fields, boot_id=answer.boot_id, nonce=answer.nonce)


def changing(commands: Commands, order: Order, at: At) -> ModeChange:
    change = commands.go(challenged(commands, order, at), at, None)
    assert isinstance(change, ModeChange), change
    return change


def done(commands: Commands, order: Order, at: At) -> Result:
    change = changing(commands, order, at)
    assert commands.written(order.cmd_id, change.applied, at) == change.applied
    return change.applied


def pulsing(commands: Commands, order: Order, at: At) -> None:
    assert isinstance(commands.go(challenged(commands, order, at), at, None), Intent)
    assert isinstance(commands.committed(order.cmd_id, at, None, ok=True), StartPulse)


def verdict(answer: object) -> tuple[Outcome, str | None]:
    assert isinstance(answer, Result), answer
    return answer.outcome, answer.code


@pytest.mark.parametrize("verb", VERBS)
def test_a_good_order_becomes_one_write_whose_commit_is_the_act(verb: Verb) -> None:
    commands, order = begin(), an_order(verb)
    answer = commands.order(order, At(1000), None)
    assert isinstance(answer, Challenge)
    assert (answer.verb, answer.pulse_ms, answer.duration_s) == (verb, 0, order.duration_s)
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    go = Go(**fields, boot_id=BOOT, nonce=answer.nonce)
    change = commands.go(go, At(2000), None)
    assert isinstance(change, ModeChange)
    assert (change.digest, change.mono_ms, change.latest_mono_ms) == (
        digest_of(order),
        2000,
        1000 + CHALLENGE_LIFE_MS,
    )
    assert verdict(change.late) == (Outcome.EXPIRED, "intent_late")
    until_ms = 2000 + 3_600_000 if verb in TIMED else None
    assert (change.applied.outcome, change.applied.evidence) == (
        Outcome.APPLIED,
        Evidence(mode_until_mono_ms=until_ms),
    )
    assert commands.go(go, At(2001), None) == Ignored(order.cmd_id, "in_progress")
    assert commands.written(order.cmd_id, change.applied, At(2002)) == change.applied
    assert commands.go(go, At(2003), None) == change.applied
    assert commands.order(order, At(99_000), "locked_down") == change.applied
    assert commands.written(order.cmd_id, change.applied, At(99_001)) == Ignored(
        order.cmd_id, "unknown_order"
    )


@pytest.mark.parametrize("verb", VERBS)
def test_a_write_the_disk_refused_or_came_to_late_changes_nothing(verb: Verb) -> None:
    commands = begin()
    changing(commands, an_order(verb), At(0))
    refused = commands.written(an_order(verb).cmd_id, None, At(1))
    assert verdict(refused) == (Outcome.REJECTED, "storage_full")
    change = changing(commands, an_order(verb, 2), At(2))
    assert commands.written(change.order.cmd_id, change.late, At(9000)) == change.late
    assert commands.asked(change.order.cmd_id, At(9001)) == change.late


def test_the_second_step_of_a_pulse_and_that_of_a_mode_are_not_taken_for_each_other() -> None:
    commands, unlock, shut = begin(), an_order("unlock", 1), an_order("lock_down", 2)
    assert isinstance(commands.go(challenged(commands, unlock, At(0)), At(0), None), Intent)
    assert commands.written(unlock.cmd_id, None, At(1)) == Ignored(unlock.cmd_id, "unknown_order")
    assert isinstance(commands.committed(unlock.cmd_id, At(1), None, ok=True), StartPulse)
    changing(commands, shut, At(2))
    assert commands.committed(shut.cmd_id, At(3), None, ok=True) == Ignored(shut.cmd_id, "unknown_order")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"duration_s": 7200}, id="longer"),
        pytest.param({"verb": "lock_down"}, id="another verb"),
        pytest.param({"verb": "unlock", "duration_s": 0, "pulse_ms": 5000}, id="a pulse instead"),
        pytest.param({"issued_ms": NOON_MS + 1}, id="issued"),
        pytest.param({"boot_id": "c" * 32}, id="another run"),
    ],
)
def test_a_go_that_differs_ends_the_order(change: dict[str, Any]) -> None:
    commands, order = begin(), an_order("hold_open")
    go = msgspec.structs.replace(challenged(commands, order, At(0)), **change)
    assert verdict(commands.go(go, At(1), None)) == (Outcome.REJECTED, "mismatch")


def test_the_same_id_with_another_duration_is_a_conflict() -> None:
    commands, order = begin(), an_order("lock_down")
    challenged(commands, order, At(0))
    other = commands.order(an_order("lock_down", duration_s=1), At(1), None)
    assert verdict(other) == (Outcome.REJECTED, "conflict")
    assert commands.digest(order.cmd_id) == digest_of(order)


@pytest.mark.parametrize("verb", VERBS)
def test_a_mode_may_change_while_the_door_pulses_and_the_pulse_keeps_its_answer(verb: Verb) -> None:
    commands, unlock = begin(), an_order("unlock", 1)
    pulsing(commands, unlock, At(0))
    assert verdict(done(commands, an_order(verb, 2), At(10))) == (Outcome.APPLIED, None)
    assert verdict(commands.order(an_order("unlock", 3), At(20), None)) == (Outcome.REJECTED, "busy")
    assert verdict(commands.finished(unlock.cmd_id, Outcome.OPENED, SEEN, At(30))) == (Outcome.OPENED, None)


@pytest.mark.parametrize("verb", ["unlock", *VERBS])
def test_while_one_order_is_being_written_down_the_door_takes_no_other(verb: Verb) -> None:
    commands = begin()
    changing(commands, an_order("hold_open", 1), At(0))
    assert verdict(commands.order(an_order(verb, 2), At(1), None)) == (Outcome.REJECTED, "busy")


def test_a_newer_order_of_any_verb_supersedes_one_that_was_only_challenged_and_says_so_unasked() -> None:
    commands, older = begin(), an_order("unlock", 1)
    go = challenged(commands, older, At(0))
    challenged(commands, an_order("lock_down", 2), At(1))
    (superseded,) = commands.take_unsaid()
    assert (superseded.cmd_id, *verdict(superseded)) == (older.cmd_id, Outcome.REJECTED, "superseded")
    assert commands.take_unsaid() == []
    assert commands.go(go, At(2), None) == superseded
    other_body = commands.order(an_order("unlock", 1, pulse_ms=700), At(3), None)
    assert other_body == Ignored(older.cmd_id, "conflict")


def test_modes_change_three_times_a_minute_but_a_lock_down_is_never_refused_for_it() -> None:
    commands = begin()
    for number in range(ACTS_A_MINUTE):
        done(commands, an_order(VERBS[number % 2], number), At(number))
    refused = commands.order(an_order("hold_open", 10), At(1000), None)
    assert verdict(refused) == (Outcome.REJECTED, "rate_limited")
    done(commands, an_order("lock_down", 11), At(1001))
    assert verdict(commands.order(an_order("end_lock_down", 12), At(1002), None)) == (
        Outcome.REJECTED,
        "rate_limited",
    )
    assert isinstance(commands.order(an_order("unlock", 13), At(1003), None), Challenge)


def test_pulses_do_not_use_up_the_changes_of_mode() -> None:
    commands = begin()
    for number in range(ACTS_A_MINUTE):
        pulsing(commands, an_order("unlock", number), At(number))
        commands.finished(an_order("unlock", number).cmd_id, Outcome.OPENED, SEEN, At(number))
    assert verdict(commands.order(an_order("unlock", 20), At(50), None)) == (Outcome.REJECTED, "rate_limited")
    done(commands, an_order("hold_open", 21), At(51))
