"""Copies of templates to other stations, for people who agreed to it. On the upkeep thread.

Rules
  1. Copied is what was made here, of people whom the roster in force allows it for, to the stations it names as peers.
  2. Each copy is sealed for one station, kept on disk, and sent until the hub has acknowledged it. When what it was made of
     changes, another one takes its place; when the roster allows it no more, it is dropped. Copies of copies are not made.
  3. A station that does not know the time seals nothing: receivers tell old copies from new ones by when they were sealed.
"""

import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from firmware_config.replica import Content, Header, Replica, public_half, raw_key, seal
from station_agent.clock import Clock
from station_agent.core.roster import Roster
from station_agent.store.copies import Basis, CopyBook, Waiting

log = logging.getLogger(__name__)

MOST_AT_ONCE: Final = 50
"""Copies sealed in one turn; the rest follows in the next."""

WINDOW: Final = 8
"""Copies sent and not acknowledged."""

RESEND_S: Final = 20.0
LONGEST_RESEND_S: Final = 600.0


class Faces(Protocol):
    """``eyes.Eyes``."""

    @property
    def engine(self) -> tuple[str, str]:
        """Name, and SHA-256 of its weights."""

    @property
    def changes(self) -> int:
        """Counts changes of who is enrolled."""

    def templates(self, person: str) -> NDArray[np.float32] | None:
        """A person's templates, shape (K, D); None when there are none of this engine."""


@dataclass(slots=True)
class _Tries:
    count: int = 0
    due_s: float = 0.0


class Replicating:
    """One for the station."""

    def __init__(
        self,
        *,
        station: str,
        install_id: str,
        key: X25519PrivateKey,
        faces: Faces,
        book: CopyBook,
        roster: Callable[[], Roster | None],
        send: Callable[[Replica], bool],
        clock: Clock,
    ) -> None:
        """Join it.

        Args:
            station: own id.
            install_id: of the event store.
            key: what others seal to.
            faces: the enrolled people.
            book: copies on disk.
            roster: in force; None when there is none.
            send: hands a message to the data connection; False when there is none.
            clock: of this station.
        """
        self._station = station
        self._install_id = install_id
        self._key = key
        self._own_key = raw_key(public_half(key))
        self._faces = faces
        self._book = book
        self._roster = roster
        self._send = send
        self._clock = clock
        self._tries: dict[str, _Tries] = {}
        self._last_ms = 0
        self._made_for: tuple[int, int] | None = None

    def turn(self) -> None:
        """Make what is due, and send what waits."""
        if (roster := self._roster()) is not None:
            self._make(roster)
        self._send_due()

    def acknowledged(self, ids: Iterable[str]) -> None:
        """The hub carries these on."""
        names = list(ids)
        self._book.acknowledged(names)
        for name in names:
            self._tries.pop(name, None)
        self._send_due()

    def connected(self) -> None:
        """Whatever was on its way is sent again."""
        self._tries.clear()
        self._send_due()

    def _make(self, roster: Roster) -> None:
        """Rules 1 and 2, when anything they go by has changed."""
        basis_of_all = (roster.version, self._faces.changes)
        if basis_of_all == self._made_for:
            return
        wanted: dict[tuple[str, str], Basis] = {}
        for person, enrolled_ms in self._book.made_here().items():
            listed = roster.people.get(person)
            if listed is None or not listed.face or not listed.replication:
                continue
            for peer in roster.document.peers:
                basis = Basis(enrolled_ms, listed.replication, peer.sealing_key)
                wanted[person, peer.station] = basis
        made = self._book.copies()
        if stale := [name for name, basis in made.items() if wanted.get(name) != basis]:
            self._book.drop(stale)
        due = [name for name, basis in wanted.items() if made.get(name) != basis]
        if not due:
            self._made_for = basis_of_all
        elif self._clock.stamp().trust == "synced":
            for name in due[:MOST_AT_ONCE]:
                self._seal(name, wanted[name], face=roster.people[name[0]].consent)

    def _seal(self, name: tuple[str, str], basis: Basis, *, face: int) -> None:
        person, peer = name
        vectors = self._faces.templates(person)
        if vectors is None:
            return
        engine, digest = self._faces.engine
        # of two copies made in the same millisecond the second must be the newer
        self._last_ms = max(self._last_ms + 1, self._clock.stamp().wall_ms)
        try:
            header = Header(
                sender=self._station,
                receiver=peer,
                person=person,
                engine=engine,
                digest=digest,
                replication=basis.replication,
                sealed_ms=self._last_ms,
                sender_key=self._own_key,
                receiver_key=raw_key(basis.receiver_key),
            )
            content = Content(
                templates=[np.asarray(row, dtype="<f4").tobytes() for row in vectors],
                face=max(1, face),
                replication=basis.replication,
                enrolled_ms=basis.enrolled_ms,
            )
            sealed = seal(header, content, private=self._key)
        except ValueError:
            log.exception("replica_not_made", extra={"person": person, "peer": peer})
            return
        self._book.put(Waiting(secrets.token_hex(16), person, peer, sealed), basis)

    def _send_due(self) -> None:
        now_s = self._clock.monotonic_s()
        for copy in self._book.waiting(WINDOW):
            tries = self._tries.setdefault(copy.id, _Tries())
            if tries.due_s > now_s:
                continue
            body = Replica(
                station=self._station,
                id=copy.id,
                install_id=self._install_id,
                to=copy.peer,
                person=copy.person,
                sealed=copy.sealed,
            )
            if not self._send(body):
                return
            tries.due_s = now_s + min(LONGEST_RESEND_S, RESEND_S * 2.0**tries.count)
            tries.count += 1
