"""A station's real link and store without doors, through a network that a test can spoil, to a hub that is real too."""

import queue
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cloud_hub.db import utc_now
from cloud_hub.stations.services import register
from firmware_config.signing import Verifier, encode_public
from firmware_config.station import load_station
from firmware_config.vocabulary import DoorState, EventKind
from firmware_config.wire import DoorStatus, OccupancyStatus
from station_agent import facts
from station_agent.link.echo import Name
from station_agent.link.link import Link
from station_agent.link.presence import Status
from station_agent.people.copying import NoCopies
from station_agent.store.roster import RosterStore
from station_agent.store.store import Store
from tests.faults.proxy import FaultProxy, Snag
from tests.support.bridge import STATIONS, Field
from tests.support.outpost import SyncedClock
from tests.support.station import PASSWORD, wait_for
from tests.support.stations import write_station


@dataclass(slots=True)
class Deaf(Snag):
    """Whatever comes down on a topic is swallowed, as by a broker that forgot the subscription, while it ``holds``."""

    holds: Callable[[], bool] = lambda: True

    def takes(self, message: object) -> bool:
        return str(getattr(message, "topic", "")).endswith(self.tail) and self.holds()


class Lifeline:
    """One station, registered at the hub of ``field``."""

    def __init__(self, field: Field, folder: Path) -> None:
        self.name = STATIONS[0]
        self.field = field
        self.proxy = FaultProxy(field.broker.port, mqtt=True)
        field.stack.callback(self.proxy.close)
        self.folder = folder
        self.path, self.signer = write_station(
            folder,
            station=self.name,
            hub_public=encode_public(field.signer.public),
            port=self.proxy.port,
            password=PASSWORD,
        )
        with field.sessions.begin() as session:
            register(
                session,
                station_id=self.name,
                name="测试驿站",
                region="",
                time_zone="Asia/Shanghai",
                public_key=encode_public(self.signer.public),
                actor="test",
                now=utc_now(),
            )
        self.clock = SyncedClock()
        self.inbox = queue.SimpleQueue[facts.Fact]()

    def start(self) -> None:
        """Open the stores and connect; return when the hub has seen it."""
        station = load_station(self.path)
        self.store = Store(self.folder / "data", station=self.name, stamp=self.clock.stamp())
        self.field.stack.callback(self.store.close)
        keys = Verifier.of(encode_public(self.field.signer.public))
        self.link = Link(
            station=station,
            signer=self.signer,
            store=self.store,
            roster=RosterStore(self.folder / "data" / "roster.bin", verifier=keys, station=self.name),
            erase=lambda _order: None,
            clock=self.clock,
            put=self.inbox.put,
            status=self._status,
            copies=NoCopies(),
        )
        self.link.start()
        self.field.stack.callback(self.link.stop)
        self.field.await_presence(self.name, "online")

    def happen(self, *kinds: EventKind) -> None:
        """Events now, on its disk."""
        for kind in kinds:
            self.store.put_event(kind, {"door": "main"}, self.clock.stamp())
        assert self.store.barrier(10)

    def deafen(self, name: Name, *tails: str) -> None:
        """This connection, and no later one, hears nothing on these topics any more."""
        line = self.link._lines[name]
        client = line._client
        self.proxy.down.snags += [Deaf(tail, "drop", holds=lambda: line._client is client) for tail in tails]

    def await_delivered(self, *, within_s: float = 30.0) -> None:
        """Nothing waits any more."""
        wait_for(lambda: self.store.backlog().rows == 0, within_s=within_s, what="delivery")

    def _status(self) -> Status:
        door = DoorStatus(id="main", state=DoorState.LOCKED, relay=False, contact_open=False)
        crowd = OccupancyStatus(estimate=0, low=0, high=0, capacity=4)
        return Status(doors=[door], occupancy=crowd, cameras={})
