"""Reads of remote orders."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from cloud_hub.errors import NotFound
from cloud_hub.models import Command, CommandStep


@dataclass(frozen=True, slots=True)
class Story:
    """An order and its hops, oldest first."""

    command: Command
    steps: Sequence[CommandStep]


def one(session: Session, command_id: str) -> Story:
    """One order.

    Raises:
        NotFound: no order has this id.
    """
    command = session.get(Command, command_id)
    if command is None:
        raise NotFound(f"no order {command_id!r}"[:120])
    return with_steps(session, [command])[0]


def newest(
    session: Session, *, station_id: str | None = None, before: str | None = None, limit: int = 50
) -> Sequence[Command]:
    """Orders, newest first; ``before`` is the id of the last one already seen.

    Raises:
        NotFound: no order has the id ``before``.
    """
    query = select(Command).order_by(Command.requested_at.desc(), Command.id.desc()).limit(limit)
    if station_id is not None:
        query = query.where(Command.station_id == station_id)
    if before is not None:
        last = one(session, before).command
        query = query.where(tuple_(Command.requested_at, Command.id) < (last.requested_at, last.id))
    return session.scalars(query).all()


def latest_of_door(session: Session, *, station_id: str, door_id: str) -> Command | None:
    """The last order for a door."""
    query = select(Command).where(Command.station_id == station_id, Command.door_id == door_id)
    return session.scalar(query.order_by(Command.requested_at.desc(), Command.id.desc()).limit(1))


def with_steps(session: Session, commands: Sequence[Command]) -> list[Story]:
    """The orders with their hops, by one query."""
    steps: dict[str, list[CommandStep]] = defaultdict(list)
    ids = [command.id for command in commands]
    query = select(CommandStep).where(CommandStep.command_id.in_(ids)).order_by(CommandStep.id)
    for step in session.scalars(query):
        steps[step.command_id].append(step)
    return [Story(command=command, steps=steps[command.id]) for command in commands]
