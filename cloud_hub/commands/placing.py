"""An order as the web process places it: recorded, written down in the audit log with who asked from where, carried on."""

from typing import Any

from flask import request
from sqlalchemy.orm import Session

from cloud_hub import context
from cloud_hub.access import audit
from cloud_hub.access.roles import Principal, signed_in
from cloud_hub.bell import BRIDGE, WEB
from cloud_hub.commands import proposals, services
from cloud_hub.commands.acts import Act
from cloud_hub.commands.warrants import Warrant
from cloud_hub.errors import PersonUnknown, SamePerson
from cloud_hub.models import Command, Proposal
from firmware_config import crashpoint

PROPOSALS = "proposals"
"""Live topic: something waits for a second person, or does not any more."""


def place(act: Act) -> Command | Proposal:
    """Order an act for whoever is asking, or propose it where two people are needed. Nothing has been sent yet.

    Raises:
        CallerError: as ``services.request`` and ``proposals.propose`` say; then nothing is recorded.
    """
    if act.verb in context.web().hub.settings.orders.two_person:
        return _propose(act)
    warrant, now = _warrant(), context.now()
    with context.write() as session:
        command = services.request(session, act, warrant, now=now)
        _record(session, f"door:{act.verb}:requested", command.id, _facts(command))
        crashpoint.here("web.order.before_commit")
    crashpoint.here("web.order.committed")
    _carry(command)
    crashpoint.here("web.order.rung")
    return command


def approve(proposal_id: str) -> Command:
    """Approve what somebody else proposed; returns the order.

    Raises:
        CallerError: as ``proposals.approve`` says. An attempt on one's own proposal goes on record.
    """
    warrant, now = _warrant(), context.now()
    try:
        with context.write() as session:
            command = proposals.approve(session, proposal_id, warrant, now=now)
            _record(
                session,
                f"door:{command.verb}:approved",
                command.id,
                _facts(command) | {"proposal": proposal_id, "proposed_by": command.requested_by},
            )
    except (SamePerson, PersonUnknown) as error:
        with context.write() as session:
            shown = proposals.one(session, proposal_id)
            facts = proposals.facts(shown.proposal) | {"code": error.code}
            _record(session, f"door:{shown.proposal.verb}:approval_refused", proposal_id, facts)
        raise
    _carry(command)
    context.web().ringer.ring(WEB, PROPOSALS)
    return command


def decline(proposal_id: str) -> Proposal:
    """End a proposal without an order.

    Raises:
        CallerError: as ``proposals.decline`` says.
    """
    with context.write() as session:
        proposal = proposals.decline(session, proposal_id, _warrant(), now=context.now())
        _record(session, f"door:{proposal.verb}:declined", proposal.id, proposals.facts(proposal))
    context.web().ringer.ring(WEB, PROPOSALS, f"station:{proposal.station_id}")
    return proposal


def _propose(act: Act) -> Proposal:
    with context.write() as session:
        proposal = proposals.propose(session, act, _warrant(), now=context.now())
        _record(session, f"door:{act.verb}:proposed", proposal.id, proposals.facts(proposal))
    context.web().ringer.ring(WEB, PROPOSALS, f"station:{act.station_id}")
    return proposal


def _warrant() -> Warrant:
    asking: Principal = signed_in()
    if asking.sign_in is None:
        return Warrant(asking.actor)
    row = asking.sign_in.row
    return Warrant(asking.actor, row.sign_in_id, row.authenticated_at)


def _facts(command: Command) -> dict[str, Any]:
    return {
        "station": command.station_id,
        "door": command.door_id,
        "reason": command.reason,
        "duration_s": command.duration_s,
        "sign_in": command.sign_in_id,
    }


def _record(session: Session, action: str, target: str, detail: dict[str, Any]) -> None:
    detail = {**detail, "address": request.remote_addr or ""}
    audit.record(
        session, actor=signed_in().actor, action=action, target=target, detail=detail, now=context.now()
    )


def _carry(command: Command) -> None:
    ringer = context.web().ringer
    ringer.ring(BRIDGE)
    ringer.ring(WEB, f"command:{command.id}", f"station:{command.station_id}")
