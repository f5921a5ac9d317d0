"""A station without doors: real eyes, stores, link and copies, in this process and with a clock that is declared right."""

import queue
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from firmware_config.profiles import load_profile
from firmware_config.replica import Replica
from firmware_config.signing import Verifier, encode_public
from firmware_config.station import load_station
from firmware_config.vocabulary import DoorState, EventKind
from firmware_config.wire import DoorStatus, OccupancyStatus, Scalar
from station_agent import facts
from station_agent.clock import Stamp, SystemClock
from station_agent.core.consents import Consents
from station_agent.core.entry import Denied, Entry, Granted
from station_agent.core.policy import Entries, Grant, decide
from station_agent.eyes import Eyes
from station_agent.link.link import Link
from station_agent.link.presence import Status
from station_agent.people.copying import Copying
from station_agent.people.erasing import Eraser
from station_agent.simulate.vary import vary
from station_agent.store.copies import CopyBook
from station_agent.store.credentials import Credentials
from station_agent.store.gallery_key import sealing_key
from station_agent.store.roster import RosterStore
from station_agent.store.store import Store
from station_agent.vision.camera import PushedCamera
from station_agent.vision.frame import Pixels
from station_agent.visits import rules_for
from tests.support.stations import write_station

FRAMES = 60
TURN_S = 0.2


class SyncedClock(SystemClock):
    """The machine's clock, declared to be right."""

    def stamp(self) -> Stamp:
        now = super().stamp()
        return Stamp(boot_id=now.boot_id, mono_ms=now.mono_ms, wall_ms=now.wall_ms, trust="synced")


class Outpost:
    """Everything of one station that has to do with templates."""

    def __init__(self, name: str, folder: Path, *, hub_public: str, port: int) -> None:
        path, self.signer = write_station(
            folder, station=name, hub_public=hub_public, port=port, password="station-secret"
        )
        self.name = name
        self.file = load_station(path)
        self.data = folder / "data"
        self.clock = SyncedClock()
        self.inbox: queue.SimpleQueue[facts.Fact] = queue.SimpleQueue()
        (wiring, *_) = load_profile(self.file.config.profile, beside=path).cameras
        self._camera = PushedCamera(self.clock, name=wiring.id)
        self._wiring = wiring
        self._parts = ExitStack()
        self._rng = np.random.default_rng(5)

    @property
    def public(self) -> str:
        """What the hub must know it by."""
        return encode_public(self.signer.public)

    def start(self) -> None:
        """Open everything and connect."""
        config = self.file.config
        self.store = Store(self.data, station=self.name, stamp=self.clock.stamp())
        self._parts.callback(self.store.close)
        credentials = Credentials(
            self.data / "credentials.db", self.data / "pin.key", station=self.name, at=self.clock.stamp()
        )
        self._parts.callback(credentials.close)
        keys = Verifier.of(*(key.public for key in config.hub.command_keys))
        self.roster = RosterStore(self.data / "roster.bin", verifier=keys, station=self.name)
        self.eyes = Eyes(
            self.file, clock=self.clock, put=self.inbox.put, pushed={self._wiring.id: self._camera}
        )
        self._parts.callback(self.eyes.close)
        eraser = Eraser(
            station=self.name, eyes=self.eyes, credentials=credentials, signer=self.signer, clock=self.clock,
            roster_version=lambda: 0, put=self.inbox.put, record=self.record,
        )  # fmt: skip
        self.copying = Copying(
            station=self.name, install_id=self.store.install_id, key=sealing_key(self.data / "sealing.key"),
            faces=self.eyes, destroyer=eraser, expire_days=config.face.expire_days,
            roster=lambda: self.roster.current, send=self._send,
            clock=self.clock, record=self.record, turn_s=TURN_S,
        )  # fmt: skip
        self._parts.callback(self.copying.stop)
        self.link = Link(
            station=self.file, signer=self.signer, store=self.store, roster=self.roster,
            erase=eraser.carry_out, clock=self.clock, put=self.inbox.put, status=self._status,
            copies=self.copying,
        )  # fmt: skip
        self.link.start()
        self._parts.callback(self.link.stop)
        self.copying.start()
        self.eyes.start()

    def stop(self) -> None:
        """Disconnect and close everything. Harmless when done before."""
        self._parts.pop_all().close()

    def agree(self, person: str, *pictures: Pixels, replication: bool) -> None:
        """As at the kiosk: both consents are told, and the templates are kept."""
        self.record(EventKind.CONSENT_GIVEN, {"person": person, "kind": "face", "version": 1})
        if replication:
            self.record(EventKind.CONSENT_GIVEN, {"person": person, "kind": "replication", "version": 1})
        self.eyes.enrol(person, list(pictures))

    def people(self) -> list[str]:
        """Whose templates are here."""
        return [person for person, _ in self.eyes.sealed_digests()]

    def unsent(self) -> list[str]:
        """Copies that the hub has not acknowledged."""
        return [copy.id for copy in CopyBook(self.eyes.store).waiting(100)]

    def visit(self, picture: Pixels) -> str | None:
        """Somebody stands before the camera: their id when they are let in, else None."""
        entry, rules = Entry(), rules_for(self.file.config.face, self.eyes.acceptance)
        while not self.inbox.empty():
            self.inbox.get_nowait()
        for _ in range(FRAMES):
            self._camera.push(vary(picture, self._rng, 640, 480))
            try:
                fact = self.inbox.get(timeout=0.5)
            except queue.Empty:
                continue
            if not isinstance(fact, facts.FaceSeen):
                continue
            for outcome in entry.step(fact.sighting, rules):
                if isinstance(outcome, Granted):
                    return outcome.person if self._may_enter(outcome.person) else None
                if isinstance(outcome, Denied):
                    return None
        return None

    def record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        """Keep an event for the hub."""
        self.store.put_event(kind, data, self.clock.stamp())

    def _send(self, replica: Replica) -> bool:
        return self.link.send_replica(replica)

    def _may_enter(self, person: str) -> bool:
        decision = decide(
            person, via="face", door="main", at=self.clock.stamp(), zone=self.file.config.zone,
            roster=self.roster.current, entries=Entries(), consents=Consents(),
            without_roster=self.file.config.access.without_roster,
        )  # fmt: skip
        return isinstance(decision, Grant)

    def _status(self) -> Status:
        door = DoorStatus(id="main", state=DoorState.LOCKED, relay=False, contact_open=False)
        crowd = OccupancyStatus(estimate=0, low=0, high=0, capacity=4)
        return Status(doors=[door], occupancy=crowd, cameras={}, engine=self.eyes.engine_name)
