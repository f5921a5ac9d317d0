"""What waits for a second person: shown, approved, declined."""

from http import HTTPStatus
from typing import Any

from flask import make_response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context
from cloud_hub.access.accounts import WrongPassword
from cloud_hub.access.roles import requires, signed_in
from cloud_hub.commands import placing, proposals, warrants
from cloud_hub.console import labels, step_up
from cloud_hub.console.views.blueprint import console, is_fragment, render
from cloud_hub.console.views.orders import order_page
from cloud_hub.errors import CallerError
from cloud_hub.i18n import gettext
from cloud_hub.models.access import Role
from cloud_hub.stations import queries as stations


@console.get("/proposals")
@requires(Role.VIEWER)
def proposals_list() -> str:
    """What waits for a second person, and what became of what waited."""
    session = context.read()
    shown = proposals.newest(session)
    names = stations.names(session)
    return render("proposals.html", "_proposals.html", shown=shown, names=names, now=context.now())


@console.get("/proposals/<proposal_id>")
@requires(Role.VIEWER)
def proposal(proposal_id: str) -> str:
    """One proposal, live until it is decided."""
    return proposal_page(proposal_id)


@console.post("/proposals/<proposal_id>/approve")
@requires(Role.OPERATOR)
def approve_proposal(proposal_id: str) -> AnyResponse:
    """Make the order. Whoever proposed it cannot; without a fresh password nobody can."""

    def approve() -> AnyResponse:
        command = placing.approve(proposal_id)
        where = url_for("console.order", command_id=command.id)
        if not is_fragment():
            return redirect(where, code=HTTPStatus.SEE_OTHER)
        response = make_response(order_page(command.id), HTTPStatus.ACCEPTED)
        response.headers["Location"] = where
        return response

    def refuse(error: CallerError) -> AnyResponse:
        return make_response(proposal_page(proposal_id, problem=error), error.status)

    return step_up.proven(request.form.get("password", ""), approve, refuse)


@console.post("/proposals/<proposal_id>/decline")
@requires(Role.OPERATOR)
def decline_proposal(proposal_id: str) -> AnyResponse:
    """End it. That moves nothing, so it needs no password."""
    placing.decline(proposal_id)
    where = url_for("console.proposal", proposal_id=proposal_id)
    return (
        make_response(proposal_page(proposal_id))
        if is_fragment()
        else redirect(where, code=HTTPStatus.SEE_OTHER)
    )


def proposal_page(proposal_id: str, *, problem: CallerError | None = None) -> str:
    """The page or its part."""
    asking = signed_in()
    with context.web().reading() as session:
        shown = proposals.one(session, proposal_id)
        station = stations.names(session).get(shown.proposal.station_id)
        own = warrants.person_behind(session, asking.actor) == shown.proposal.proposer
    values: dict[str, Any] = {
        "shown": shown,
        "state": shown.state(context.now()),
        "station": station,
        "own": own,
        "ask_password": step_up.is_due(),
        "problem": _words(problem),
    }
    return render("proposal.html", "_proposal.html", **values)


def _words(problem: CallerError | None) -> str | None:
    if problem is None:
        return None
    return gettext("Wrong password.") if isinstance(problem, WrongPassword) else labels.error(problem.code)
