"""Orders that wait for a second person."""

from http import HTTPStatus
from typing import Any, cast

from flask import Response, url_for

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.api.blueprint import CONFLICT, THROTTLED, UNKNOWN, api, send
from cloud_hub.api.commands import answer as command_answer
from cloud_hub.api.order_schemas import (
    CommandAnswer,
    ProposalAnswer,
    ProposalList,
    ProposalPath,
    ProposalsQuery,
)
from cloud_hub.commands import placing, proposals, queries
from cloud_hub.commands.proposals import Shown
from cloud_hub.models.access import Role


@api.get("/proposals", summary="List proposals, newest first", responses={200: ProposalList})
@requires(Role.VIEWER)
def list_proposals(query: ProposalsQuery) -> Response:
    """Acts that the hub's settings give to two people."""
    items = [answer(shown) for shown in proposals.newest(context.read(), limit=query.limit)]
    wanted = [item for item in items if query.state in {None, item.state}]
    return send(ProposalList(items=wanted))


@api.get("/proposals/<proposal_id>", summary="One proposal", responses={200: ProposalAnswer, **UNKNOWN})
@requires(Role.VIEWER)
def get_proposal(path: ProposalPath) -> Response:
    """`pending` for at most ten minutes."""
    return send(answer(proposals.one(context.read(), path.proposal_id)))


@api.post(
    "/proposals/<proposal_id>/approve",
    summary="Approve a proposal: the order goes out",
    responses={202: CommandAnswer, **UNKNOWN, **CONFLICT, **THROTTLED},
)
@requires(Role.OPERATOR)
def approve(path: ProposalPath) -> Response:
    """By the token of another account than proposed it (`cloud-hub token create --owner`); 403 `same_person` otherwise."""
    command = placing.approve(path.proposal_id)
    with context.web().reading() as session:
        found = command_answer(queries.one(session, command.id))
    return send(found, HTTPStatus.ACCEPTED, Location=url_for("api.get_command", command_id=command.id))


@api.post(
    "/proposals/<proposal_id>/decline",
    summary="Decline a proposal",
    responses={200: ProposalAnswer, **UNKNOWN, **CONFLICT},
)
@requires(Role.OPERATOR)
def decline(path: ProposalPath) -> Response:
    """Anybody may who may order, whoever proposed it too."""
    placing.decline(path.proposal_id)
    with context.web().reading() as session:
        return send(answer(proposals.one(session, path.proposal_id)))


def answer(shown: Shown) -> ProposalAnswer:
    """The proposal as the API shows it."""
    proposal, decision = shown.proposal, shown.decision
    return ProposalAnswer(
        id=proposal.id,
        station=proposal.station_id,
        door=proposal.door_id,
        verb=proposal.verb,
        pulse_ms=proposal.pulse_ms,
        duration_s=proposal.duration_s,
        reason=proposal.reason,
        state=cast("Any", shown.state(context.now())),
        proposed_by=proposal.proposed_by,
        proposed_at=proposal.proposed_at,
        expires_at=proposal.expires_at,
        decided_by=decision.decided_by if decision else None,
        decided_at=decision.decided_at if decision else None,
        command=decision.command_id if decision else None,
    )
