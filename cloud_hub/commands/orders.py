"""The hub's side of an order, step by step, as transactions. The bridge decides when; nothing is published here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Row, Table, and_, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.alerts import engine
from cloud_hub.alerts.rules import SIGNER_REFUSED, Raise
from cloud_hub.commands import results, warrants
from cloud_hub.commands.results import BEFORE_GO, NEVER, WORD_WAIT
from cloud_hub.commands.warrants import Warrant
from cloud_hub.models import Command, Door, Proposal, ProposalDecision, Station, StationStatus
from cloud_hub.models.alert import Severity
from cloud_hub.models.command import CommandState as S
from cloud_hub.models.station import Presence
from firmware_config.vocabulary import DoorMode
from firmware_config.wire import Challenge, Verb

HEARTBEAT_LIMIT: Final = timedelta(seconds=15)
"""Nothing is sent to a station whose last signed heartbeat is older (safety.md C2)."""

LONGEST_WAIT: Final = timedelta(seconds=60)
"""No order waits this long for its next hop."""

MISSED_BEATS: Final = 2
"""A station without a challenge and with more heartbeats missed than this is called offline."""


_COMMAND: Final = cast("Table", Command.__table__)
_DOOR: Final = cast("Table", Door.__table__)
_STATION: Final = cast("Table", Station.__table__)
_STATUS: Final = cast("Table", StationStatus.__table__)

# Built once and past the mapper: an order's way to the relay's edge leads through these.
_WAITING: Final = (
    select(
        *(_COMMAND.c[name] for name in ("id", "station_id", "door_id", "verb", "pulse_ms", "duration_s")),
        *(_COMMAND.c.requested_at, _COMMAND.c.due_at, _STATUS.c.presence, _STATUS.c.heartbeat_at),
    )
    .join_from(_COMMAND, _STATUS, _STATUS.c.station_id == _COMMAND.c.station_id, isouter=True)
    .where(_COMMAND.c.state == S.REQUESTED.value, _COMMAND.c.final.is_(False))
    .order_by(_COMMAND.c.requested_at)
)
_LOCKED: Final = select(_COMMAND).where(_COMMAND.c.id == bindparam("command")).with_for_update()
_SCENE: Final = (
    select(_STATION.c.retired_at, _DOOR.c.mode, _STATUS.c.install_id)
    .select_from(_STATION)
    .outerjoin(_DOOR, and_(_DOOR.c.station_id == _STATION.c.id, _DOOR.c.id == bindparam("door")))
    .outerjoin(_STATUS, _STATUS.c.station_id == _STATION.c.id)
    .where(_STATION.c.id == bindparam("station"))
)
_AUTHORISE: Final = update(_COMMAND).where(_COMMAND.c.id == bindparam("command"))


@dataclass(frozen=True, slots=True)
class Hop:
    """Something that happened on the wire and is written down with the next transaction."""

    state: S
    at: datetime
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order that nobody has carried yet, and what is known of its station."""

    id: str
    station_id: str
    door_id: str
    verb: Verb
    pulse_ms: int
    duration_s: int
    requested_at: datetime
    due_at: datetime
    presence: str | None
    heartbeat_at: datetime | None

    def unreachable(self, now: datetime) -> str | None:
        """Why nothing should be sent to its station, or None."""
        return _absence(self.presence, self.heartbeat_at, now)


def waiting(session: Session) -> list[Waiting]:
    """Orders that nobody has carried yet, oldest first."""
    return [Waiting(*tuple(row)) for row in session.connection().execute(_WAITING)]


def unreachable(session: Session, command: Command, *, now: datetime) -> str | None:
    """Why nothing should be sent to the order's station, or None."""
    status = session.get(StationStatus, command.station_id)
    return (
        _absence(None, None, now) if status is None else _absence(status.presence, status.heartbeat_at, now)
    )


def _absence(presence: str | None, heartbeat_at: datetime | None, now: datetime) -> str | None:
    if presence != Presence.ONLINE:
        return "offline" if presence == Presence.OFFLINE else "unknown"
    # by a clock that was put back a heartbeat lies ahead: the next one will tell
    if heartbeat_at is None or abs(now - heartbeat_at) > HEARTBEAT_LIMIT:
        return "heartbeat_old"
    return None


def refuse(
    session: Session, command_id: str, state: S, *, code: str, now: datetime, hops: Sequence[Hop] = ()
) -> bool:
    """End an order for which GO was not sent. False when it has moved on meanwhile."""
    command = _before_go(session, command_id)
    if command is None:
        return False
    _write(session, command, hops)
    results.end(session, command, state, now=now, code=code)
    return True


def progress(session: Session, command_id: str, hops: Sequence[Hop]) -> bool:
    """Write down how far an order has come before GO. False when it has moved on meanwhile."""
    command = _before_go(session, command_id)
    if command is None:
        return False
    _write(session, command, hops)
    return True


def authorise(
    session: Session, command_id: str, challenge: Challenge, *, now: datetime, hops: Sequence[Hop]
) -> S | None:
    """Ask once more whether they may (safety.md C10), and put the answer and its audit entry into one transaction.

    GO may be sent only after the commit of a transaction in which this returned ``AUTHORISED``.

    Args:
        session: a writing session.
        command_id: the order.
        challenge: the station's, checked against the order.
        now: aware time.
        hops: what happened on the wire so far.

    Returns:
        ``AUTHORISED``; ``REJECTED`` when they may not any more; None when the order is over already.
    """
    connection = session.connection()
    command = connection.execute(_LOCKED, {"command": command_id}).one_or_none()
    if command is None or command.state not in BEFORE_GO:
        return None
    scene = _scene(session, command)
    if (code := _objection(session, command, scene, now)) is not None:
        refuse(session, command_id, S.REJECTED, code=code, now=now, hops=hops)
        return S.REJECTED
    values = {
        "state": S.AUTHORISED.value,
        "boot_id": challenge.boot_id,
        "install_id": None if scene is None else scene.install_id,
        "due_at": now + WORD_WAIT,
    }
    connection.execute(_AUTHORISE, {"command": command_id, **values})
    results.note(session, command_id, [*_told(hops), (now, S.AUTHORISED.value, {})])
    facts = {
        "station": command.station_id,
        "door": command.door_id,
        "requested_by": command.requested_by,
        "approved_by": command.approved_by,
        "reason": command.reason,
        "pulse_ms": command.pulse_ms,
        "duration_s": command.duration_s,
        "sign_in": command.sign_in_id,
    }
    audit.record(
        session,
        actor=command.requested_by,
        action=f"door:{command.verb}:authorised",
        target=command.id,
        detail=facts,
        now=now,
    )
    return S.AUTHORISED


def signer_refused(session: Session, command_id: str, *, now: datetime, hops: Sequence[Hop]) -> bool:
    """End an order that the signer would not sign, and tell people: somebody orders more than anybody should."""
    if not refuse(session, command_id, S.REJECTED, code="signer_refused", now=now, hops=hops):
        return False
    command = session.get_one(Command, command_id)
    facts = {"command": command.id, "door": command.door_id, "by": command.requested_by}
    effect = Raise(SIGNER_REFUSED, Severity.CRITICAL, command.door_id, latching=True, holds=False, data=facts)
    engine.apply(session, command.station_id, [effect], at=now)
    return True


def note_asked(session: Session, command_ids: Sequence[str], *, now: datetime) -> None:
    """The station is being asked again what became of these."""
    for command in results.lock(session, command_ids).values():
        if not command.final:
            command.asked, command.asked_at = command.asked + 1, now


def next_due(session: Session) -> datetime | None:
    """When the earliest order must be looked at; an unknown outcome waits for its station, not for a time."""
    timed = (Command.final.is_(False), Command.state != S.UNKNOWN)
    return session.scalar(select(func.min(Command.due_at)).where(*timed))


def expire(session: Session, *, now: datetime) -> list[Command]:
    """Give every order whose time is up the verdict that is true of it.

    A timer further ahead than any order waits was set before the hub's clock was put back: its time is up as well, or
    the door would take no order until the clock is there again.
    """
    astray = and_(Command.state != S.UNKNOWN, Command.due_at > now + LONGEST_WAIT)
    query = select(Command.id).where(Command.final.is_(False), or_(Command.due_at <= now, astray))
    due = results.lock(session, session.scalars(query).all())
    moved = []
    for command in due.values():
        # looked at again: another writer may have moved it while we waited for its lock
        if command.final or now < command.due_at <= now + LONGEST_WAIT:
            continue
        if command.state in BEFORE_GO:
            state, code = _silence(session, command, now)
            results.end(session, command, state, now=now, code=code)
        else:
            _give_up_waiting(session, command, now)
        moved.append(command)
    return moved


def unknown(session: Session, station_ids: Sequence[str] | None = None) -> Sequence[Command]:
    """Orders whose outcome is unknown, of some stations or of all."""
    query = select(Command).where(Command.state == S.UNKNOWN, Command.final.is_(False))
    if station_ids is not None:
        query = query.where(Command.station_id.in_(station_ids))
    return session.scalars(query).all()


def _before_go(session: Session, command_id: str) -> Command | None:
    command = results.lock(session, [command_id]).get(command_id)
    return command if command is not None and command.state in BEFORE_GO else None


def _write(session: Session, command: Command, hops: Sequence[Hop]) -> None:
    for hop in hops:
        command.state = hop.state.value
    results.note(session, command.id, _told(hops))


def _told(hops: Sequence[Hop]) -> list[tuple[datetime, str, dict[str, Any]]]:
    return [(hop.at, hop.state.value, hop.detail) for hop in hops]


@dataclass(frozen=True, slots=True)
class _Scene:
    """Station and door of an order, as they are in this very transaction.

    Attributes:
        mode: of the door; None where there is no such door any more.
    """

    retired: bool
    mode: str | None
    install_id: str | None


def _scene(session: Session, command: Row[Any]) -> _Scene | None:
    where = {"station": command.station_id, "door": command.door_id}
    row = session.connection().execute(_SCENE, where).one_or_none()
    return None if row is None else _Scene(row.retired_at is not None, row.mode, row.install_id)


def _objection(session: Session, command: Row[Any], scene: _Scene | None, now: datetime) -> str | None:
    """Why GO must not be sent after all: the station, the door, or the right of everybody who decided it."""
    if scene is None or scene.retired:
        return "station_retired"
    if command.verb == "unlock" and scene.mode in {None, DoorMode.LOCK_DOWN}:
        return "unknown_door" if scene.mode is None else "locked_down"
    first = Warrant(command.requested_by, command.sign_in_id, command.proven_at)
    if command.approved_by is None:
        return warrants.fault(session, first, given_at=command.requested_at, now=now)
    row = session.execute(
        select(Proposal, ProposalDecision)
        .join(ProposalDecision, ProposalDecision.proposal_id == Proposal.id)
        .where(ProposalDecision.command_id == command.id)
    ).one_or_none()
    if row is None:
        return "not_authorised"
    proposal, decision = row
    second = Warrant(decision.decided_by, decision.sign_in_id, decision.proven_at)
    return warrants.fault(session, first, given_at=proposal.proposed_at, now=now) or warrants.fault(
        session, second, given_at=decision.decided_at, now=now
    )


def _silence(session: Session, command: Command, now: datetime) -> tuple[S, str]:
    """No challenge came. Whose fault it is shows in the heartbeats."""
    if (code := unreachable(session, command, now=now)) is not None:
        return S.DEVICE_OFFLINE, code
    status = session.get(StationStatus, command.station_id)
    if status is not None and status.heartbeat_at is not None:
        limit = timedelta(seconds=status.interval_s * MISSED_BEATS)
        if now - status.heartbeat_at > limit:
            return S.DEVICE_OFFLINE, "heartbeat_missed"
    return S.NO_CHALLENGE, "silent" if command.state == S.SENT else "not_carried"


def _give_up_waiting(session: Session, command: Command, now: datetime) -> None:
    if command.state == S.UNKNOWN:
        return
    results.enter(session, command, S.UNKNOWN, now=now)
    command.due_at = now + NEVER
    session.flush()
    status = session.get(StationStatus, command.station_id)
    if status is not None and status.install_id not in {None, command.install_id}:
        results.store_lost(session, station_id=command.station_id, install_id=str(status.install_id), now=now)
