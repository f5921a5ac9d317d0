"""Modes, and the rights that end an order between challenge and go, through the whole bridge."""

from datetime import timedelta

import pytest

from cloud_hub.commands import proposals
from cloud_hub.db import utc_now
from cloud_hub.models import Alert, AuditEntry, Command, Door, LoginSession, ProposalDecision
from firmware_config.vocabulary import DoorMode, Outcome
from firmware_config.wire import Go, Order, Verb
from tests.support.bridge import BACKENDS, STATIONS, Field
from tests.support.hub import act_at, warrant_of
from tests.support.station import ScriptedStation, wait_for

pytestmark = BACKENDS


def opens(station: ScriptedStation, go: Go) -> None:
    """The script of a door that opens."""
    station.result(go.cmd_id, Outcome.OPENED, energised_mono_ms=1_000, opened_mono_ms=1_800)


def test_what_the_signer_will_not_sign_is_refused_and_alarmed(field: Field) -> None:
    """Rows that no service wrote: somebody has taken over the rest of the hub (threat model 6)."""
    station = field.station()
    station.on_go = lambda go: opens(station, go)
    for n in range(3):
        field.await_state(field.unlock(), "OPENED")
        with field.sessions.begin() as session:
            session.query(Command).update({Command.requested_at: utc_now() - timedelta(minutes=2 + n)})
    command = field.await_state(field.unlock(), "REJECTED")
    assert command.code == "signer_refused"
    assert len(station.gos) == 3
    wait_for(lambda: "order.signer_refused" in {alert.kind for alert in field.all(Alert)})


@pytest.mark.parametrize("verb", ["hold_open", "end_hold_open", "lock_down", "end_lock_down"])
def test_a_mode_goes_the_whole_way_and_is_shown(field: Field, verb: Verb) -> None:
    station = field.station()

    def apply(go: Go) -> None:
        timed = go.duration_s > 0
        station.mode = DoorMode(go.verb) if timed else DoorMode.NORMAL
        station.mode_left_s = go.duration_s
        station.result(go.cmd_id, Outcome.APPLIED)

    station.on_go = apply
    command_id = field.order(verb)
    assert field.await_state(command_id, "APPLIED").final
    assert field.hops(command_id) == ["REQUESTED", "SENT", "CHALLENGED", "AUTHORISED", "APPLIED"]
    (go,) = station.gos
    assert (go.verb, go.pulse_ms, go.duration_s) == (verb, 0, 0 if verb.startswith("end") else 1_800)
    station.heartbeat()
    wait_for(lambda: [door.mode for door in field.all(Door)] == [station.mode.value])


def test_a_mode_without_a_word_after_go_is_asked_about_and_counted(field: Field) -> None:
    station = field.station()
    command_id = field.order("lock_down")
    field.await_state(command_id, "AUTHORISED")
    field.hurry(command_id, by_s=8)
    field.await_state(command_id, "UNKNOWN")
    station.heartbeat()
    wait_for(lambda: field.command(command_id).asked == 1, what="a question on record")
    station.result(command_id, Outcome.APPLIED)
    field.await_state(command_id, "APPLIED")


def test_whoever_signed_out_between_click_and_go_opens_nothing(field: Field) -> None:
    station = field.station()

    def sign_out_then_answer(order: Order) -> None:
        with field.sessions.begin() as session:
            session.query(LoginSession).update({LoginSession.ended_at: utc_now()})
        station.challenge(order)

    station.on_order = sign_out_then_answer
    assert field.await_state(field.unlock(), "REJECTED").code == "signed_out"
    assert station.gos == []


def test_a_proposal_that_nobody_decides_ends_by_itself(field: Field) -> None:
    field.station()
    field.unlock()
    with field.sessions.begin() as session:
        then = utc_now() - timedelta(minutes=10)
        act = act_at(STATIONS[0], "main", "hold_open")
        proposals.propose(session, act, warrant_of(session, "user:lin", now=then), now=then)
    wait_for(lambda: [one.verdict for one in field.all(ProposalDecision)] == ["expired"])
    assert "door:hold_open:proposal_expired" in {entry.action for entry in field.all(AuditEntry)}
