"""Keeps a captured face as an enrolled person's, tells the hub, and writes the receipt. Waits for the disk.

Rules
  1. Nobody is enrolled twice: a face that this station would let in as somebody else is refused, and nobody learns as whom.
  2. The consents are on disk as events before the template is; the code is used up in one transaction with the template,
     and only then is the template searched. Whatever a power cut leaves, there is no template without its consent.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_config.receipts import EnrolmentReceipt, gallery_root
from firmware_config.signing import Signer
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent import facts
from station_agent.clock import Clock, Stamp
from station_agent.core.enrolment import SessionRefusal
from station_agent.core.threshold import GalleryTooLargeError
from station_agent.people.proofs import STORAGE, Proven
from station_agent.store.consents import Said
from station_agent.store.people import CodeUsedError
from station_agent.vision.capture import Captured

EVENTS_S: Final = 10.0
"""Longest wait for the consents to be on disk."""


class Refusal(Exception):  # noqa: N818 (an answer, not a failure)
    """Not enrolled, and nothing kept.

    Attributes:
        reason: machine code, as for the session.
    """

    def __init__(self, reason: str) -> None:
        self.reason = str(reason)
        super().__init__(reason)


class Faces(Protocol):
    """``station_agent.eyes.Eyes``."""

    @property
    def engine(self) -> tuple[str, str]:
        """Name, and SHA-256 of the weights."""

    def somebody_else(self, person: str, vectors: NDArray[np.float32]) -> bool:
        """Whether a capture is recognised as another person."""

    def enrol_captured(self, person: str, vectors: NDArray[np.float32], said: Said, proven: Proven) -> None:
        """Keep and search a person's templates, in place of those before.

        Raises:
            GalleryTooLargeError: the gallery is full.
            CodeUsedError: the code was used before.
            sqlite3.Error: the disk refused.
        """

    def sealed_digests(self) -> Iterable[tuple[str, Iterable[bytes]]]:
        """Each enrolled person, with the SHA-256 digests of their sealed templates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """What they agreed to.

    Attributes:
        notice: version of the notice that was shown.
        replication: the second consent.
    """

    notice: int
    replication: bool


class Registrar:
    """One for the station."""

    def __init__(
        self,
        *,
        station: str,
        faces: Faces,
        signer: Signer,
        clock: Clock,
        roster_version: Callable[[], int],
        put: Callable[[facts.Fact], None],
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
        on_disk: Callable[[float], bool],
    ) -> None:
        """Join it.

        Args:
            station: own id.
            faces: the enrolled people.
            signer: of receipts.
            clock: of this station.
            roster_version: of the roster in force; 0 without one.
            put: the control thread's inbox.
            record: keeps an event.
            on_disk: waits until all events are on disk; False when that takes longer than the seconds given.
        """
        self._station = station
        self._faces = faces
        self._signer = signer
        self._clock = clock
        self._roster_version = roster_version
        self._put = put
        self._record = record
        self._on_disk = on_disk

    def enrol(self, proven: Proven, agreed: Agreed, captured: Captured, *, door: str) -> dict[str, str]:
        """Enrol somebody, or enrol them anew.

        Returns:
            The receipt, for the person.

        Raises:
            Refusal: nothing was kept.
        """
        person = proven.person
        if self._faces.somebody_else(person, captured.vectors):
            raise Refusal(SessionRefusal.ALREADY_ENROLLED)
        at = self._clock.stamp()
        said = Said(
            given=True,
            notice=agreed.notice,
            replication=agreed.replication,
            said_at_ms=at.wall_ms,
            roster=self._roster_version(),
        )
        self._tell_consents(person, agreed)
        try:
            self._faces.enrol_captured(person, captured.vectors, said, proven)
        except (GalleryTooLargeError, CodeUsedError, sqlite3.Error) as error:
            # the consent stays as it was given: to take it back here would take it back at every station
            raise Refusal(_reason(error)) from error
        self._put(facts.FaceConsentSaid(person, said.word))
        return self._receipt(person, agreed, captured, at, door)

    def _tell_consents(self, person: str, agreed: Agreed) -> None:
        kinds = ["face", *(["replication"] if agreed.replication else [])]
        for kind in kinds:
            self._record(EventKind.CONSENT_GIVEN, {"person": person, "kind": kind, "version": agreed.notice})
        if not self._on_disk(EVENTS_S):
            raise Refusal(STORAGE)

    def _receipt(
        self, person: str, agreed: Agreed, captured: Captured, at: Stamp, door: str
    ) -> dict[str, str]:
        enrolled = [(who, list(digests)) for who, digests in self._faces.sealed_digests()]
        engine, digest = self._faces.engine
        receipt = EnrolmentReceipt(
            station=self._station,
            person=person,
            engine=engine,
            digest=digest,
            templates=len(captured.vectors),
            notice=agreed.notice,
            replication=agreed.replication,
            root=gallery_root(enrolled),
            people=len(enrolled),
            wall_ms=at.wall_ms,
            clock=at.trust,
        )
        signed = self._signer.seal("enrolment", receipt).decode()
        gates = " ".join(captured.live.gates) or "off"
        shared: dict[str, Scalar] = {
            "person": person,
            "engine": engine,
            "digest": digest,
            "notice": agreed.notice,
            "root": receipt.root,
        }
        told: dict[str, Scalar] = {
            **shared,
            "door": door,
            "templates": receipt.templates,
            "people": receipt.people,
            "liveness": gates,
            "fresh_frames": True,
            "receipt": signed,
        }
        self._record(EventKind.PERSON_ENROLLED, told)
        for_the_person = {key: str(value) for key, value in shared.items()}
        return for_the_person | {"station": self._station, "at": written(at.wall_ms), "signed": signed}


def written(wall_ms: int) -> str:
    """A moment as receipts show it: ISO 8601, UTC, to the second."""
    return datetime.fromtimestamp(wall_ms // 1000, UTC).isoformat()


def _reason(error: Exception) -> str:
    if isinstance(error, GalleryTooLargeError):
        return "gallery_too_large"
    return SessionRefusal.CODE_USED if isinstance(error, CodeUsedError) else STORAGE
