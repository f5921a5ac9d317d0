"""Remote orders and their story, hop by hop."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from cloud_hub.db import Base, BigId


class CommandState(StrEnum):
    """Operator's view of an order (safety.md C13). Only contact evidence makes it ``OPENED``; a door's mode is ``APPLIED``."""

    REQUESTED = "REQUESTED"
    SENT = "SENT"
    CHALLENGED = "CHALLENGED"
    AUTHORISED = "AUTHORISED"
    PULSING = "PULSING"
    UNKNOWN = "UNKNOWN"
    DEVICE_OFFLINE = "DEVICE_OFFLINE"
    NO_CHALLENGE = "NO_CHALLENGE"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    OPENED = "OPENED"
    PULSED_NOT_OPENED = "PULSED_NOT_OPENED"
    APPLIED = "APPLIED"
    ACTUATOR_FAULT = "ACTUATOR_FAULT"
    INTERRUPTED = "INTERRUPTED"
    UNKNOWN_FINAL = "UNKNOWN_FINAL"


def _live(name: str, which: str) -> Index:
    live = f"state <> 'UNKNOWN' AND verb {which} ('end_hold_open', 'lock_down')"
    return Index(
        name,
        "station_id",
        "door_id",
        unique=True,
        sqlite_where=text(f"final = 0 AND {live}"),
        postgresql_where=text(f"NOT final AND {live}"),
    )


class Command(Base):
    """One order. The database itself holds that a door has at most one that is live: neither final nor ``UNKNOWN``.

    What restricts (``commands.acts.RESTRICTING``) is held apart, one of it at a time: a lock-down never waits for an opening.

    Attributes:
        pulse_ms: of ``unlock``; 0 with any other verb.
        duration_s: of a mode that is ordered; 0 with any other verb.
        requested_by: ``user:NAME`` or ``token:NAME``.
        requested_at: when it was given; with two people, when the second one approved.
        sign_in_id: the sign-in it was given in, which must still live before GO; None for a token.
        proven_at: when the password was last given in it; None for a token.
        approved_by: the second person, whose ``ProposalDecision`` names this order; None where one was enough.
        asked: how often the station was asked what became of it.
        code: why, when rejected, expired or interrupted.
        evidence: what the station saw (``firmware_config.wire.Evidence``).
        install_id: the station's store that took the order; lost with it, nobody can know.
        due_at: when the bridge must look at it again whatever happens.
    """

    __tablename__ = "command"
    __table_args__ = (
        _live("uq_command_station_id_door_id_live", "NOT IN"),
        _live("uq_command_station_id_door_id_live_restricting", "IN"),
        Index("ix_command_final_due_at", "final", "due_at"),
        Index("ix_command_station_id_requested_at", "station_id", "requested_at"),
        Index("ix_command_requested_by_requested_at", "requested_by", "requested_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"))
    door_id: Mapped[str] = mapped_column(String(32))
    verb: Mapped[str] = mapped_column(String(16))
    pulse_ms: Mapped[int]
    duration_s: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    reason: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(24))
    final: Mapped[bool]
    code: Mapped[str | None] = mapped_column(String(48))
    requested_by: Mapped[str] = mapped_column(String(80))
    requested_at: Mapped[datetime]
    sign_in_id: Mapped[str | None] = mapped_column(String(32))
    proven_at: Mapped[datetime | None]
    approved_by: Mapped[str | None] = mapped_column(String(80))
    due_at: Mapped[datetime]
    asked: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    asked_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    install_id: Mapped[str | None] = mapped_column(String(32))
    boot_id: Mapped[str | None] = mapped_column(String(32))
    evidence: Mapped[dict[str, Any]]


class CommandStep(Base):
    """One hop of an order's story."""

    __tablename__ = "command_step"
    __table_args__ = (Index("ix_command_step_command_id_id", "command_id", "id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    command_id: Mapped[str] = mapped_column(ForeignKey("command.id"))
    at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(24))
    detail: Mapped[dict[str, Any]]


class Verdict(StrEnum):
    """How a proposal ended."""

    APPROVED = "approved"
    DECLINED = "declined"
    EXPIRED = "expired"


class Proposal(Base):
    """An order that needs a second person (safety.md W11). It moves nothing; only its approval makes a ``Command``.

    Attributes:
        proposed_by: ``user:NAME`` or ``token:NAME``.
        proposer: the account behind it.
        confirm_unknown: they know that the last order may have left the door open.
    """

    __tablename__ = "proposal"
    __table_args__ = (
        UniqueConstraint("id", "proposer"),
        Index("ix_proposal_station_id_proposed_at", "station_id", "proposed_at"),
        Index("ix_proposal_expires_at", "expires_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"))
    door_id: Mapped[str] = mapped_column(String(32))
    verb: Mapped[str] = mapped_column(String(16))
    pulse_ms: Mapped[int]
    duration_s: Mapped[int]
    reason: Mapped[str] = mapped_column(String(200))
    confirm_unknown: Mapped[bool]
    proposed_by: Mapped[str] = mapped_column(String(80))
    proposer: Mapped[str] = mapped_column(String(64))
    proposed_at: Mapped[datetime]
    sign_in_id: Mapped[str | None] = mapped_column(String(32))
    proven_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]


class ProposalDecision(Base):
    """The end of a proposal. Its key holds that there is one; its constraints, that nobody approves their own.

    Attributes:
        proposer: of the proposal, which the foreign key holds.
        decided_by: ``user:NAME``, ``token:NAME``, or ``hub`` when its time ran out.
        decider: the account behind it.
        command_id: the order that the approval made.
    """

    __tablename__ = "proposal_decision"
    __table_args__ = (
        ForeignKeyConstraint(["proposal_id", "proposer"], ["proposal.id", "proposal.proposer"]),
        CheckConstraint("verdict <> 'approved' OR decider <> proposer", name="two_people"),
        CheckConstraint("(verdict = 'approved') = (command_id IS NOT NULL)", name="order_if_approved"),
    )

    proposal_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    proposer: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(8))
    decided_by: Mapped[str] = mapped_column(String(80))
    decider: Mapped[str] = mapped_column(String(64))
    decided_at: Mapped[datetime]
    sign_in_id: Mapped[str | None] = mapped_column(String(32))
    proven_at: Mapped[datetime | None]
    command_id: Mapped[str | None] = mapped_column(ForeignKey("command.id"), unique=True)
