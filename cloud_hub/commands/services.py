"""Recording an order. Nothing is sent here: the bridge carries what it finds in the table."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud_hub.commands.acts import RESTRICTING, Act, check
from cloud_hub.commands.results import note
from cloud_hub.commands.warrants import Warrant
from cloud_hub.errors import DoorBusy, LockedDown, NotFound, OutcomeUnknown, TooMany
from cloud_hub.models import Command, Door, Station
from cloud_hub.models.command import CommandState
from firmware_config.vocabulary import DoorMode

CHALLENGE_WAIT: Final = timedelta(seconds=3)
"""An order without a challenge this long after its request is over (safety.md C2); the bridge looks at ``due_at``."""

WINDOW: Final = timedelta(minutes=1)


PER_OPERATOR: Final = 6
PER_DOOR: Final = 3
"""Orders that open, in any ``WINDOW`` (safety.md C14)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Orders of one kind in any ``WINDOW``."""

    per_operator: int
    per_door: int


OPENING: Final = Limits(per_operator=PER_OPERATOR, per_door=PER_DOOR)
SHUTTING: Final = Limits(per_operator=60, per_door=PER_DOOR)
"""Counted apart: openings never stand before a lock-down, and one person can lock a district down."""


def request(
    session: Session, act: Act, warrant: Warrant, *, now: datetime, approved_by: str | None = None
) -> Command:
    """Record that somebody wants an act done. The caller commits, then rings the bridge.

    Args:
        session: a writing session.
        act: what, where and why.
        warrant: who, already authorised; the bridge checks again before the relay moves.
        now: aware time.
        approved_by: the second person, where two are needed.

    Raises:
        Invalid: the act breaks a rule.
        NotFound: no such door, or its station is retired.
        DoorBusy: it has an order that is not over.
        LockedDown: an unlock, where only the end of the lock-down can open.
        OutcomeUnknown: an unlock, the last one may have opened the door, and they did not say that they know.
        TooMany: too many orders of this operator, or for this door.
    """
    check(act)
    take_turn(session, warrant.actor)
    mode = find_door(session, act)
    _check_free(session, act)
    if act.verb == "unlock" and mode == DoorMode.LOCK_DOWN:
        raise LockedDown(f"door {act.door_id} of {act.station_id} is locked down")
    _check_rates(session, act, warrant.actor, now)
    command = _record(session, act, warrant, now=now, approved_by=approved_by)
    detail: dict[str, Any] = {"by": warrant.actor} | ({"approved_by": approved_by} if approved_by else {})
    note(session, command, [(now, command.state, detail)])
    return command


def take_turn(session: Session, actor: str) -> None:
    """Orders of one operator are counted one after the other, or a burst would pass the count together."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"order:{actor}", 0))))


def find_door(session: Session, act: Act) -> str:
    """The door's mode. Locks its row: orders for one door are judged one after the other.

    Raises:
        NotFound: no such door, or its station is retired.
    """
    query = (
        select(Door.mode)
        .join(Station, Station.id == Door.station_id)
        .where(Door.station_id == act.station_id, Door.id == act.door_id, Station.retired_at.is_(None))
        .with_for_update(of=Door)
    )
    if (mode := session.scalar(query)) is not None:
        return mode
    station = session.get(Station, act.station_id)
    if station is None or station.retired_at is not None:
        raise NotFound(f"no station {act.station_id}"[:120])
    raise NotFound(f"station {act.station_id} has no door {act.door_id}"[:120])


def check_rate(most: int, recent: Sequence[datetime], *, words: str, now: datetime) -> None:
    """Refuse when the newest ``most`` times all lie in the window.

    Raises:
        TooMany: with the seconds to wait.
    """
    if len(recent) >= most:
        wait_s = max(1, math.ceil((recent[most - 1] + WINDOW - now).total_seconds()))
        raise TooMany(f"at most {most} orders a minute {words}", retry_after_s=wait_s)


def _record(
    session: Session, act: Act, warrant: Warrant, *, now: datetime, approved_by: str | None
) -> Command:
    command = Command(
        id=os.urandom(16).hex(),
        station_id=act.station_id,
        door_id=act.door_id,
        verb=act.verb,
        pulse_ms=act.pulse_ms,
        duration_s=act.duration_s,
        reason=act.reason.strip(),
        state=CommandState.REQUESTED.value,
        final=False,
        code=None,
        requested_by=warrant.actor,
        requested_at=now,
        sign_in_id=warrant.sign_in_id,
        proven_at=warrant.proven_at,
        approved_by=approved_by,
        due_at=now + CHALLENGE_WAIT,
        asked=0,
        asked_at=None,
        ended_at=None,
        install_id=None,
        boot_id=None,
        evidence={},
    )
    try:
        with session.begin_nested():
            session.add(command)
    except IntegrityError as error:
        raise _busy(act) from error
    return command


def _busy(act: Act, **extra: str) -> DoorBusy:
    return DoorBusy(f"door {act.door_id} of {act.station_id} has an order that is not over", **extra)


def _check_free(session: Session, act: Act) -> None:
    """A live order holds up the next one, but what restricts waits for nothing that opens.

    One of unknown outcome holds up only a second unlock, and that only until they say that they know.
    """
    query = select(Command.id, Command.state, Command.verb).where(
        Command.station_id == act.station_id, Command.door_id == act.door_id, Command.final.is_(False)
    )
    rows = session.execute(query).all()
    for row in rows:
        waits = not act.restricts or row.verb in RESTRICTING
        if waits and row.state != CommandState.UNKNOWN:
            raise _busy(act, command=row.id)
    open_perhaps = [row.id for row in rows if row.verb == "unlock"]
    if act.verb == "unlock" and open_perhaps and not act.confirm_unknown:
        raise OutcomeUnknown(
            f"door {act.door_id} of {act.station_id} may be open: the outcome of its last order is unknown",
            command=open_perhaps[-1],
        )


def _check_rates(session: Session, act: Act, actor: str, now: datetime) -> None:
    limits = SHUTTING if act.restricts else OPENING
    alike = Command.verb.in_(RESTRICTING) if act.restricts else Command.verb.not_in(RESTRICTING)
    at_door = (Command.station_id == act.station_id, Command.door_id == act.door_id, alike)
    of_door = _recent(session, at_door, limits.per_door, now)
    check_rate(limits.per_door, of_door, words="for this door", now=now)
    of_actor = _recent(session, (Command.requested_by == actor, alike), limits.per_operator, now)
    check_rate(limits.per_operator, of_actor, words="by this operator", now=now)


def _recent(
    session: Session, whose: tuple[ColumnElement[bool], ...], most: int, now: datetime
) -> Sequence[datetime]:
    query = select(Command.requested_at).where(*whose, Command.requested_at > now - WINDOW)
    return session.scalars(query.order_by(Command.requested_at.desc()).limit(most)).all()
