"""What stations report: events and readings. (station, install, seq) is unique, so a resend is harmless."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud_hub.db import Base, BigId


class Event(Base):
    """One fact.

    Attributes:
        occurred_at: by the hub's clock where the station's monotonic clock allows it, else by the station's.
        clock: what the station's wall clock was worth.
        backfilled: it came late: it fills history, notifies nobody and changes no current state.
    """

    __tablename__ = "event"
    __table_args__ = (
        UniqueConstraint("station_id", "install_id", "seq"),
        Index("ix_event_station_id_id", "station_id", "id"),
        Index("ix_event_kind_id", "kind", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"))
    install_id: Mapped[str] = mapped_column(String(32))
    seq: Mapped[int] = mapped_column(BigId)
    kind: Mapped[str] = mapped_column(String(40))
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    clock: Mapped[str] = mapped_column(String(8))
    backfilled: Mapped[bool]
    data: Mapped[dict[str, Any]]


class Reading(Base):
    """One value of one sensor."""

    __tablename__ = "reading"
    __table_args__ = (
        UniqueConstraint("station_id", "install_id", "seq"),
        Index("ix_reading_station_id_name_occurred_at", "station_id", "name", "occurred_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"))
    install_id: Mapped[str] = mapped_column(String(32))
    seq: Mapped[int] = mapped_column(BigId)
    name: Mapped[str] = mapped_column(String(32))
    value: Mapped[float]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
