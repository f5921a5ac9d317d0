"""Recording an order. Nothing is sent here: the bridge carries what it finds in the table."""

import math
import os
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud_hub.errors import DoorBusy, Invalid, NotFound, OutcomeUnknown, TooMany
from cloud_hub.models import Command, CommandStep, Door, Station
from cloud_hub.models.command import CommandState
from firmware_config.wire import LONGEST_PULSE_MS, SHORTEST_PULSE_MS

CHALLENGE_WAIT: Final = timedelta(seconds=3)
"""An order without a challenge this long after its request is over (safety.md C2); the bridge looks at ``due_at``."""

PER_OPERATOR: Final = 6
PER_DOOR: Final = 3
"""Orders in any ``WINDOW`` (safety.md C14)."""

WINDOW: Final = timedelta(minutes=1)

LONGEST_REASON: Final = 200


def request_unlock(
    session: Session,
    *,
    station_id: str,
    door_id: str,
    reason: str,
    actor: str,
    pulse_ms: int,
    now: datetime,
    confirm_unknown: bool = False,
) -> Command:
    """Record that somebody wants a door pulsed. The caller commits, then rings the bridge.

    Args:
        session: a writing session.
        station_id: of a station in service.
        door_id: of a door that the station has announced.
        reason: for the record, not empty.
        actor: ``user:NAME`` or ``token:NAME``, already authorised; the bridge checks again before the relay moves.
        pulse_ms: how long to energise the relay.
        now: aware time.
        confirm_unknown: they know that the last order may have left the door open.

    Raises:
        Invalid: reason or pulse break a rule.
        NotFound: no such door, or its station is retired.
        DoorBusy: it has an order that is not over.
        OutcomeUnknown: its last order may have opened it, and they did not say that they know.
        TooMany: too many orders of this operator, or for this door.
    """
    reason = reason.strip()
    _check(reason, pulse_ms)
    _take_turn(session, actor)
    _find_door(session, station_id, door_id)
    _check_free(session, station_id, door_id, confirm_unknown=confirm_unknown)
    door = (Command.station_id == station_id, Command.door_id == door_id)
    _check_rate(session, door, PER_DOOR, "for this door", now)
    _check_rate(session, (Command.requested_by == actor,), PER_OPERATOR, "by this operator", now)
    command = Command(
        id=os.urandom(16).hex(),
        station_id=station_id,
        door_id=door_id,
        verb="unlock",
        pulse_ms=pulse_ms,
        reason=reason,
        state=CommandState.REQUESTED.value,
        final=False,
        code=None,
        requested_by=actor,
        requested_at=now,
        due_at=now + CHALLENGE_WAIT,
        ended_at=None,
        install_id=None,
        boot_id=None,
        evidence={},
    )
    try:
        with session.begin_nested():
            session.add(command)
    except IntegrityError as error:
        raise DoorBusy(f"door {door_id} of {station_id} has an order that is not over") from error
    session.add(CommandStep(command_id=command.id, at=now, state=command.state, detail={"by": actor}))
    session.flush()
    return command


def _check(reason: str, pulse_ms: int) -> None:
    problems: list[dict[str, str]] = []
    if not 0 < len(reason) <= LONGEST_REASON:
        problems.append({"field": "reason", "problem": f"1 to {LONGEST_REASON} characters"})
    if not SHORTEST_PULSE_MS <= pulse_ms <= LONGEST_PULSE_MS:
        problems.append({"field": "pulse_ms", "problem": f"{SHORTEST_PULSE_MS} to {LONGEST_PULSE_MS}"})
    if problems:
        detail = "; ".join(f"{item['field']}: {item['problem']}" for item in problems)
        raise Invalid(detail, errors=problems)


def _take_turn(session: Session, actor: str) -> None:
    """Orders of one operator are counted one after the other, or a burst would pass the count together."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"order:{actor}", 0))))


def _find_door(session: Session, station_id: str, door_id: str) -> None:
    """Locks the door's row: orders for one door are judged one after the other."""
    station = session.get(Station, station_id)
    if station is None or station.retired_at is not None:
        raise NotFound(f"no station {station_id}")
    query = select(Door.id).where(Door.station_id == station_id, Door.id == door_id).with_for_update()
    if session.scalar(query) is None:
        raise NotFound(f"station {station_id} has no door {door_id}")


def _check_free(session: Session, station_id: str, door_id: str, *, confirm_unknown: bool) -> None:
    query = select(Command.id, Command.state).where(
        Command.station_id == station_id, Command.door_id == door_id, Command.final.is_(False)
    )
    rows = session.execute(query).all()
    for row in rows:
        if row.state != CommandState.UNKNOWN:
            raise DoorBusy(f"door {door_id} of {station_id} has an order that is not over", command=row.id)
    if rows and not confirm_unknown:
        raise OutcomeUnknown(
            f"door {door_id} of {station_id} may be open: the outcome of its last order is unknown",
            command=rows[-1].id,
        )


def _check_rate(
    session: Session, whose: tuple[ColumnElement[bool], ...], most: int, words: str, now: datetime
) -> None:
    recent: list[Any] = list(
        session.scalars(
            select(Command.requested_at)
            .where(*whose, Command.requested_at > now - WINDOW)
            .order_by(Command.requested_at.desc())
            .limit(most)
        )
    )
    if len(recent) == most:
        wait_s = max(1, math.ceil((recent[-1] + WINDOW - now).total_seconds()))
        raise TooMany(f"at most {most} orders a minute {words}", retry_after_s=wait_s)
