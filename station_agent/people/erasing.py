"""Erases people: all of a person on the hub's order, or their face alone when they withdraw it or it may not be kept.

Leaves a signed receipt. On the threads of link, enrolment and upkeep, which may all wait for the disk. What a crash cuts off is finished at the next
start: the request is on disk before anything is erased, and erasing twice is harmless.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from firmware_config.receipts import event_data, gallery_root
from firmware_config.signing import Signer
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Erase, ErasureReceipt, Scalar
from station_agent import facts
from station_agent.clock import Clock
from station_agent.core.enrolment import NOTICE_VERSION
from station_agent.store.consents import Said, UsedCode
from station_agent.store.credentials import Credentials


class Gallery(Protocol):
    """The enrolled people."""

    def forget(self, person: str, *, said: Said | None = None, code: UsedCode | None = None) -> bool:
        """Erase a person wherever faces are kept; False when nobody by that id was enrolled.

        Args:
            person: whose.
            said: that they withdrew, to be kept.
            code: to be used up with it.
        """

    def sealed_digests(self) -> Iterable[tuple[str, Iterable[bytes]]]:
        """Each enrolled person, with the SHA-256 digests of their sealed templates."""


class Eraser:
    """One for the station."""

    def __init__(
        self,
        *,
        station: str,
        eyes: Gallery,
        credentials: Credentials,
        signer: Signer,
        clock: Clock,
        roster_version: Callable[[], int],
        put: Callable[[facts.Fact], None],
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        """Join it.

        Args:
            station: own id.
            eyes: the enrolled people.
            credentials: PINs and counts, and the requests themselves.
            signer: of receipts.
            clock: of this station.
            roster_version: of the roster in force; 0 without one.
            put: the control thread's inbox.
            record: keeps an event.
        """
        self._station = station
        self._eyes = eyes
        self._credentials = credentials
        self._signer = signer
        self._clock = clock
        self._roster_version = roster_version
        self._put = put
        self._record = record

    def carry_out(self, request: Erase) -> None:
        """Erase, keep the receipt, and send it as an event; a request done before gets the same receipt again."""
        if (kept := self._credentials.erasures.begin(request)) is not None:
            self._record(EventKind.PERSON_ERASED, msgspec.json.decode(kept, type=dict[str, Scalar]))
            return
        self._erase(request.request_id, request.person)

    def withdraw(self, person: str, *, code: UsedCode | None = None) -> dict[str, Scalar]:
        """Destroy a person's face because they withdrew their consent at the kiosk. PIN and passes go on working.

        Args:
            person: proven.
            code: the enrolment code they proved it with.

        Returns:
            Data of the ``person.erased`` event, with the signed receipt.
        """
        at = self._clock.stamp()
        request = Erase(
            station=self._station, request_id=secrets.token_hex(16), person=person, issued_ms=at.wall_ms
        )
        self._credentials.erasures.begin(request, face_only=True)
        return self._withdraw(request.request_id, person, code)

    def destroy_face(self, request_id: str, person: str) -> dict[str, Scalar]:
        """Destroy the templates of somebody who was enrolled and may not be kept, and what they said of them.

        Returns:
            Data of an event, with the signed receipt. The caller keeps the request, and sends the event.
        """
        self._eyes.forget(person)
        self._put(facts.FaceConsentSaid(person, None))
        return event_data(self._receipt(request_id, person, found=True), self._signer)

    def resume(self) -> None:
        """Finish what a crash cut off."""
        for request_id, person, face_only in self._credentials.erasures.unfinished():
            if face_only:
                self._withdraw(request_id, person, None)
            else:
                self._erase(request_id, person)

    def _erase(self, request_id: str, person: str) -> None:
        had_face = self._eyes.forget(person)
        self._put(facts.FaceConsentSaid(person, None))
        had_pin = self._credentials.erase(person)
        self._finish(request_id, person, found=had_face or had_pin)

    def _withdraw(self, request_id: str, person: str, code: UsedCode | None) -> dict[str, Scalar]:
        said = Said(
            given=False,
            notice=NOTICE_VERSION,
            replication=False,
            said_at_ms=self._clock.stamp().wall_ms,
            roster=self._roster_version(),
        )
        # first, so that frames already judged open nothing
        self._put(facts.FaceConsentSaid(person, said.word))
        found = self._eyes.forget(person, said=said, code=code)
        self._record(EventKind.CONSENT_WITHDRAWN, {"person": person, "kind": "face"})
        return self._finish(request_id, person, found=found)

    def _finish(self, request_id: str, person: str, *, found: bool) -> dict[str, Scalar]:
        data = event_data(self._receipt(request_id, person, found=found), self._signer)
        self._credentials.erasures.finish(request_id, msgspec.json.encode(data).decode())
        self._record(EventKind.PERSON_ERASED, data)
        return data

    def _receipt(self, request_id: str, person: str, *, found: bool) -> ErasureReceipt:
        left = [(who, list(digests)) for who, digests in self._eyes.sealed_digests()]
        at = self._clock.stamp()
        return ErasureReceipt(
            station=self._station,
            request_id=request_id,
            person=person,
            found=found,
            root=gallery_root(left),
            people=len(left),
            wall_ms=at.wall_ms,
            clock=at.trust,
        )
