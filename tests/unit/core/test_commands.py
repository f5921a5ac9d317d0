"""The rules of remote orders, one test each; ``test_command_histories`` plays hostile histories against all at once."""

from typing import Any

import pytest

from firmware_config.vocabulary import Outcome
from firmware_config.wire import (
    CHALLENGE_LIFE_MS,
    Challenge,
    Clock,
    Order,
    Reply,
    Result,
)
from station_agent.core import commands as core
from station_agent.core.commands import (
    Commands,
    Ignored,
    Intent,
    Known,
    StartPulse,
    digest_of,
)
from tests.support.orders import BOOT, INSTALL, NOON_MS, SEEN, STATION, At, a_go, an_order, begin


def challenged(commands: Commands, order: Order, at: At) -> Challenge:
    answer = commands.order(order, at, None)
    assert isinstance(answer, Challenge), answer
    return answer


def pulsing(commands: Commands, order: Order, at: At) -> None:
    go = a_go(order, challenged(commands, order, at))
    assert commands.go(go, at, None) == Intent(order.cmd_id, digest_of(order))
    assert commands.committed(order.cmd_id, at, None, ok=True) == StartPulse(order.cmd_id, order.door, 5000)


def verdict(answer: object) -> tuple[Outcome, str | None]:
    assert isinstance(answer, Result), answer
    return answer.outcome, answer.code


def test_a_good_order_goes_through_challenge_go_intent_pulse_and_result() -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(1000))
    assert challenge == Challenge(
        station=STATION,
        cmd_id=order.cmd_id,
        door="main",
        verb="unlock",
        pulse_ms=5000,
        boot_id=BOOT,
        nonce=f"{1:032x}",
    )
    assert commands.go(a_go(order, challenge), At(1100), None) == Intent(order.cmd_id, digest_of(order))
    assert commands.committed(order.cmd_id, At(1110), None, ok=True) == StartPulse(order.cmd_id, "main", 5000)
    assert verdict(commands.pulsing(order.cmd_id, SEEN, At(1111))) == (Outcome.PULSING, None)
    final = commands.finished(order.cmd_id, Outcome.OPENED, SEEN, At(3000))
    assert final == Result(
        station=STATION,
        cmd_id=order.cmd_id,
        install_id=INSTALL,
        boot_id=BOOT,
        mono_ms=3000,
        wall_ms=NOON_MS + 3000,
        clock="unsynced",
        outcome=Outcome.OPENED,
        evidence=SEEN,
    )


def test_a_repeat_of_the_order_gets_the_answer_of_its_stage_and_never_a_second_nonce() -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(0))
    assert commands.order(order, At(2900), None) == challenge
    commands.go(a_go(order, challenge), At(3000), None)
    assert commands.order(order, At(3000), None) == Ignored(order.cmd_id, "in_progress")
    commands.committed(order.cmd_id, At(3000), None, ok=True)
    word = commands.pulsing(order.cmd_id, SEEN, At(3001))
    assert commands.order(order, At(3002), None) == word
    final = commands.finished(order.cmd_id, Outcome.PULSED_NOT_OPENED, SEEN, At(15_000))
    assert [commands.order(order, At(at), "fire") for at in (15_001, 9_000_000)] == [final, final]


def test_a_repeat_after_the_challenge_died_says_expired_for_ever() -> None:
    commands, order = begin(), an_order()
    challenged(commands, order, At(0))
    late = commands.order(order, At(CHALLENGE_LIFE_MS + 1), None)
    assert verdict(late) == (Outcome.EXPIRED, "challenge_expired")
    assert commands.order(order, At(CHALLENGE_LIFE_MS + 2), None) == late


def test_the_same_id_with_another_body_ends_an_order_that_was_only_challenged() -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(0))
    conflict = commands.order(an_order(pulse_ms=9000), At(1), None)
    assert verdict(conflict) == (Outcome.REJECTED, "conflict")
    assert commands.go(a_go(order, challenge), At(2), None) == conflict


def test_the_same_id_with_another_body_never_contradicts_a_pulse() -> None:
    commands, order, other = begin(), an_order(), an_order(pulse_ms=9000)
    pulsing(commands, order, At(0))
    assert commands.order(other, At(1), None) == Ignored(order.cmd_id, "conflict")
    final = commands.finished(order.cmd_id, Outcome.OPENED, SEEN, At(2))
    assert commands.order(other, At(3), None) == Ignored(order.cmd_id, "conflict")
    assert commands.order(order, At(4), None) == final


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"door": "side"}, id="door"),
        pytest.param({"pulse_ms": 5001}, id="pulse"),
        pytest.param({"issued_ms": NOON_MS + 1}, id="issued"),
        pytest.param({"station": "st-demo0002"}, id="station"),
        pytest.param({"boot_id": "c" * 32}, id="boot"),
        pytest.param({"nonce": "d" * 32}, id="nonce"),
    ],
)
def test_a_go_that_differs_in_one_field_ends_the_order(change: dict[str, Any]) -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(0))
    refused = commands.go(a_go(order, challenge, **change), At(1), None)
    assert verdict(refused) == (Outcome.REJECTED, "mismatch")
    assert commands.go(a_go(order, challenge), At(2), None) == refused


@pytest.mark.parametrize(
    ("after_ms", "expected"),
    [
        pytest.param(CHALLENGE_LIFE_MS, None, id="at the deadline"),
        pytest.param(CHALLENGE_LIFE_MS + 1, (Outcome.EXPIRED, "challenge_expired"), id="past it"),
        pytest.param(3_600_000, (Outcome.EXPIRED, "challenge_expired"), id="an hour, as after SIGSTOP"),
    ],
)
def test_a_nonce_lives_three_seconds(after_ms: int, expected: tuple[Outcome, str] | None) -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(500))
    answer = commands.go(a_go(order, challenge), At(500 + after_ms), None)
    assert (None if isinstance(answer, Intent) else verdict(answer)) == expected


@pytest.mark.parametrize(
    ("age_ms", "trust", "accepted"),
    [
        pytest.param(-2000, "synced", True, id="2 s early"),
        pytest.param(-2001, "synced", False, id="earlier"),
        pytest.param(10_000, "synced", True, id="10 s old"),
        pytest.param(10_001, "synced", False, id="older"),
        pytest.param(-31_536_000_000, "unsynced", True, id="a year early by a clock nobody set"),
        pytest.param(31_536_000_000, "restored", True, id="a year old by a clock out of a file"),
    ],
)
def test_the_wall_clock_is_a_second_check_only_when_synchronised(
    age_ms: int, trust: Clock, *, accepted: bool
) -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(0))
    answer = commands.go(a_go(order, challenge), At(10, wall_ms=NOON_MS + age_ms, trust=trust), None)
    if accepted:
        assert isinstance(answer, Intent)
    else:
        assert verdict(answer) == (Outcome.EXPIRED, "issued_out_of_time")


def test_an_intent_the_disk_refused_opens_nothing() -> None:
    commands, order = begin(), an_order()
    commands.go(a_go(order, challenged(commands, order, At(0))), At(1), None)
    refused = commands.committed(order.cmd_id, At(2), None, ok=False)
    assert verdict(refused) == (Outcome.REJECTED, "storage_full")
    assert commands.committed(order.cmd_id, At(3), None, ok=True) == Ignored(order.cmd_id, "unknown_order")


def test_an_intent_committed_too_late_opens_nothing() -> None:
    commands, order = begin(), an_order()
    commands.go(a_go(order, challenged(commands, order, At(0))), At(CHALLENGE_LIFE_MS), None)
    late = commands.committed(order.cmd_id, At(CHALLENGE_LIFE_MS + 1), None, ok=True)
    assert verdict(late) == (Outcome.EXPIRED, "intent_late")


@pytest.mark.parametrize("step", ["order", "go", "committed"])
def test_a_reason_of_the_house_refuses_at_every_step(step: str) -> None:
    commands, order = begin(), an_order()
    why = {step: "fire"}
    answer: object = commands.order(order, At(0), why.get("order"))
    if isinstance(answer, Challenge):
        answer = commands.go(a_go(order, answer), At(1), why.get("go"))
    if isinstance(answer, Intent):
        answer = commands.committed(order.cmd_id, At(2), why.get("committed"), ok=True)
    assert verdict(answer) == (Outcome.REJECTED, "fire")


def test_an_unknown_door_is_refused() -> None:
    assert verdict(begin().order(an_order(door="roof"), At(0), None)) == (Outcome.REJECTED, "unknown_door")


def test_a_newer_order_for_the_same_door_ends_the_older_one() -> None:
    commands, older, newer = begin(), an_order(1), an_order(2)
    old, new = challenged(commands, older, At(0)), challenged(commands, newer, At(1))
    assert verdict(commands.go(a_go(older, old), At(2), None)) == (Outcome.REJECTED, "superseded")
    assert isinstance(commands.go(a_go(newer, new), At(3), None), Intent)


def test_another_door_has_its_own_challenge() -> None:
    commands, main, side = begin(), an_order(1), an_order(2, door="side")
    challenges = [challenged(commands, main, At(0)), challenged(commands, side, At(1))]
    answers = [commands.go(a_go(*pair), At(2), None) for pair in zip((main, side), challenges, strict=True)]
    assert [type(answer) for answer in answers] == [Intent, Intent]


def test_a_door_at_work_takes_no_other_order() -> None:
    commands = begin()
    pulsing(commands, an_order(1), At(0))
    assert verdict(commands.order(an_order(2), At(1), None)) == (Outcome.REJECTED, "busy")


def test_a_door_takes_three_pulses_a_minute() -> None:
    commands = begin()
    for number in (1, 2, 3):
        pulsing(commands, an_order(number), At(number))
        commands.finished(an_order(number).cmd_id, Outcome.OPENED, SEEN, At(number))
    assert verdict(commands.order(an_order(4), At(60_000), None)) == (Outcome.REJECTED, "rate_limited")
    assert isinstance(commands.order(an_order(5), At(60_001), None), Challenge)
    assert isinstance(commands.order(an_order(6, door="side"), At(4), None), Challenge)


def test_a_duplicate_go_opens_nothing_more() -> None:
    commands, order = begin(), an_order()
    go = a_go(order, challenged(commands, order, At(0)))
    assert isinstance(commands.go(go, At(1), None), Intent)
    assert commands.go(go, At(2), None) == Ignored(order.cmd_id, "in_progress")
    commands.committed(order.cmd_id, At(3), None, ok=True)
    word = commands.pulsing(order.cmd_id, SEEN, At(4))
    assert commands.go(go, At(5), None) == word
    final = commands.finished(order.cmd_id, Outcome.OPENED, SEEN, At(6))
    assert commands.go(go, At(7), None) == final


def test_of_an_order_it_does_not_know_the_station_says_only_that() -> None:
    commands, order = begin(), an_order()
    go = a_go(order, challenged(begin(), order, At(0)))
    unknown = Ignored(order.cmd_id, "unknown_order")
    assert commands.go(go, At(1), None) == unknown
    assert commands.committed(order.cmd_id, At(1), None, ok=True) == unknown
    assert commands.pulsing(order.cmd_id, SEEN, At(1)) == unknown
    assert commands.finished(order.cmd_id, Outcome.OPENED, SEEN, At(1)) == unknown
    assert commands.asked(order.cmd_id, At(1)) == Reply(
        station=STATION, cmd_id=order.cmd_id, install_id=INSTALL, boot_id=BOOT
    )


def test_asked_about_an_order_the_station_says_what_it_knows() -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(0))
    assert commands.asked(order.cmd_id, At(1)) == Ignored(order.cmd_id, "in_progress")
    commands.go(a_go(order, challenge), At(2), None)
    assert commands.asked(order.cmd_id, At(9000)) == Ignored(order.cmd_id, "in_progress")
    commands.committed(order.cmd_id, At(3), None, ok=True)
    final = commands.finished(order.cmd_id, Outcome.ACTUATOR_FAULT, SEEN, At(4), code="no_readback")
    assert commands.asked(order.cmd_id, At(5)) == final
    assert verdict(final) == (Outcome.ACTUATOR_FAULT, "no_readback")


def test_asked_about_a_dead_challenge_the_station_says_it_can_never_open() -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(0))
    expired = commands.asked(order.cmd_id, At(3001))
    assert verdict(expired) == (Outcome.EXPIRED, "challenge_expired")
    assert commands.go(a_go(order, challenge), At(3002), None) == expired


def test_a_recalled_answer_is_given_again_and_its_digest_guards_it() -> None:
    first, order = begin(), an_order()
    pulsing(first, order, At(0))
    final = first.finished(order.cmd_id, Outcome.OPENED, SEEN, At(1))
    assert isinstance(final, Result)
    later = begin({order.cmd_id: Known(digest_of(order), final)})
    assert later.order(order, At(2), None) == final
    assert later.order(an_order(pulse_ms=700), At(3), None) == Ignored(order.cmd_id, "conflict")
    bare = begin({order.cmd_id: Known("", final)})
    assert bare.order(an_order(pulse_ms=700), At(4), None) == final


def test_what_has_an_intent_on_disk_stays_begun_however_it_ends() -> None:
    """Its final answer may not be told before it is on disk too: after a crash the intent alone is INTERRUPTED."""
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(0))
    commands.go(a_go(order, challenge), At(1), None)
    assert not commands.begun(order.cmd_id)
    late = commands.committed(order.cmd_id, At(3001), None, ok=True)
    assert verdict(late) == (Outcome.EXPIRED, "intent_late")
    assert commands.begun(order.cmd_id)


def test_what_the_disk_refused_was_never_begun() -> None:
    commands, order = begin(), an_order()
    challenge = challenged(commands, order, At(0))
    commands.go(a_go(order, challenge), At(1), None)
    refused = commands.committed(order.cmd_id, At(2), None, ok=False)
    assert verdict(refused) == (Outcome.REJECTED, "storage_full")
    assert not commands.begun(order.cmd_id)
    assert not commands.begun("f" * 32)


def test_memory_forgets_the_oldest_answer_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "REMEMBERED", 2)
    commands = begin()
    refused = [commands.order(an_order(number), At(number), "fire") for number in (1, 2, 3)]
    assert commands.order(an_order(3), At(4), None) == refused[2]
    assert isinstance(commands.order(an_order(1), At(5), None), Challenge)
