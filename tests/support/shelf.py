"""A station's templates without camera and models: the real store, gallery and copies, and vectors drawn by a seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from firmware_config.replica import Delivery, Replica, public_half
from firmware_config.roster import Peer, RosterPerson
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Clock, Scalar
from station_agent.clock import Stamp
from station_agent.core.roster import Roster
from station_agent.core.threshold import GalleryTooLargeError
from station_agent.people.adopting import Adopting
from station_agent.people.replicating import Replicating
from station_agent.store.consents import Said, UsedCode
from station_agent.store.copies import CopyBook, Origin
from station_agent.store.people import PeopleStore, Person
from station_agent.vision.gallery import Gallery, check_faces
from station_agent.vision.matching import shows_another
from tests.support.rosters import NOON, roster

INSTALL = "1" * 32
DIMENSION = 128
THRESHOLD = 0.6
AGREED = RosterPerson(id="anna", groups=["always"], face=True, consent=3, replication=2)


def templates(seed: int, count: int = 3) -> NDArray[np.float32]:
    """Vectors of one face: each within 0.9 of the others."""
    rng = np.random.default_rng(seed)
    face = rng.normal(size=DIMENSION)
    rows = face + 0.1 * rng.normal(size=(count, DIMENSION))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@dataclass
class Shelf:
    """One station. Its clock is moved by hand, its link by ``up``."""

    station: str
    folder: Path
    key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    engine: tuple[str, str] = ("opencv", "a" * 64)
    room: int = 10
    now_ms: int = NOON.wall_ms
    trust: Clock = "synced"
    up: bool = True
    changes: int = 0
    roster: Roster | None = None
    sent: list[Replica] = field(default_factory=list)
    events: list[tuple[EventKind, dict[str, Scalar]]] = field(default_factory=list)
    boot_id: str = "b" * 32

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Start, or start again."""
        self.store = PeopleStore(self.folder / "people.db", self.folder / "gallery.key", station=self.station)
        self.book = CopyBook(self.store)
        self.replicating = Replicating(
            station=self.station, install_id=INSTALL, key=self.key, faces=self, book=self.book,
            roster=lambda: self.roster, send=self._send, clock=self,
        )  # fmt: skip
        self.adopting = Adopting(
            station=self.station, key=self.key, faces=self, book=self.book,
            roster=lambda: self.roster, clock=self, record=self.record,
        )  # fmt: skip

    @property
    def peer(self) -> Peer:
        """As the others' rosters name it."""
        return Peer(self.station, public_half(self.key))

    def allow(self, *people: RosterPerson, peers: list[Peer], version: int | None = None) -> None:
        """Put the next roster in force."""
        number = version or (self.roster.version if self.roster else 0) + 1
        self.roster = roster(*people, version=number, peers=peers)

    def enrol(self, person: str, seed: int, *, said: Said | None = None) -> None:
        """As at the kiosk."""
        someone = Person(id=person, enrolled_at_ms=self.now_ms, consent="kiosk:1:1")
        engine, digest = self.engine
        self.store.enrol(someone, templates(seed), engine=engine, digest=digest, said=said)
        self.changes += 1

    def people(self) -> list[str]:
        """Whom the camera would know."""
        return list(self._gallery().people)

    def carried(self) -> list[Delivery]:
        """What was sent, as the hub hands it on."""
        return [
            Delivery(station=one.to, id=one.id, sender=one.station, person=one.person, sealed=one.sealed)
            for one in self.sent
        ]

    def told(self, kind: EventKind = EventKind.TEMPLATE_REPLICATED) -> list[dict[str, Scalar]]:
        """Data of the events so far."""
        return [data for each, data in self.events if each is kind]

    # what copies need of the eyes

    def templates(self, person: str) -> NDArray[np.float32] | None:
        gallery = self._gallery()
        return gallery.of(person) if person in gallery.people else None

    def somebody_else(self, person: str, vectors: NDArray[np.float32]) -> bool:
        return shows_another(self._gallery(), person, vectors, threshold=THRESHOLD)

    def adopt(self, person: Person, templates: NDArray[np.float32], origin: Origin) -> None:
        check_faces(templates, DIMENSION, whose=person.id)
        if person.id not in self.people() and len(self.people()) >= self.room:
            raise GalleryTooLargeError(len(self.people()) + 1, self.room)
        engine, digest = self.engine
        self.store.enrol(person, templates, engine=engine, digest=digest, origin=origin)
        self.changes += 1

    def forget(self, person: str, *, said: Said | None = None, code: UsedCode | None = None) -> bool:
        self.changes += 1
        return self.store.erase(person, erased_at_ms=self.now_ms, said=said, code=code)

    def sealed_digests(self) -> list[tuple[str, list[bytes]]]:
        return self.store.sealed_digests()

    # clock

    def monotonic_s(self) -> float:
        return self.now_ms / 1000

    def stamp(self) -> Stamp:
        return Stamp(boot_id=self.boot_id, mono_ms=self.now_ms, wall_ms=self.now_ms, trust=self.trust)

    def wait(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)

    def record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        self.events.append((kind, dict(data)))

    def _gallery(self) -> Gallery:
        return Gallery(DIMENSION, self.store.load(*self.engine).rows)

    def _send(self, replica: Replica) -> bool:
        if self.up:
            self.sent.append(replica)
        return self.up
