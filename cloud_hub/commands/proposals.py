"""Orders that two people decide (safety.md W11): proposed by one, approved by another, within ten minutes.

The database holds that a proposal is decided once and that nobody approves their own
(``cloud_hub.models.command.ProposalDecision``); what is checked here only says it in better words.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import and_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.commands import services, warrants
from cloud_hub.commands.acts import Act, check
from cloud_hub.commands.warrants import Warrant
from cloud_hub.errors import AlreadyDecided, AlreadyProposed, NotFound, PersonUnknown, SamePerson
from cloud_hub.models import Command, Proposal, ProposalDecision
from cloud_hub.models.command import Verdict

if TYPE_CHECKING:
    from firmware_config.wire import Verb

LIFE: Final = timedelta(minutes=10)
"""A proposal that nobody has decided by then is over."""

HUB: Final = "hub"


@dataclass(frozen=True, slots=True)
class Shown:
    """A proposal and how it ended, if it has."""

    proposal: Proposal
    decision: ProposalDecision | None

    def state(self, now: datetime) -> str:
        """``pending``, or a ``Verdict``."""
        if self.decision is not None:
            return self.decision.verdict
        return "pending" if now < self.proposal.expires_at else Verdict.EXPIRED.value


def propose(session: Session, act: Act, warrant: Warrant, *, now: datetime) -> Proposal:
    """Record that somebody asks for a second person. Nothing moves.

    Raises:
        CallerError: as ``services.request`` says of the act; ``AlreadyProposed``; ``PersonUnknown``.
    """
    check(act)
    proposer = _person(session, warrant.actor)
    services.take_turn(session, warrant.actor)
    services.find_door(session, act)
    _check_alone(session, act, now)
    newest = select(Proposal.proposed_at).where(
        Proposal.proposed_by == warrant.actor, Proposal.proposed_at > now - services.WINDOW
    )
    most = (services.SHUTTING if act.restricts else services.OPENING).per_operator
    recent = session.scalars(newest.order_by(Proposal.proposed_at.desc()).limit(most)).all()
    services.check_rate(most, recent, words="by this operator", now=now)
    proposal = Proposal(
        id=os.urandom(16).hex(),
        station_id=act.station_id,
        door_id=act.door_id,
        verb=act.verb,
        pulse_ms=act.pulse_ms,
        duration_s=act.duration_s,
        reason=act.reason.strip(),
        confirm_unknown=act.confirm_unknown,
        proposed_by=warrant.actor,
        proposer=proposer,
        proposed_at=now,
        sign_in_id=warrant.sign_in_id,
        proven_at=warrant.proven_at,
        expires_at=now + LIFE,
    )
    session.add(proposal)
    session.flush()
    return proposal


def approve(session: Session, proposal_id: str, warrant: Warrant, *, now: datetime) -> Command:
    """Make the order, with both names on it.

    Raises:
        CallerError: ``SamePerson``, ``PersonUnknown``, ``AlreadyDecided``, or as ``services.request`` says.
    """
    proposal = _undecided(session, proposal_id, now)
    decider = _person(session, warrant.actor)
    if decider == proposal.proposer:
        raise SamePerson("whoever proposed it cannot approve it")
    first = Warrant(proposal.proposed_by, proposal.sign_in_id, proposal.proven_at)
    command = services.request(session, act_of(proposal), first, now=now, approved_by=warrant.actor)
    _decide(
        session,
        proposal,
        Verdict.APPROVED,
        warrant,
        {"decider": decider, "decided_at": now, "command_id": command.id},
    )
    return command


def decline(session: Session, proposal_id: str, warrant: Warrant, *, now: datetime) -> Proposal:
    """End it without an order; whoever proposed it may do that too.

    Raises:
        NotFound: no proposal has this id.
        AlreadyDecided: it is over.
    """
    proposal = _undecided(session, proposal_id, now)
    decider = warrants.person_behind(session, warrant.actor) or warrant.actor
    _decide(session, proposal, Verdict.DECLINED, warrant, {"decider": decider[:64], "decided_at": now})
    return proposal


def expire(session: Session, *, now: datetime) -> list[Proposal]:
    """End every proposal that nobody decided in time, on record."""
    query = _undecided_ones().where(Proposal.expires_at <= now)
    ended = list(session.scalars(query.order_by(Proposal.id).with_for_update(of=Proposal)))
    for proposal in ended:
        _decide(session, proposal, Verdict.EXPIRED, Warrant(HUB), {"decider": HUB, "decided_at": now})
        audit.record(
            session,
            actor=HUB,
            action=f"door:{proposal.verb}:proposal_expired",
            target=proposal.id,
            detail=facts(proposal),
            now=now,
        )
    return ended


def any_overdue(session: Session, *, now: datetime) -> bool:
    """Whether ``expire`` has something to do."""
    return session.scalar(_undecided_ones().where(Proposal.expires_at <= now).limit(1)) is not None


def pending(session: Session, *, now: datetime, station_id: str | None = None) -> Sequence[Proposal]:
    """Proposals that wait for somebody, the oldest first."""
    query = _undecided_ones().where(Proposal.expires_at > now)
    if station_id is not None:
        query = query.where(Proposal.station_id == station_id)
    return session.scalars(query.order_by(Proposal.proposed_at, Proposal.id)).all()


def newest(session: Session, *, limit: int = 50) -> list[Shown]:
    """Proposals, newest first."""
    query = (
        select(Proposal, ProposalDecision)
        .outerjoin(ProposalDecision, ProposalDecision.proposal_id == Proposal.id)
        .order_by(Proposal.proposed_at.desc(), Proposal.id.desc())
        .limit(limit)
    )
    return [Shown(proposal, decision) for proposal, decision in session.execute(query)]


def one(session: Session, proposal_id: str) -> Shown:
    """One proposal.

    Raises:
        NotFound: none has this id.
    """
    proposal = session.get(Proposal, proposal_id)
    if proposal is None:
        raise NotFound(f"no proposal {proposal_id!r}"[:120])
    return Shown(proposal, session.get(ProposalDecision, proposal_id))


def behind(session: Session, command_id: str) -> Shown | None:
    """What two people decided before an order."""
    decision = session.scalar(select(ProposalDecision).where(ProposalDecision.command_id == command_id))
    return None if decision is None else one(session, decision.proposal_id)


def act_of(proposal: Proposal) -> Act:
    """What was proposed."""
    return Act(
        station_id=proposal.station_id,
        door_id=proposal.door_id,
        reason=proposal.reason,
        verb=cast("Verb", proposal.verb),
        pulse_ms=proposal.pulse_ms,
        duration_s=proposal.duration_s,
        confirm_unknown=proposal.confirm_unknown,
    )


def facts(proposal: Proposal) -> dict[str, Any]:
    """For the audit log."""
    return {
        "station": proposal.station_id,
        "door": proposal.door_id,
        "reason": proposal.reason,
        "duration_s": proposal.duration_s,
        "proposed_by": proposal.proposed_by,
    }


def _person(session: Session, actor: str) -> str:
    person = warrants.person_behind(session, actor)
    if person is None:
        raise PersonUnknown("this token belongs to no account: make one with --owner")
    return person


def _undecided_ones() -> Any:
    ended = and_(ProposalDecision.proposal_id == Proposal.id)
    return select(Proposal).where(~select(ProposalDecision.proposal_id).where(ended).exists())


def _check_alone(session: Session, act: Act, now: datetime) -> None:
    for other in pending(session, now=now, station_id=act.station_id):
        if (other.door_id, other.verb) == (act.door_id, act.verb):
            raise AlreadyProposed("the same waits for a second person already", proposal=other.id)


def _undecided(session: Session, proposal_id: str, now: datetime) -> Proposal:
    query = select(Proposal).where(Proposal.id == proposal_id).with_for_update()
    proposal = session.scalar(query)
    if proposal is None:
        raise NotFound(f"no proposal {proposal_id!r}"[:120])
    if session.get(ProposalDecision, proposal_id) is not None or now >= proposal.expires_at:
        raise AlreadyDecided("this proposal is over")
    return proposal


def _decide(
    session: Session, proposal: Proposal, verdict: Verdict, warrant: Warrant, values: dict[str, Any]
) -> None:
    try:
        with session.begin_nested():
            session.add(
                ProposalDecision(
                    proposal_id=proposal.id,
                    proposer=proposal.proposer,
                    verdict=verdict.value,
                    decided_by=warrant.actor,
                    sign_in_id=warrant.sign_in_id,
                    proven_at=warrant.proven_at,
                    **values,
                )
            )
    except IntegrityError as error:
        raise AlreadyDecided("this proposal is over") from error
