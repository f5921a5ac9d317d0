"""Templates that other stations made, of people who agreed that they serve here too. On the upkeep thread.

Rules
  1. A copy is taken when it is for us, from a peer, of somebody whose face may be used here and who agreed to replication,
     made by our very engine and weights, sealed later than whatever was taken or erased before, and looks like nobody else.
     Who has enrolled here themselves keeps what was made here.
  2. What the next roster may mend is not refused: it waits in memory for that roster, and the hub sends it again anyhow.
     Every other refusal is final, and told with its reason: the hub destroys the ciphertext then.
  3. Whatever is replayed brings nobody back: what was taken once counts once, also after it was erased; what was sealed
     before an erasure is refused; and the roster, which only gets newer, forbids whoever was erased or has withdrawn.
"""

import base64
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from firmware_config.replica import (
    REPLICA_LIFE_MS,
    Content,
    Delivery,
    Header,
    parse,
    public_half,
    raw_key,
    unseal,
)
from firmware_config.signing import Refused
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent.clock import Clock
from station_agent.core.roster import AHEAD_MS, Roster
from station_agent.core.threshold import GalleryTooLargeError
from station_agent.store.copies import CopyBook, Origin
from station_agent.store.people import Person

log = logging.getLogger(__name__)

MOST_WAITING: Final = 64

PASSING: Final = frozenset(
    {
        "no_roster",
        "unknown_sender",
        "unknown_sender_key",
        "not_on_roster",
        "face_not_allowed",
        "no_replication_consent",
        "withdrawn_here",
    }
)
"""Refusals that the next roster may mend."""


class Faces(Protocol):
    """``eyes.Eyes``."""

    @property
    def engine(self) -> tuple[str, str]:
        """Name, and SHA-256 of its weights."""

    def somebody_else(self, person: str, vectors: NDArray[np.float32]) -> bool:
        """Whether templates show another enrolled person."""

    def adopt(self, person: Person, templates: NDArray[np.float32], origin: Origin) -> None:
        """Keep and search templates from elsewhere.

        Raises:
            GalleryTooLargeError: there is no room for another person.
            ValueError: they are no templates of this engine.
        """


class Adopting:
    """One for the station."""

    def __init__(
        self,
        *,
        station: str,
        key: X25519PrivateKey,
        faces: Faces,
        book: CopyBook,
        roster: Callable[[], Roster | None],
        clock: Clock,
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        """Join it.

        Args:
            station: own id.
            key: what others seal to.
            faces: the enrolled people.
            book: what was taken before.
            roster: in force; None when there is none.
            clock: of this station.
            record: keeps an event.
        """
        self._station = station
        self._key = key
        self._own_key = raw_key(public_half(key))
        self._faces = faces
        self._book = book
        self._roster = roster
        self._clock = clock
        self._record = record
        self._waiting: dict[str, Delivery] = {}
        self._version = 0

    def turn(self) -> None:
        """Take what a newer roster allows."""
        roster = self._roster()
        if roster is None or roster.version == self._version:
            return
        self._version = roster.version
        for delivery in list(self._waiting.values()):
            self.arrived(delivery)

    def arrived(self, delivery: Delivery) -> None:
        """A copy came from another station."""
        told: dict[str, Scalar] = {"id": delivery.id, "person": delivery.person, "from": delivery.sender}
        self._waiting.pop(delivery.id, None)
        try:
            self._take(delivery)
        except Refused as refused:
            log.warning("replica_refused", extra={"sender": delivery.sender, "reason": str(refused)[:200]})
            if refused.reason in PASSING:
                if len(self._waiting) < MOST_WAITING:
                    self._waiting[delivery.id] = delivery
                return
            told["refused"] = refused.reason
        else:
            told["engine"] = self._faces.engine[0]
        self._record(EventKind.TEMPLATE_REPLICATED, told)

    def _take(self, delivery: Delivery) -> None:
        sealed = parse(delivery.sealed)
        header = sealed.header
        if (header.sender, header.receiver, header.person) != (
            delivery.sender,
            self._station,
            delivery.person,
        ):
            raise Refused("misdirected", "the message around it says something else")
        if header.receiver_key != self._own_key:
            raise Refused("other_key")
        sender_key = self._allowed(header)
        if self._taken(header, delivery.id):
            return  # taken before: the hub did not hear of it
        if (header.engine, header.digest) != self._faces.engine:
            raise Refused("other_engine", header.engine)
        self._timely(header)
        content = unseal(sealed, private=self._key, sender_key=sender_key)
        if header.person in self._book.made_here():
            raise Refused("enrolled_here")
        self._adopt(
            header, content, Origin(station=header.sender, sealed_ms=header.sealed_ms, id=delivery.id)
        )

    def _taken(self, header: Header, replica_id: str) -> bool:
        """It was taken before, and is still here."""
        newest = self._book.newest(header.person) == (header.sealed_ms, replica_id)
        return newest and self._book.erased_at_ms(header.person) is None

    def _allowed(self, header: Header) -> str:
        """The sender's key, when the roster in force allows what came.

        Raises:
            Refused: one of ``PASSING``.
        """
        roster = self._roster()
        if roster is None:
            raise Refused("no_roster")
        keys = {peer.station: peer.sealing_key for peer in roster.document.peers}
        if header.sender not in keys:
            raise Refused("unknown_sender", header.sender)
        if base64.b64encode(header.sender_key).decode() != keys[header.sender]:
            raise Refused("unknown_sender_key", header.sender)
        listed = roster.people.get(header.person)
        if listed is None:
            raise Refused("not_on_roster")
        if not listed.face:
            raise Refused("face_not_allowed")
        if not listed.replication:
            raise Refused("no_replication_consent")
        if (
            withdrew := self._book.withdrew_at_roster(header.person)
        ) is not None and withdrew >= roster.version:
            raise Refused("withdrawn_here")
        return keys[header.sender]

    def _timely(self, header: Header) -> None:
        at = self._clock.stamp()
        if header.sealed_ms <= self._book.newest(header.person)[0]:
            raise Refused("replayed")
        erased_at_ms = self._book.erased_at_ms(header.person)
        if erased_at_ms is not None and header.sealed_ms <= erased_at_ms:
            raise Refused("erased_since")
        if at.trust != "synced":
            return
        if header.sealed_ms > at.wall_ms + AHEAD_MS:
            raise Refused("from_future")
        if header.sealed_ms < at.wall_ms - REPLICA_LIFE_MS:
            raise Refused("too_old")

    def _adopt(self, header: Header, content: Content, origin: Origin) -> None:
        rows = [np.frombuffer(template, dtype="<f4") for template in content.templates]
        vectors = np.stack(rows).astype(np.float32)
        reference = f"replica:{header.sender}:{content.face}:{content.replication}"
        person = Person(id=header.person, enrolled_at_ms=content.enrolled_ms, consent=reference)
        try:
            twin = self._faces.somebody_else(header.person, vectors)
            if not twin:
                self._faces.adopt(person, vectors, origin)
        except GalleryTooLargeError as error:
            raise Refused("gallery_full") from error
        except ValueError as error:
            raise Refused("malformed", str(error)) from error
        if twin:
            raise Refused("duplicate")
