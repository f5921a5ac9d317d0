"""An order as the web process places it: recorded, written down in the audit log with who asked from where, carried on."""

from flask import request

from cloud_hub import context
from cloud_hub.access import audit
from cloud_hub.access.roles import signed_in
from cloud_hub.bell import BRIDGE, WEB
from cloud_hub.commands import services
from cloud_hub.models import Command
from firmware_config import crashpoint


def place_unlock(
    *, station_id: str, door_id: str, reason: str, pulse_ms: int | None = None, confirm_unknown: bool = False
) -> Command:
    """Order a door to be unlocked for whoever is asking. Committed when this returns; nothing has been sent yet.

    Args:
        station_id: of a station in service.
        door_id: of a door that the station has announced.
        reason: for the record, not empty.
        pulse_ms: how long to energise the relay; the settings' when None.
        confirm_unknown: they know that the last order may have left the door open.

    Raises:
        CallerError: as ``services.request_unlock`` says; then nothing is recorded.
    """
    web, actor, now = context.web(), signed_in().actor, context.now()
    with context.write() as session:
        command = services.request_unlock(
            session,
            station_id=station_id,
            door_id=door_id,
            reason=reason,
            actor=actor,
            pulse_ms=pulse_ms or web.hub.settings.orders.pulse_ms,
            confirm_unknown=confirm_unknown,
            now=now,
        )
        audit.record(
            session,
            actor=actor,
            action="door:unlock:requested",
            target=command.id,
            detail={
                "station": station_id,
                "door": door_id,
                "reason": command.reason,
                "address": request.remote_addr or "",
            },
            now=now,
        )
        crashpoint.here("web.order.before_commit")
    crashpoint.here("web.order.committed")
    web.ringer.ring(BRIDGE)
    web.ringer.ring(WEB, f"command:{command.id}", f"station:{station_id}")
    crashpoint.here("web.order.rung")
    return command
