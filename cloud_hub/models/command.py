"""Remote orders and their story, hop by hop."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
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


class Command(Base):
    """One order. The database itself holds that a door has at most one that is live: neither final nor ``UNKNOWN``.

    Attributes:
        requested_by: ``user:NAME`` or ``token:NAME``.
        code: why, when rejected, expired or interrupted.
        evidence: what the station saw (``firmware_config.wire.Evidence``).
        install_id: the station's store that took the order; lost with it, nobody can know.
        due_at: when the bridge must look at it again whatever happens.
    """

    __tablename__ = "command"
    __table_args__ = (
        Index(
            "uq_command_station_id_door_id_live",
            "station_id",
            "door_id",
            unique=True,
            sqlite_where=text("final = 0 AND state <> 'UNKNOWN'"),
            postgresql_where=text("NOT final AND state <> 'UNKNOWN'"),
        ),
        Index("ix_command_final_due_at", "final", "due_at"),
        Index("ix_command_station_id_requested_at", "station_id", "requested_at"),
        Index("ix_command_requested_by_requested_at", "requested_by", "requested_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"))
    door_id: Mapped[str] = mapped_column(String(32))
    verb: Mapped[str] = mapped_column(String(16))
    pulse_ms: Mapped[int]
    reason: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(24))
    final: Mapped[bool]
    code: Mapped[str | None] = mapped_column(String(48))
    requested_by: Mapped[str] = mapped_column(String(80))
    requested_at: Mapped[datetime]
    due_at: Mapped[datetime]
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
