"""What the station says about itself: birth at each connection, heartbeat as the lease, and the will."""

import sqlite3
from dataclasses import dataclass

from firmware_config.station import Station
from firmware_config.wire import Birth, DoorStatus, Heartbeat, OccupancyStatus, SensorMeta, StorageStatus
from station_agent import AGENT_VERSION
from station_agent.clock import Stamp
from station_agent.store.outbox import Backlog
from station_agent.store.store import Store


@dataclass(frozen=True, slots=True)
class Status:
    """The station's state now, as the control thread last saw it.

    Attributes:
        cameras: by camera, ``ok`` or ``lost``.
        engine: face engine and the digest of its weights, empty when face entry is off.
    """

    doors: list[DoorStatus]
    occupancy: OccupancyStatus
    cameras: dict[str, str]
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is on the station's disk.

    Attributes:
        event_seq: of the newest event.
        kept_from: of the oldest that can still be sent again.
        backlog: what waits for the hub.
        storage: how the disk is.
    """

    event_seq: int
    kept_from: int
    backlog: Backlog
    storage: StorageStatus

    @classmethod
    def of(cls, store: Store) -> "Kept":
        """As it is now. The number first: an event that is kept meanwhile must not seem to be neither told nor waiting."""
        event_seq = store.event_seq
        return cls(event_seq, store.kept_from, store.backlog(), store.health())


class Presence:
    """Makes the messages; numbers the connections of this boot."""

    def __init__(self, station: Station, *, install_id: str, sealing_key: str) -> None:
        config = station.config
        self._station = station
        self._id = config.station
        self._install_id = install_id
        self._sealing_key = sealing_key
        self._sensors = [
            SensorMeta(name=sensor.name, unit=sensor.unit, low=sensor.low, high=sensor.high)
            for sensor in station.profile.sensors
        ]
        self._lock_kinds: dict[str, str] = {door.id: door.lock for door in config.doors}
        self.conn_no = 0

    def birth(self, status: Status, at: Stamp, *, online: bool) -> Birth:
        """Who we are. ``online`` false is the will, or a goodbye: it names the connection that has died."""
        config = self._station.config
        return Birth(
            station=self._id,
            online=online,
            boot_id=at.boot_id,
            conn_no=self.conn_no,
            install_id=self._install_id,
            mono_ms=at.mono_ms,
            wall_ms=at.wall_ms,
            clock=at.trust,
            agent_version=AGENT_VERSION,
            time_zone=config.time_zone,
            doors=status.doors,
            lock_kinds=self._lock_kinds,
            sensors=self._sensors,
            capacity=config.occupancy.capacity,
            liveness=config.face.liveness,
            engine=status.engine,
            sealing_key=self._sealing_key,
            sqlite=sqlite3.sqlite_version,
        )

    def heartbeat(
        self,
        status: Status,
        at: Stamp,
        *,
        kept: Kept,
        rejected: dict[str, int],
        roster_version: int,
        echo: int = 0,
    ) -> Heartbeat:
        """How we are."""
        return Heartbeat(
            station=self._id,
            boot_id=at.boot_id,
            conn_no=self.conn_no,
            install_id=self._install_id,
            mono_ms=at.mono_ms,
            wall_ms=at.wall_ms,
            clock=at.trust,
            interval_s=self._station.config.broker.heartbeat_s,
            doors=status.doors,
            occupancy=status.occupancy,
            backlog=kept.backlog.rows,
            backlog_age_s=kept.backlog.age_s(at),
            cameras=status.cameras,
            rejected=rejected,
            roster_version=roster_version,
            event_seq=kept.event_seq,
            events_kept_from=kept.kept_from,
            storage=kept.storage,
            echo=echo,
        )
