"""Recording an order. Nothing is sent here: the bridge carries what it finds in the table."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Row, Table, and_, bindparam, func, insert, or_, select
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


_COMMAND: Final = cast("Table", Command.__table__)
_C: Final = _COMMAND.c
_AT_DOOR: Final = and_(_C.station_id == bindparam("station"), _C.door_id == bindparam("door"))
_RECENT: Final = _C.requested_at > bindparam("since")

# Built once and past the mapper: somebody waits at a door for these.
_FIND_DOOR: Final = (
    select(Door.__table__.c.mode)
    .join_from(Door.__table__, Station.__table__)
    .where(
        Door.__table__.c.station_id == bindparam("station"),
        Door.__table__.c.id == bindparam("door"),
        Station.__table__.c.retired_at.is_(None),
    )
    .with_for_update(of=Door.__table__)
)
_BEARING: Final = select(
    _C.id, _C.station_id, _C.door_id, _C.state, _C.verb, _C.final, _C.requested_at, _C.requested_by
).where(
    or_(
        and_(_C.final.is_(False), _AT_DOOR),
        and_(_AT_DOOR, _RECENT),
        and_(_C.requested_by == bindparam("actor"), _RECENT),
    )
)
_INSERT: Final = insert(_COMMAND)


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
    bearing = _bearing(session, act, warrant.actor, now)
    at_door = [row for row in bearing if (row.station_id, row.door_id) == (act.station_id, act.door_id)]
    _check_free(act, [row for row in at_door if not row.final])
    if act.verb == "unlock" and mode == DoorMode.LOCK_DOWN:
        raise LockedDown(f"door {act.door_id} of {act.station_id} is locked down")
    limits = SHUTTING if act.restricts else OPENING
    check_rate(limits.per_door, _recent(act, at_door, now), words="for this door", now=now)
    by_actor = [row for row in bearing if row.requested_by == warrant.actor]
    check_rate(limits.per_operator, _recent(act, by_actor, now), words="by this operator", now=now)
    command = _record(session, act, warrant, now=now, approved_by=approved_by)
    detail: dict[str, Any] = {"by": warrant.actor} | ({"approved_by": approved_by} if approved_by else {})
    note(session, command.id, [(now, command.state, detail)])
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
    where = {"station": act.station_id, "door": act.door_id}
    if (mode := session.connection().scalar(_FIND_DOOR, where)) is not None:
        return str(mode)
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
    row = {
        "id": os.urandom(16).hex(),
        "station_id": act.station_id,
        "door_id": act.door_id,
        "verb": act.verb,
        "pulse_ms": act.pulse_ms,
        "duration_s": act.duration_s,
        "reason": act.reason.strip(),
        "state": CommandState.REQUESTED.value,
        "final": False,
        "code": None,
        "requested_by": warrant.actor,
        "requested_at": now,
        "sign_in_id": warrant.sign_in_id,
        "proven_at": warrant.proven_at,
        "approved_by": approved_by,
        "due_at": now + CHALLENGE_WAIT,
        "asked": 0,
        "asked_at": None,
        "ended_at": None,
        "install_id": None,
        "boot_id": None,
        "evidence": {},
    }
    try:
        session.connection().execute(_INSERT, row)
    except IntegrityError as error:
        raise _busy(act) from error
    return Command(**row)


def _busy(act: Act, **extra: str) -> DoorBusy:
    return DoorBusy(f"door {act.door_id} of {act.station_id} has an order that is not over", **extra)


def _bearing(session: Session, act: Act, actor: str, now: datetime) -> Sequence[Row[Any]]:
    """Every order that may stand in the way of this one: of the door, not over or recent; of the actor, recent."""
    values = {"station": act.station_id, "door": act.door_id, "actor": actor, "since": now - WINDOW}
    rows: Sequence[Any] = session.connection().execute(_BEARING, values).all()
    return rows


def _check_free(act: Act, live: Sequence[Row[Any]]) -> None:
    """A live order holds up the next one, but what restricts waits for nothing that opens.

    One of unknown outcome holds up only a second unlock, and that only until they say that they know.
    """
    for row in live:
        waits = not act.restricts or row.verb in RESTRICTING
        if waits and row.state != CommandState.UNKNOWN:
            raise _busy(act, command=row.id)
    open_perhaps = [(row.requested_at, row.id) for row in live if row.verb == "unlock"]
    if act.verb == "unlock" and open_perhaps and not act.confirm_unknown:
        raise OutcomeUnknown(
            f"door {act.door_id} of {act.station_id} may be open: the outcome of its last order is unknown",
            command=max(open_perhaps)[1],
        )


def _recent(act: Act, rows: Sequence[Row[Any]], now: datetime) -> list[datetime]:
    """Times of orders of the same kind in the window, the newest first."""
    alike = [row for row in rows if (row.verb in RESTRICTING) is act.restricts]
    return sorted((row.requested_at for row in alike if row.requested_at > now - WINDOW), reverse=True)
