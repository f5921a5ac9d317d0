"""What a station's word does to an order: a lattice that only moves forward, as a table.

Rules
  1. Before GO was sent (``BEFORE_GO``) the relay cannot have moved: only a refusal is believed.
  2. After it, each word moves the order on, or says nothing new. ``PULSING`` leaves ``UNKNOWN`` as it is: the door may be open.
  3. A final state stays. The same word again, an older one, or another way to say "never pulsed" is noted; a different
     truth is a contradiction: recorded and raised, never shown as if nothing had happened.
  4. ``UNKNOWN_FINAL`` only says that nobody can know; a signed result that turns up after all is the truth, and goes on record.
  5. That an order never began is believed of the store that took GO, and of no other: a station that lost it refuses a repeat.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import product
from typing import Any, Final, TypeAlias, cast

import msgspec
from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.alerts import engine
from cloud_hub.alerts.rules import CONTRADICTED, STORE_LOST, Raise
from cloud_hub.models import Command, CommandStep, Door
from cloud_hub.models.alert import Severity
from cloud_hub.models.command import CommandState as S
from firmware_config.vocabulary import DoorMode, Outcome
from firmware_config.wire import TIMED, Reply, Result

log = logging.getLogger(__name__)

WORD_WAIT: Final = timedelta(seconds=8)
"""Without a word for this long after GO, or after the end of the pulse, an order is ``UNKNOWN`` (safety.md C13)."""

NEVER: Final = timedelta(days=36_500)
"""``due_at`` of what waits for the station, not for a timer."""

_NOTE: Final = insert(cast("Table", CommandStep.__table__))

BEFORE_GO: Final = frozenset({S.REQUESTED, S.SENT, S.CHALLENGED})
AFTER_GO: Final = frozenset({S.AUTHORISED, S.PULSING, S.UNKNOWN})
MODE_OUTCOMES: Final = frozenset({Outcome.APPLIED, Outcome.REJECTED, Outcome.EXPIRED, Outcome.INTERRUPTED})
"""What may become of an order that changes a door's mode. It energises nothing, so no other word can be true of it."""

NEVER_PULSED: Final = frozenset({S.DEVICE_OFFLINE, S.NO_CHALLENGE, S.REJECTED, S.EXPIRED})
PULSED: Final = frozenset({S.OPENED, S.PULSED_NOT_OPENED, S.ACTUATOR_FAULT, S.INTERRUPTED})
FINAL: Final = NEVER_PULSED | PULSED | {S.APPLIED, S.UNKNOWN_FINAL}


class Verdict(Enum):
    """What a word is worth when it does not move the order."""

    NOTED = auto()
    CONTRADICTION = auto()


Move: TypeAlias = S | Verdict

STATE_OF: Final[dict[Outcome, S]] = {outcome: S[outcome.name] for outcome in Outcome}


def _move(state: S, outcome: Outcome) -> Move:
    said = STATE_OF[outcome]
    if state in BEFORE_GO:
        return said if said in NEVER_PULSED else Verdict.CONTRADICTION
    if said is S.PULSING:
        if state in NEVER_PULSED or state is S.APPLIED:
            return Verdict.CONTRADICTION
        return said if state is S.AUTHORISED else Verdict.NOTED
    if state is S.PULSING and (said in NEVER_PULSED or said is S.APPLIED):
        return Verdict.CONTRADICTION
    if state in AFTER_GO or state is S.UNKNOWN_FINAL:
        return said
    same = said is state or {said, state} <= NEVER_PULSED
    return Verdict.NOTED if same else Verdict.CONTRADICTION


MOVES: Final[dict[tuple[S, Outcome], Move]] = {pair: _move(*pair) for pair in product(S, Outcome)}
"""Every pair, decided once. The rules above generate it; ``tests/unit/hub/test_results.py`` spells it out."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a result.

    Attributes:
        known: the hub knows the order; when not, that is on record.
        changed: its row is different now.
        ended: the final state it has just reached.
    """

    known: bool
    changed: bool = False
    ended: S | None = None


def lock(session: Session, command_ids: Iterable[str]) -> dict[str, Command]:
    """Lock some orders, always in the same order, so that two writers never wait for each other in a circle."""
    query = select(Command).where(Command.id.in_(list(command_ids))).order_by(Command.id)
    found = session.scalars(query.with_for_update().execution_options(populate_existing=True))
    return {command.id: command for command in found}


def apply(session: Session, result: Result, *, now: datetime) -> Applied:
    """Apply a station's signed result once. A repeat changes nothing.

    Args:
        session: a writing session.
        result: its signature and station are already checked.
        now: aware time.
    """
    command = lock(session, [result.cmd_id]).get(result.cmd_id)
    if command is None or command.station_id != result.station:
        return _unknown_order(session, result, now)
    if _cannot_know(command, result):
        return _forgotten(session, command, now)
    move = MOVES[S(command.state), result.outcome] if _fits(command, result) else Verdict.CONTRADICTION
    if move is Verdict.CONTRADICTION:
        return _contradiction(session, command, result, now)
    evidence = {**command.evidence, **_evidence(result)}
    if move is Verdict.NOTED:
        changed = command.state == S.UNKNOWN and evidence != command.evidence
        command.evidence = evidence if changed else command.evidence
        return Applied(known=True, changed=changed)
    assert isinstance(move, S)  # noqa: S101 (the two verdicts are dealt with above)
    command.evidence = evidence
    detail: dict[str, Any] = {"mono_ms": result.mono_ms, "wall_ms": result.wall_ms, "clock": result.clock}
    if move is S.PULSING:
        enter(session, command, move, now=now, detail=detail)
        command.due_at = now + timedelta(milliseconds=command.pulse_ms) + WORD_WAIT
        return Applied(known=True, changed=True)
    late = command.state == S.UNKNOWN_FINAL
    if move is S.APPLIED and command.state == S.AUTHORISED:
        _show_mode(session, command, result, now)
    end(
        session,
        command,
        move,
        now=now,
        actor=f"station:{result.station}",
        code=result.code,
        detail={**detail, "late": late},
    )
    return Applied(known=True, changed=True, ended=move)


def _cannot_know(command: Command, result: Result) -> bool:
    """A store that is not the one which took GO says that the order never began."""
    open_ended = command.state in AFTER_GO or command.state == S.UNKNOWN_FINAL
    another = command.install_id not in {None, result.install_id}
    return open_ended and another and STATE_OF[result.outcome] in NEVER_PULSED


def _forgotten(session: Session, command: Command, now: datetime) -> Applied:
    if command.state == S.UNKNOWN_FINAL:
        return Applied(known=True)
    _lose(session, command, now)
    return Applied(known=True, changed=True, ended=S.UNKNOWN_FINAL)


def _fits(command: Command, result: Result) -> bool:
    if command.verb == "unlock":
        return result.outcome is not Outcome.APPLIED
    return result.outcome in MODE_OUTCOMES


def _show_mode(session: Session, command: Command, result: Result, now: datetime) -> None:
    """A fresh word, so the door is shown as it is now; the next heartbeat says it again."""
    door = session.get(Door, (command.station_id, command.door_id))
    if door is None:
        return
    until_ms = result.evidence.mode_until_mono_ms
    left = timedelta(seconds=command.duration_s)
    if until_ms is not None and result.boot_id == command.boot_id:
        left = min(left, timedelta(milliseconds=max(0, until_ms - result.mono_ms)))
    timed = command.verb in TIMED
    door.mode = DoorMode(command.verb).value if timed else DoorMode.NORMAL.value
    door.mode_until = now + left if timed else None


def reply(session: Session, reply: Reply, *, now: datetime) -> Applied:
    """The station says that it does not know an order whose outcome is unknown.

    With the same store the order never began there, and it no longer can: an order is asked about only when its nonce
    has been dead for seconds. With another store nobody can know any more.
    """
    command = lock(session, [reply.cmd_id]).get(reply.cmd_id)
    if command is None or command.station_id != reply.station or command.state != S.UNKNOWN:
        return Applied(known=command is not None)
    if command.install_id != reply.install_id:
        _lose(session, command, now)
        return Applied(known=True, changed=True, ended=S.UNKNOWN_FINAL)
    end(session, command, S.EXPIRED, now=now, actor=f"station:{reply.station}", code="never_begun")
    return Applied(known=True, changed=True, ended=S.EXPIRED)


def store_lost(session: Session, *, station_id: str, install_id: str, now: datetime) -> list[str]:
    """The station has a new store: what became of its unknown orders went with the old one."""
    query = select(Command.id).where(
        Command.station_id == station_id, Command.state == S.UNKNOWN, Command.install_id != install_id
    )
    lost = lock(session, session.scalars(query).all())
    for command in lost.values():
        _lose(session, command, now)
    return list(lost)


def enter(
    session: Session, command: Command, state: S, *, now: datetime, detail: dict[str, Any] | None = None
) -> None:
    """Move an order to a state and write the hop down."""
    command.state = state.value
    note(session, command.id, [(now, state.value, detail or {})])


def note(session: Session, command_id: str, hops: Iterable[tuple[datetime, str, dict[str, Any]]]) -> None:
    """Add hops, each a time, a state and details, to the story of an order that is in the database already."""
    rows = [
        {"command_id": command_id, "at": at, "state": state, "detail": detail} for at, state, detail in hops
    ]
    if rows:  # past the mapper: these are written between a challenge and its go
        session.connection().execute(_NOTE, rows)


def end(
    session: Session,
    command: Command,
    state: S,
    *,
    now: datetime,
    actor: str = "hub",
    code: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Give an order its final state, with its hop and its audit entry.

    Raises:
        ValueError: the state is not final, or says that GO was never sent although it may have been.
    """
    if state not in FINAL or (state in {S.DEVICE_OFFLINE, S.NO_CHALLENGE} and command.state not in BEFORE_GO):
        raise ValueError(f"{command.id}: {command.state} cannot end as {state}")
    enter(session, command, state, now=now, detail={**(detail or {}), **({"code": code} if code else {})})
    command.final = True
    command.code = code
    command.ended_at = now
    command.due_at = now
    session.flush()
    facts = {
        "station": command.station_id,
        "door": command.door_id,
        "requested_by": command.requested_by,
        "approved_by": command.approved_by,
        "code": code,
        "evidence": command.evidence,
    }
    audit.record(
        session,
        actor=actor,
        action=f"door:{command.verb}:{state.lower()}",
        target=command.id,
        detail=facts,
        now=now,
    )


def _lose(session: Session, command: Command, now: datetime) -> None:
    end(session, command, S.UNKNOWN_FINAL, now=now, code="store_lost")
    facts = {"command": command.id, "door": command.door_id}
    effect = Raise(STORE_LOST, Severity.MAJOR, command.door_id, latching=True, holds=False, data=facts)
    engine.apply(session, command.station_id, [effect], at=now)


def _evidence(result: Result) -> dict[str, Any]:
    seen: dict[str, Any] = msgspec.to_builtins(result.evidence)
    return seen


def _contradiction(session: Session, command: Command, result: Result, now: datetime) -> Applied:
    said = {"contradiction": result.outcome.value, "evidence": _evidence(result), "code": result.code}
    steps = session.scalars(select(CommandStep).where(CommandStep.command_id == command.id))
    if any(step.detail.get("contradiction") == result.outcome.value for step in steps):
        return Applied(known=True)
    log.error(
        "order contradicted",
        extra={"command": command.id, "shown": command.state, "said": result.outcome.value},
    )
    note(session, command.id, [(now, command.state, said)])
    facts = {
        "command": command.id,
        "door": command.door_id,
        "shown": command.state,
        "said": result.outcome.value,
    }
    effect = Raise(CONTRADICTED, Severity.CRITICAL, command.door_id, latching=True, holds=False, data=facts)
    engine.apply(session, command.station_id, [effect], at=now)
    actor = f"station:{result.station}"
    audit.record(
        session,
        actor=actor,
        action=f"door:{command.verb}:contradicted",
        target=command.id,
        detail=facts | said,
        now=now,
    )
    return Applied(known=True, changed=True)


def _unknown_order(session: Session, result: Result, now: datetime) -> Applied:
    log.error("result of an unknown order", extra={"station": result.station, "command": result.cmd_id})
    said = {"outcome": result.outcome.value, "code": result.code, "evidence": _evidence(result)}
    actor = f"station:{result.station}"
    audit.record(
        session, actor=actor, action="door:order:not_ours", target=result.cmd_id, detail=said, now=now
    )
    return Applied(known=False)
