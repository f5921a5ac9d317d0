"""The bridge's writer without its threads, and messages of one station to give it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.ingest.decoding import Received
from cloud_hub.ingest.handlers import Batch
from cloud_hub.ingest.memory import Memory
from cloud_hub.ingest.presence import Watch
from cloud_hub.ingest.stored import Stored
from cloud_hub.settings import PresenceSettings
from firmware_config import wire
from firmware_config.vocabulary import DoorState, EventKind
from tests.support.hub import BOOT, INSTALL, STATION, World

WALL_MS = 1_763_818_200_000
NOW_MS = 100_000


class Desk:
    """The writer without its threads."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.watch = Watch(PresenceSettings(), started_at=world.now)
        self.watch.connected(world.now)
        self.memory = Memory(self.watch)
        self.stores = 0

    def store(self, *bodies: wire.Message) -> Stored:
        received = [Received(body.station, body, self.world.now) for body in bodies]
        with self.world.sessions.begin() as session:
            batch = Batch(session, self.memory, now=self.world.now)
            batch.take(received)
            batch.turn(self.watch.sweep(self.world.now))
            stored = batch.write()
        self.memory.keep()
        return stored


def birth(mono_ms: int = 1, **changes: Any) -> wire.Birth:
    fields: dict[str, Any] = {
        "station": STATION, "online": True, "boot_id": BOOT, "conn_no": 1, "install_id": INSTALL, "mono_ms": mono_ms,
        "wall_ms": WALL_MS, "clock": "synced", "agent_version": "0.1.0", "time_zone": "Asia/Shanghai",
        "doors": [door()], "lock_kinds": {"main": "fail_secure"},
        "sensors": [wire.SensorMeta(name="room", unit="°C", low=5.0, high=38.0)], "capacity": 4, "liveness": "off",
        "engine": "", **changes,
    }  # fmt: skip
    return wire.Birth(**fields)


def beat(mono_ms: int, **changes: Any) -> wire.Heartbeat:
    fields: dict[str, Any] = {
        "station": STATION, "boot_id": BOOT, "conn_no": 1, "install_id": INSTALL, "mono_ms": mono_ms,
        "wall_ms": WALL_MS, "clock": "synced", "interval_s": 5.0, "doors": [door()],
        "occupancy": wire.OccupancyStatus(estimate=0, low=0, high=0, capacity=4), "backlog": 0, "backlog_age_s": 0.0,
        "cameras": {"front": "ok"}, "rejected": {}, **changes,
    }  # fmt: skip
    return wire.Heartbeat(**fields)


def door(state: DoorState = DoorState.LOCKED, *, contact_open: bool = False) -> wire.DoorStatus:
    return wire.DoorStatus(id="main", state=state, relay=False, contact_open=contact_open)


def event(seq: int, kind: EventKind = EventKind.ACCESS_GRANTED, **changes: Any) -> wire.Event:
    fields: dict[str, Any] = {
        "seq": seq, "kind": kind, "boot_id": BOOT, "mono_ms": NOW_MS, "wall_ms": WALL_MS, "clock": "synced",
        "data": {"door": "main"}, **changes,
    }  # fmt: skip
    return wire.Event(**fields)


def events(*items: wire.Event, install_id: str = INSTALL) -> wire.EventBatch:
    return wire.EventBatch(
        station=STATION, install_id=install_id, boot_id=BOOT, sent_mono_ms=NOW_MS, items=list(items)
    )


def readings(*items: tuple[int, float], mono_ms: int = NOW_MS) -> wire.TelemetryBatch:
    return wire.TelemetryBatch(
        station=STATION,
        install_id=INSTALL,
        boot_id=BOOT,
        sent_mono_ms=NOW_MS,
        items=[
            wire.Reading(
                seq=seq,
                name="room",
                value=value,
                boot_id=BOOT,
                mono_ms=mono_ms,
                wall_ms=WALL_MS,
                clock="synced",
            )
            for seq, value in items
        ],
    )


def rows(sessions: sessionmaker[Session], table: type[Any]) -> Sequence[Any]:
    with sessions() as session:
        return session.scalars(select(table)).all()
