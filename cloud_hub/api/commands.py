"""Remote orders and their stories."""

from flask import Response

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.api.blueprint import UNKNOWN, api, cut, send
from cloud_hub.api.order_schemas import CommandAnswer, CommandPage, StepAnswer
from cloud_hub.api.schemas import CommandPath, CommandsQuery
from cloud_hub.commands import queries, story
from cloud_hub.commands.queries import Story
from cloud_hub.models.access import Role
from cloud_hub.models.command import CommandState


@api.get("/commands", summary="List orders, newest first", responses={200: CommandPage, **UNKNOWN})
@requires(Role.VIEWER)
def list_commands(query: CommandsQuery) -> Response:
    """Every order there ever was; none is deleted."""
    session = context.read()
    found = queries.newest(session, station_id=query.station, before=query.after, limit=query.limit + 1)
    page, last = cut(found, query.limit)
    items = [answer(found) for found in queries.with_steps(session, page)]
    return send(CommandPage(items=items, next=last.id if last else None))


@api.get("/commands/<command_id>", summary="One order", responses={200: CommandAnswer, **UNKNOWN})
@requires(Role.VIEWER)
def get_command(path: CommandPath) -> Response:
    """`timeline` tells hop by hop what happened; `evidence` what the station saw."""
    return send(answer(queries.one(context.read(), path.command_id)))


def answer(found: Story) -> CommandAnswer:
    """The order as the API shows it."""
    command = found.command
    return CommandAnswer(
        id=command.id,
        station=command.station_id,
        door=command.door_id,
        verb=command.verb,
        pulse_ms=command.pulse_ms,
        duration_s=command.duration_s,
        reason=command.reason,
        state=CommandState(command.state),
        final=command.final,
        code=command.code,
        stopped=story.tell(found).death,
        evidence=command.evidence,
        requested_by=command.requested_by,
        approved_by=command.approved_by,
        requested_at=command.requested_at,
        ended_at=command.ended_at,
        asked=command.asked,
        timeline=[StepAnswer.model_validate(step) for step in found.steps],
    )
