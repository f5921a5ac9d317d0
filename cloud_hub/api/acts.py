"""Orders at a door: unlock, hold open, lock down, and the ends of both."""

from http import HTTPStatus

from flask import Response, url_for

from cloud_hub import context
from cloud_hub.access.roles import requires
from cloud_hub.api.blueprint import CONFLICT, THROTTLED, UNKNOWN, api, send
from cloud_hub.api.commands import answer as command_answer
from cloud_hub.api.order_schemas import ActBody, PlacedAnswer, TimedBody, UnlockBody
from cloud_hub.api.proposals import answer as proposal_answer
from cloud_hub.api.schemas import DoorPath
from cloud_hub.commands import proposals, queries
from cloud_hub.commands.acts import Act
from cloud_hub.commands.placing import place
from cloud_hub.models import Command
from cloud_hub.models.access import Role
from firmware_config.wire import Verb

_ANSWERS = {202: PlacedAnswer, **UNKNOWN, **CONFLICT, **THROTTLED}
_DOOR = "/stations/<station_id>/doors/<door_id>"


@api.post(f"{_DOOR}/unlock", summary="Order a door to be unlocked", responses=_ANSWERS)
@requires(Role.OPERATOR)
def unlock(path: DoorPath, body: UnlockBody) -> Response:
    """Accepted is not opened: follow `Location` until `final` is true. A door takes one order at a time."""
    pulse_ms = body.pulse_ms or context.web().hub.settings.orders.pulse_ms
    return _place(path, "unlock", body.reason, pulse_ms=pulse_ms, confirm_unknown=body.confirm_unknown)


@api.post(f"{_DOOR}/hold-open", summary="Hold a door open for a time", responses=_ANSWERS)
@requires(Role.OPERATOR)
def hold_open(path: DoorPath, body: TimedBody) -> Response:
    """Until it ends, anybody gets in by one touch at the kiosk, and a door left open raises no alarm."""
    return _place(path, "hold_open", body.reason, duration_s=body.duration_s)


@api.post(f"{_DOOR}/end-hold-open", summary="End a hold-open", responses=_ANSWERS)
@requires(Role.OPERATOR)
def end_hold_open(path: DoorPath, body: ActBody) -> Response:
    """Moves nothing where none is in force: the order then ends REJECTED, `not_in_force`."""
    return _place(path, "end_hold_open", body.reason)


@api.post(f"{_DOOR}/lock-down", summary="Lock a door down for a time", responses=_ANSWERS)
@requires(Role.OPERATOR)
def lock_down(path: DoorPath, body: TimedBody) -> Response:
    """Until it ends every way in is refused, remote unlocks too. Leaving stays possible at all times.

    It does not wait for an opening that is under way.
    """
    return _place(path, "lock_down", body.reason, duration_s=body.duration_s)


@api.post(f"{_DOOR}/end-lock-down", summary="End a lock-down", responses=_ANSWERS)
@requires(Role.OPERATOR)
def end_lock_down(path: DoorPath, body: ActBody) -> Response:
    """Moves nothing where none is in force: the order then ends REJECTED, `not_in_force`."""
    return _place(path, "end_lock_down", body.reason)


def _place(
    path: DoorPath,
    verb: Verb,
    reason: str,
    *,
    pulse_ms: int = 0,
    duration_s: int = 0,
    confirm_unknown: bool = False,
) -> Response:
    placed = place(
        Act(
            station_id=path.station_id,
            door_id=path.door_id,
            reason=reason,
            verb=verb,
            pulse_ms=pulse_ms,
            duration_s=duration_s,
            confirm_unknown=confirm_unknown,
        )
    )
    with context.web().reading() as session:
        if isinstance(placed, Command):
            where = url_for("api.get_command", command_id=placed.id)
            return send(command_answer(queries.one(session, placed.id)), HTTPStatus.ACCEPTED, Location=where)
        where = url_for("api.get_proposal", proposal_id=placed.id)
        return send(proposal_answer(proposals.one(session, placed.id)), HTTPStatus.ACCEPTED, Location=where)
