"""What stations report: events and readings. (station, install, seq) is unique, so a resend is harmless."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_hub.db import Base, BigId


class Dated(StrEnum):
    """How the time of an event is known, best first.

    Attributes:
        LIVE: by the monotonic clock of the boot that sent it.
        ANCHORED: of an earlier boot, by a moment at which that boot's clock and a true one were compared.
        STATION_CLOCK: by the station's wall clock, which was synchronised.
        ESTIMATED: nothing better than a wall clock that was not.
    """

    LIVE = "live"
    ANCHORED = "anchored"
    STATION_CLOCK = "station_clock"
    ESTIMATED = "estimated"


class Event(Base):
    """One fact.

    Attributes:
        occurred_at: by the hub's clock (``ingest.timing``).
        dated: how that is known, a ``Dated``.
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
    dated: Mapped[str] = mapped_column(
        String(13), default=Dated.ESTIMATED, server_default=text("'estimated'")
    )
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


class StationBoot(Base):
    """One run of a station's agent: its monotonic clock by the hub's (``ingest.timing.Relation``).

    Attributes:
        source: how it is known, a ``Dated``.
        signed: a signed message stands behind it.
        knots: pairs of the boot's milliseconds and the hub's microseconds since the epoch.
    """

    __tablename__ = "station_boot"

    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"), primary_key=True)
    boot_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    source: Mapped[str] = mapped_column(String(13))
    signed: Mapped[bool]
    knots: Mapped[list[Any]]
    updated_at: Mapped[datetime]


class EventStream(Base):
    """What the hub has of one store of one station, and what it lacks (``ingest.gaps``).

    Attributes:
        high: highest number that came or was told of, as of the last change worth writing.
        missing: pairs of first and last number below ``high`` that are not here and may still come.
        lost: the newest pairs that will never come.
        lost_count: numbers that will never come.
    """

    __tablename__ = "event_stream"

    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"), primary_key=True)
    install_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    high: Mapped[int] = mapped_column(BigId)
    missing: Mapped[list[Any]]
    lost: Mapped[list[Any]]
    lost_count: Mapped[int] = mapped_column(BigId)
    updated_at: Mapped[datetime]
