"""Orders that change a door's mode, and the rights that must still hold when GO is about to leave (safety.md C10)."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from cloud_hub.access import sessions as sign_ins
from cloud_hub.access.sessions import ABSOLUTE, IDLE
from cloud_hub.commands import orders, proposals, results, services
from cloud_hub.commands.orders import Hop
from cloud_hub.commands.warrants import PROOF_LIFE, Warrant
from cloud_hub.errors import AlreadyDecided, DoorBusy, Invalid, LockedDown, OutcomeUnknown, TooMany
from cloud_hub.models import (
    Alert,
    AuditEntry,
    Command,
    Door,
    LoginSession,
    Proposal,
    ProposalDecision,
    User,
)
from cloud_hub.models.access import Role
from cloud_hub.models.command import CommandState as S
from firmware_config.vocabulary import Outcome
from firmware_config.wire import Challenge, Evidence, Result, Verb
from tests.support.hub import BOOT, INSTALL, OPERATOR, STATION, World, act_at, warrant_of

MODES: list[Verb] = ["hold_open", "end_hold_open", "lock_down", "end_lock_down"]


def challenge(command: Command) -> Challenge:
    return Challenge(
        station=STATION, cmd_id=command.id, door="main", verb=command.verb,  # type: ignore[arg-type]
        pulse_ms=command.pulse_ms, duration_s=command.duration_s, boot_id=BOOT, nonce="9" * 32,
    )  # fmt: skip


def authorise(world: World, command: Command) -> S | None:
    with world.sessions.begin() as session:
        hops = [Hop(S.SENT, world.now, {}), Hop(S.CHALLENGED, world.now, {})]
        return orders.authorise(session, command.id, challenge(command), now=world.now, hops=hops)


def say(world: World, command: Command, outcome: Outcome, **evidence: Any) -> results.Applied:
    word = Result(
        station=STATION, cmd_id=command.id, install_id=INSTALL, boot_id=BOOT, mono_ms=1_000, wall_ms=5,
        clock="synced", outcome=outcome, evidence=Evidence(**evidence),
    )  # fmt: skip
    with world.sessions.begin() as session:
        return results.apply(session, word, now=world.now)


def read(world: World, command: Command) -> Command:
    with world.sessions() as session:
        return session.get_one(Command, command.id)


def change(world: World, table: type[Any], **values: Any) -> None:
    with world.sessions.begin() as session:
        session.execute(update(table).values(**values))


def unknown(world: World, verb: Verb) -> Command:
    command = world.request(verb=verb)
    assert authorise(world, command) is S.AUTHORISED
    world.forward(seconds=8)
    with world.sessions.begin() as session:
        orders.expire(session, now=world.now)
    assert read(world, command).state == S.UNKNOWN
    return command


@pytest.mark.parametrize("verb", MODES)
def test_an_ordered_mode_is_in_force_when_the_station_says_so(world: World, verb: Verb) -> None:
    command = world.request(verb=verb)
    assert authorise(world, command) is S.AUTHORISED
    assert say(world, command, Outcome.APPLIED, mode_until_mono_ms=1_801_000).ended is S.APPLIED
    with world.sessions() as session:
        door = session.get_one(Door, (STATION, "main"))
        entries = session.scalars(select(AuditEntry.action).where(AuditEntry.target == command.id)).all()
    timed = verb in {"hold_open", "lock_down"}
    assert door.mode == (verb if timed else "normal")
    assert door.mode_until == (world.now + timedelta(minutes=30) if timed else None)
    assert entries == [f"door:{verb}:authorised", f"door:{verb}:applied"]


@pytest.mark.parametrize("said", [Outcome.PULSING, Outcome.OPENED, Outcome.PULSED_NOT_OPENED, Outcome.ACTUATOR_FAULT])  # fmt: skip
def test_a_mode_never_pulsed_so_the_word_that_it_did_is_a_contradiction(world: World, said: Outcome) -> None:
    command = world.request(verb="lock_down")
    authorise(world, command)
    say(world, command, said)
    assert read(world, command).state == S.AUTHORISED
    with world.sessions() as session:
        assert session.scalars(select(Alert.kind)).all() == ["order.contradicted"]


def test_an_unlock_is_never_in_force(world: World) -> None:
    command = world.request()
    authorise(world, command)
    say(world, command, Outcome.APPLIED)
    assert read(world, command).state == S.AUTHORISED


def test_a_lock_down_waits_for_no_unlock_of_unknown_outcome(world: World) -> None:
    unknown(world, "unlock")
    with pytest.raises(OutcomeUnknown):
        world.request()
    assert authorise(world, world.request(verb="lock_down")) is S.AUTHORISED


def test_an_unlock_needs_no_word_about_a_mode_of_unknown_outcome(world: World) -> None:
    unknown(world, "hold_open")
    world.request()


def test_a_door_takes_one_live_order_of_whatever_kind(world: World) -> None:
    world.request(verb="lock_down")
    with pytest.raises(DoorBusy):
        world.request()


def test_openings_never_stand_before_a_lock_down(world: World) -> None:
    for n in range(3):
        command = world.request(actor=f"user:{n}")
        with world.sessions.begin() as session:
            orders.refuse(session, command.id, S.DEVICE_OFFLINE, code="test", now=world.now)
    with pytest.raises(TooMany):
        world.request(verb="hold_open", actor="user:new")
    world.request(verb="lock_down", actor="user:new")


@pytest.mark.parametrize(("verb", "duration_s"), [("lock_down", 59), ("hold_open", 86_401), ("end_lock_down", 60), ("unlock", 60)])  # fmt: skip
def test_a_mode_is_bounded(world: World, verb: Verb, duration_s: int) -> None:
    with pytest.raises(Invalid):
        world.request(verb=verb, duration_s=duration_s)


def test_a_door_that_is_locked_down_is_not_unlocked(world: World) -> None:
    change(world, Door, mode="lock_down")
    with pytest.raises(LockedDown):
        world.request()
    world.request(verb="end_lock_down")


def test_a_lock_down_that_came_meanwhile_stops_the_go(world: World) -> None:
    command = world.request()
    change(world, Door, mode="lock_down")
    assert authorise(world, command) is S.REJECTED
    assert read(world, command).code == "locked_down"


@pytest.mark.parametrize(
    ("values", "code"),
    [
        pytest.param({"ended_at": "now"}, "signed_out", id="signed-out"),
        pytest.param({"seen_at": "idle"}, "signed_out", id="idle"),
        pytest.param({"created_at": "absolute"}, "signed_out", id="twelve-hours"),
        pytest.param({"sign_in_id": "f" * 32}, "signed_out", id="never-was"),
    ],
)
def test_a_sign_in_that_ended_stops_the_go(world: World, values: dict[str, Any], code: str) -> None:
    command = world.request()
    times = {"now": world.now, "idle": world.now - IDLE, "absolute": world.now - ABSOLUTE}
    change(world, LoginSession, **{key: times.get(value, value) for key, value in values.items()})
    assert authorise(world, command) is S.REJECTED
    assert (read(world, command).code, read(world, command).final) == (code, True)
    with world.sessions() as session:
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.target == command.id)).all()
    assert actions == ["door:unlock:rejected"]


def test_a_step_up_elsewhere_meanwhile_does_not_stop_it(world: World) -> None:
    command = world.request()
    with world.sessions.begin() as session:
        row = session.scalars(select(LoginSession)).one()
        sign_ins.renew(session, sign_ins.SignIn(row, session.scalars(select(User)).one()), now=world.now)
    assert authorise(world, command) is S.AUTHORISED


@pytest.mark.parametrize(("age", "verdict"), [(PROOF_LIFE, S.AUTHORISED), (PROOF_LIFE + timedelta(seconds=1), S.REJECTED)])  # fmt: skip
def test_the_password_was_given_at_most_five_minutes_before_the_order(
    world: World, age: timedelta, verdict: S
) -> None:
    with world.sessions.begin() as session:
        given = warrant_of(session, OPERATOR, now=world.now)
        old = Warrant(given.actor, given.sign_in_id, world.now - age)
        command = services.request(session, act_at(STATION, "main"), old, now=world.now)
    assert authorise(world, command) is verdict


def test_an_order_without_a_sign_in_is_nobodys(world: World) -> None:
    with world.sessions.begin() as session:
        command = services.request(session, act_at(STATION, "main"), Warrant(OPERATOR), now=world.now)
    assert authorise(world, command) is S.REJECTED


def propose(world: World, actor: str = OPERATOR) -> Proposal:
    with world.sessions.begin() as session:
        warrant = warrant_of(session, actor, now=world.now)
        return proposals.propose(session, act_at(STATION, "main", "lock_down"), warrant, now=world.now)


def approve(world: World, proposal: Proposal, actor: str = "user:wang") -> Command:
    with world.sessions.begin() as session:
        warrant = warrant_of(session, actor, now=world.now)
        return proposals.approve(session, proposal.id, warrant, now=world.now)


def test_what_two_people_decided_goes_out_with_both_names(world: World) -> None:
    world.add_person("wang")
    command = approve(world, propose(world))
    assert (command.requested_by, command.approved_by) == ("user:lin", "user:wang")
    assert authorise(world, command) is S.AUTHORISED
    with world.sessions() as session:
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "door:lock_down:authorised")
        ).one()
    assert (entry.detail["requested_by"], entry.detail["approved_by"]) == ("user:lin", "user:wang")


@pytest.mark.parametrize("gone", ["lin", "wang"])
@pytest.mark.parametrize("how", ["disabled", "role", "signed-out"])
def test_both_of_two_people_must_still_be_allowed(world: World, gone: str, how: str) -> None:
    world.add_person("wang")
    command = approve(world, propose(world))
    with world.sessions.begin() as session:
        user = session.scalars(select(User).where(User.username == gone)).one()
        if how == "signed-out":
            mine = update(LoginSession).where(LoginSession.user_id == user.id)
            session.execute(mine.values(ended_at=world.now))
        elif how == "disabled":
            user.disabled_at = world.now
        else:
            user.role = Role.VIEWER.value
    assert authorise(world, command) is S.REJECTED


def test_nothing_goes_out_before_the_second_person_or_after_ten_minutes(world: World) -> None:
    world.add_person("wang")
    proposal = propose(world)
    with world.sessions() as session:
        assert list(orders.waiting(session)) == []
    world.forward(minutes=10)
    with pytest.raises(AlreadyDecided):
        approve(world, proposal)
    with world.sessions.begin() as session:
        assert proposals.any_overdue(session, now=world.now)
        assert [one.id for one in proposals.expire(session, now=world.now)] == [proposal.id]
        assert not proposals.any_overdue(session, now=world.now)
    with world.sessions() as session:
        assert session.scalars(select(ProposalDecision.verdict)).all() == ["expired"]
        assert "door:lock_down:proposal_expired" in session.scalars(select(AuditEntry.action)).all()


def test_a_lock_down_waits_for_no_opening_and_holds_up_the_next(world: World) -> None:
    opening = world.request()
    shutting = world.request(verb="lock_down")
    assert {read(world, opening).state, read(world, shutting).state} == {S.REQUESTED}
    for verb in ("unlock", "hold_open", "lock_down"):
        with pytest.raises(DoorBusy):
            world.request(verb=verb)
    assert authorise(world, opening) is S.AUTHORISED
    assert authorise(world, shutting) is S.AUTHORISED
    assert say(world, opening, Outcome.REJECTED).ended is S.REJECTED
    assert say(world, shutting, Outcome.APPLIED, mode_until_mono_ms=1_801_000).ended is S.APPLIED
