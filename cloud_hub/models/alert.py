"""Alerts. The database itself holds that there is at most one that is not closed per key."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_hub.db import Base, BigId


class AlertState(StrEnum):
    """Where an alert is in its life."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class Severity(StrEnum):
    """How soon somebody must act."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"


class Alert(Base):
    """One incident.

    Attributes:
        key: what it is about, ``{station}:{kind}:{source}``; a repeat counts on the alert that is not closed.
        active: the condition still holds.
        latching: stays until somebody acknowledges it, even when the condition is gone.
        count: how often it was raised.
    """

    __tablename__ = "alert"
    __table_args__ = (
        Index(
            "uq_alert_key_not_closed",
            "key",
            unique=True,
            sqlite_where=text("state <> 'closed'"),
            postgresql_where=text("state <> 'closed'"),
        ),
        Index("ix_alert_state_id", "state", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(String(120))
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"), index=True)
    kind: Mapped[str] = mapped_column(String(40))
    severity: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(12))
    active: Mapped[bool]
    latching: Mapped[bool]
    count: Mapped[int]
    raised_at: Mapped[datetime]
    repeated_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(80))
    cleared_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    data: Mapped[dict[str, Any]]
