"""The lattice of an order, spelt out, and results applied to rows."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.commands import orders, results
from cloud_hub.commands.results import AFTER_GO, BEFORE_GO, FINAL, MOVES, NEVER_PULSED, PULSED, Verdict
from cloud_hub.models import Alert, AuditEntry, Command, CommandStep
from cloud_hub.models.command import CommandState as S
from firmware_config.vocabulary import Outcome
from firmware_config.wire import Challenge, Evidence, Reply, Result
from tests.support.hub import BOOT, INSTALL, STATION, World

N, X = Verdict.NOTED, Verdict.CONTRADICTION
OUTCOMES = [
    "pulsing",
    "opened",
    "pulsed_not_opened",
    "actuator_fault",
    "rejected",
    "expired",
    "interrupted",
    "applied",
]
TABLE: dict[S, list[S | Verdict]] = {
    S.REQUESTED: [X, X, X, X, S.REJECTED, S.EXPIRED, X, X],
    S.SENT: [X, X, X, X, S.REJECTED, S.EXPIRED, X, X],
    S.CHALLENGED: [X, X, X, X, S.REJECTED, S.EXPIRED, X, X],
    S.AUTHORISED: [
        S.PULSING,
        S.OPENED,
        S.PULSED_NOT_OPENED,
        S.ACTUATOR_FAULT,
        S.REJECTED,
        S.EXPIRED,
        S.INTERRUPTED,
        S.APPLIED,
    ],
    S.PULSING: [N, S.OPENED, S.PULSED_NOT_OPENED, S.ACTUATOR_FAULT, X, X, S.INTERRUPTED, X],
    S.UNKNOWN: [
        N,
        S.OPENED,
        S.PULSED_NOT_OPENED,
        S.ACTUATOR_FAULT,
        S.REJECTED,
        S.EXPIRED,
        S.INTERRUPTED,
        S.APPLIED,
    ],
    S.DEVICE_OFFLINE: [X, X, X, X, N, N, X, X],
    S.NO_CHALLENGE: [X, X, X, X, N, N, X, X],
    S.REJECTED: [X, X, X, X, N, N, X, X],
    S.EXPIRED: [X, X, X, X, N, N, X, X],
    S.OPENED: [N, N, X, X, X, X, X, X],
    S.PULSED_NOT_OPENED: [N, X, N, X, X, X, X, X],
    S.ACTUATOR_FAULT: [N, X, X, N, X, X, X, X],
    S.INTERRUPTED: [N, X, X, X, X, X, N, X],
    S.APPLIED: [X, X, X, X, X, X, X, N],
    S.UNKNOWN_FINAL: [
        N,
        S.OPENED,
        S.PULSED_NOT_OPENED,
        S.ACTUATOR_FAULT,
        S.REJECTED,
        S.EXPIRED,
        S.INTERRUPTED,
        S.APPLIED,
    ],
}


def test_the_lattice_is_the_table() -> None:
    spelt = {
        (state, Outcome(word)): move
        for state, row in TABLE.items()
        for word, move in zip(OUTCOMES, row, strict=True)
    }
    assert spelt == MOVES


def test_every_state_is_of_one_kind() -> None:
    kinds = [BEFORE_GO, AFTER_GO, NEVER_PULSED, PULSED, frozenset({S.APPLIED, S.UNKNOWN_FINAL})]
    assert set().union(*kinds) == set(S)
    assert sum(map(len, kinds)) == len(S)


def test_no_word_leads_back() -> None:
    rank = dict.fromkeys(BEFORE_GO, 0) | {
        S.AUTHORISED: 1,
        S.PULSING: 2,
        S.UNKNOWN: 3,
        S.UNKNOWN_FINAL: 4,
    }
    for (state, _), move in MOVES.items():
        if isinstance(move, S):
            assert rank.get(move, 5) > rank.get(state, 5)


def challenge(command: Command) -> Challenge:
    return Challenge(
        station=STATION,
        cmd_id=command.id,
        door="main",
        verb="unlock",
        pulse_ms=3_000,
        boot_id=BOOT,
        nonce="9" * 32,
    )


def word(command_id: str, outcome: Outcome, **changes: Any) -> Result:
    fields: dict[str, Any] = {
        "station": STATION, "cmd_id": command_id, "install_id": INSTALL, "boot_id": BOOT, "mono_ms": 5, "wall_ms": 5,
        "clock": "synced", "outcome": outcome, **changes,
    }  # fmt: skip
    return Result(**fields)


def authorised(world: World) -> Command:
    command = world.request()
    with world.sessions.begin() as session:
        assert (
            orders.authorise(session, command.id, challenge(command), now=world.now, hops=()) is S.AUTHORISED
        )
    return command


def unknown(world: World) -> Command:
    command = authorised(world)
    world.forward(seconds=8)
    with world.sessions.begin() as session:
        orders.expire(session, now=world.now)
    return command


def say(world: World, result: Result) -> results.Applied:
    with world.sessions.begin() as session:
        return results.apply(session, result, now=world.now)


def read(sessions: sessionmaker[Session], command: Command) -> Command:
    with sessions() as session:
        return session.get_one(Command, command.id)


def audit_of(world: World, command: Command) -> list[str]:
    with world.sessions() as session:
        query = select(AuditEntry.action).where(AuditEntry.target == command.id).order_by(AuditEntry.id)
        return list(session.scalars(query))


def test_only_contact_evidence_makes_it_opened_and_the_evidence_is_kept(world: World) -> None:
    command = authorised(world)
    say(
        world, word(command.id, Outcome.PULSING, evidence=Evidence(energised_mono_ms=10, relay_readback=True))
    )
    assert read(world.sessions, command).state == S.PULSING
    applied = say(world, word(command.id, Outcome.OPENED, evidence=Evidence(opened_mono_ms=20)))
    assert applied == results.Applied(known=True, changed=True, ended=S.OPENED)
    stored = read(world.sessions, command)
    assert stored.evidence == {"energised_mono_ms": 10, "relay_readback": True, "opened_mono_ms": 20}
    assert (stored.final, stored.ended_at) == (True, world.now)
    assert audit_of(world, command) == ["door:unlock:authorised", "door:unlock:opened"]


def test_a_repeat_changes_nothing(world: World) -> None:
    command = authorised(world)
    say(world, word(command.id, Outcome.OPENED))
    world.forward(seconds=5)
    assert say(world, word(command.id, Outcome.OPENED)) == results.Applied(known=True)
    assert say(world, word(command.id, Outcome.PULSING)) == results.Applied(known=True)
    assert audit_of(world, command) == ["door:unlock:authorised", "door:unlock:opened"]


def test_a_contradiction_is_recorded_and_raised_once_and_the_state_stays(world: World) -> None:
    command = authorised(world)
    say(world, word(command.id, Outcome.PULSED_NOT_OPENED))
    for _ in range(3):
        say(world, word(command.id, Outcome.OPENED))
    assert read(world.sessions, command).state == S.PULSED_NOT_OPENED
    assert audit_of(world, command)[-1:] == ["door:unlock:contradicted"]
    with world.sessions() as session:
        (alert,) = session.scalars(select(Alert)).all()
    assert (alert.kind, alert.severity, alert.count) == ("order.contradicted", "critical", 1)


def test_a_result_before_go_that_says_the_relay_moved_is_not_believed(world: World) -> None:
    command = world.request()
    say(world, word(command.id, Outcome.OPENED))
    assert read(world.sessions, command).state == S.REQUESTED
    assert audit_of(world, command) == ["door:unlock:contradicted"]


def test_a_refusal_before_go_ends_the_order(world: World) -> None:
    command = world.request()
    say(world, word(command.id, Outcome.REJECTED, code="fire"))
    stored = read(world.sessions, command)
    assert (stored.state, stored.code, stored.final) == (S.REJECTED, "fire", True)


def test_a_result_of_an_unknown_order_or_another_station_is_put_on_record(world: World) -> None:
    command = authorised(world)
    world.add_station("st-other0001")
    assert not say(world, word("f" * 32, Outcome.OPENED)).known
    assert not say(world, word(command.id, Outcome.OPENED, station="st-other0001")).known
    assert read(world.sessions, command).state == S.AUTHORISED


def test_without_a_word_for_8_seconds_an_order_is_unknown_and_not_final(world: World) -> None:
    command = authorised(world)
    world.forward(seconds=7.999)
    with world.sessions.begin() as session:
        assert orders.expire(session, now=world.now) == []
    world.forward(seconds=0.001)
    with world.sessions.begin() as session:
        assert [found.id for found in orders.expire(session, now=world.now)] == [command.id]
    stored = read(world.sessions, command)
    assert (stored.state, stored.final) == (S.UNKNOWN, False)


def test_a_pulse_gives_the_station_until_8_seconds_after_its_end(world: World) -> None:
    command = authorised(world)
    say(world, word(command.id, Outcome.PULSING))
    assert (read(world.sessions, command).due_at - world.now).total_seconds() == 11


def test_unknown_is_resolved_by_a_later_result(world: World) -> None:
    command = unknown(world)
    say(world, word(command.id, Outcome.PULSING, evidence=Evidence(energised_mono_ms=7)))
    assert read(world.sessions, command).state == S.UNKNOWN
    say(world, word(command.id, Outcome.PULSED_NOT_OPENED))
    assert read(world.sessions, command).state == S.PULSED_NOT_OPENED


def reply(command: Command, install_id: str = INSTALL) -> Reply:
    return Reply(station=STATION, cmd_id=command.id, install_id=install_id, boot_id=BOOT)


def test_a_store_that_never_began_it_makes_it_expired(world: World) -> None:
    command = unknown(world)
    with world.sessions.begin() as session:
        assert results.reply(session, reply(command), now=world.now).ended is S.EXPIRED


def test_another_store_makes_it_unknown_for_ever_with_an_alert(world: World) -> None:
    command = unknown(world)
    with world.sessions.begin() as session:
        assert results.reply(session, reply(command, "2" * 32), now=world.now).ended is S.UNKNOWN_FINAL
    with world.sessions() as session:
        assert session.scalars(select(Alert.kind)).all() == ["order.unknown_final"]


def test_a_reply_before_the_order_is_unknown_is_not_believed(world: World) -> None:
    command = authorised(world)
    with world.sessions.begin() as session:
        assert results.reply(session, reply(command), now=world.now) == results.Applied(known=True)
    assert read(world.sessions, command).state == S.AUTHORISED


def test_a_lost_store_ends_only_the_unknown_orders_of_that_store(world: World) -> None:
    command = unknown(world)
    with world.sessions.begin() as session:
        assert results.store_lost(session, station_id=STATION, install_id=INSTALL, now=world.now) == []
        assert (
            results.store_lost(session, station_id="st-other0001", install_id="2" * 32, now=world.now) == []
        )
        assert results.store_lost(session, station_id=STATION, install_id="2" * 32, now=world.now) == [
            command.id
        ]


def test_a_signed_result_after_all_replaces_unknown_final_and_says_that_it_was_late(world: World) -> None:
    command = unknown(world)
    with world.sessions.begin() as session:
        results.store_lost(session, station_id=STATION, install_id="2" * 32, now=world.now)
    say(world, word(command.id, Outcome.OPENED))
    with world.sessions() as session:
        query = (
            select(CommandStep).where(CommandStep.command_id == command.id).order_by(CommandStep.id.desc())
        )
        last = session.scalars(query).first()
    assert last is not None
    assert (last.state, last.detail["late"]) == (S.OPENED, True)


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.EXPIRED])
def test_a_store_that_did_not_take_go_cannot_say_that_the_order_never_began(
    world: World, outcome: Outcome
) -> None:
    """The old store may have opened the door; whoever repeats the order to a new one gets it refused."""
    command = authorised(world)
    for ended in (S.UNKNOWN_FINAL, None):
        assert say(world, word(command.id, outcome, install_id="2" * 32)).ended == ended
        row = read(world.sessions, command)
        assert (row.state, row.code) == (S.UNKNOWN_FINAL, "store_lost")
    assert say(world, word(command.id, outcome)).ended == S[outcome.name]


@pytest.mark.parametrize("state", [S.DEVICE_OFFLINE, S.NO_CHALLENGE])
def test_once_go_may_be_out_nobody_can_claim_that_it_never_was(world: World, state: S) -> None:
    command = authorised(world)
    with world.sessions() as session, pytest.raises(ValueError, match="cannot end as"):
        results.end(session, session.get_one(Command, command.id), state, now=world.now)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from(list(Outcome)), max_size=6))
def test_any_history_of_words_ends_in_at_most_one_final_state(world: World, words: list[Outcome]) -> None:
    world.forward(minutes=2)
    command = authorised(world)
    states = [S.AUTHORISED]
    for outcome in words:
        say(world, word(command.id, outcome))
        states.append(S(read(world.sessions, command).state))
    finals = [state for state, _ in itertools.groupby(states) if state in FINAL]
    assert len(finals) <= 1
    if finals:
        assert states[-1] is finals[0]
    say(world, word(command.id, Outcome.OPENED))
    assert read(world.sessions, command).final
