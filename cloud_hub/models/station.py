"""Stations, and what each last said of itself."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, String, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_hub.db import Base, BigId
from firmware_config.vocabulary import DoorMode


class Presence(StrEnum):
    """Whether a station is there. Unknown is not offline: nobody has heard it say anything yet."""

    ONLINE = "online"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class Station(Base):
    """A station as registered.

    Attributes:
        public_key: its Ed25519 public key, base64; what it signs is checked against this.
        sealing_key: X25519 public key that others seal templates to, from its last birth; empty before the first.
        retired_at: no longer served; its history stays.
    """

    __tablename__ = "station"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    region: Mapped[str] = mapped_column(String(120), default="")
    time_zone: Mapped[str] = mapped_column(String(64), default="Asia/Shanghai")
    public_key: Mapped[str] = mapped_column(String(64))
    sealing_key: Mapped[str] = mapped_column(String(44), default="", server_default=text("''"))
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class StationStatus(Base):
    """The latest heartbeat, and presence by the hub's own clock.

    Attributes:
        boot_id: run of the agent that is alive, with ``conn_no``: a death notice of any other is ignored.
        heartbeat_at: when the last signed heartbeat came.
        presence_since: when ``presence`` last changed.
        cameras: by camera, ``ok`` or ``lost``.
        rejected: payloads the station refused since its boot, by reason.
        sqlite: version of the library that keeps its stores.
        storage: how its disk is, as in ``firmware_config.wire.StorageStatus``; empty before the first heartbeat.
        written_bytes_day: to its card in a day; None while it is not known.
        events_lost: by its own count, of the store ``install_id``.
    """

    __tablename__ = "station_status"

    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"), primary_key=True)
    presence: Mapped[str] = mapped_column(String(8), default=Presence.UNKNOWN)
    presence_since: Mapped[datetime]
    heartbeat_at: Mapped[datetime | None]
    interval_s: Mapped[float] = mapped_column(default=5.0)
    boot_id: Mapped[str | None] = mapped_column(String(32))
    conn_no: Mapped[int] = mapped_column(BigId, default=0)
    install_id: Mapped[str | None] = mapped_column(String(32))
    clock: Mapped[str] = mapped_column(String(8), default="unsynced")
    agent_version: Mapped[str] = mapped_column(String(40), default="")
    engine: Mapped[str] = mapped_column(String(120), default="")
    liveness: Mapped[str] = mapped_column(String(16), default="")
    backlog: Mapped[int] = mapped_column(BigId, default=0)
    backlog_age_s: Mapped[float] = mapped_column(default=0.0)
    cameras: Mapped[dict[str, Any]] = mapped_column(default=dict)
    rejected: Mapped[dict[str, Any]] = mapped_column(default=dict)
    sqlite: Mapped[str] = mapped_column(String(16), default="", server_default=text("''"))
    storage: Mapped[str] = mapped_column(String(10), default="", server_default=text("''"))
    free_bytes: Mapped[int] = mapped_column(BigId, default=0, server_default=text("0"))
    written_bytes_day: Mapped[int | None] = mapped_column(BigId)
    events_lost: Mapped[int] = mapped_column(BigId, default=0, server_default=text("0"))
    readings_lost: Mapped[int] = mapped_column(BigId, default=0, server_default=text("0"))
    people: Mapped[int | None]
    people_low: Mapped[int | None]
    people_high: Mapped[int | None]
    capacity: Mapped[int | None]


class Door(Base):
    """A door as last reported. Relay and contact are two facts.

    Attributes:
        mode: ordered for a time (``firmware_config.vocabulary.DoorMode``).
        mode_until: when it ends by itself, by the hub's clock; None in the mode ``normal``.
    """

    __tablename__ = "door"

    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    lock_kind: Mapped[str] = mapped_column(String(16), default="")
    state: Mapped[str] = mapped_column(String(24))
    relay: Mapped[bool]
    contact_open: Mapped[bool | None]
    mode: Mapped[str] = mapped_column(String(16), default=DoorMode.NORMAL, server_default=text("'normal'"))
    mode_until: Mapped[datetime | None]
    reported_at: Mapped[datetime]


class Sensor(Base):
    """A sensor, its range, and its last value."""

    __tablename__ = "sensor"

    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    unit: Mapped[str] = mapped_column(String(12))
    low: Mapped[float]
    high: Mapped[float]
    value: Mapped[float | None]
    value_at: Mapped[datetime | None]


class ProcessStatus(Base):
    """A process of the hub says that it lives, for ``/readyz``.

    Attributes:
        ready: it can do its work now (the bridge: it is connected to the broker).
    """

    __tablename__ = "process_status"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ready: Mapped[bool]
