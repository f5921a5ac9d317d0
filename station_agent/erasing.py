"""Carries out the hub's orders to erase a person: face, PIN and counts, then a signed receipt that survives.

Runs on the link's thread, which may wait for the disk. What a crash cuts off is finished at the next start: the request
is on disk before anything is erased, and erasing twice is harmless.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from firmware_config.receipts import event_data, gallery_root
from firmware_config.signing import Signer
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Erase, ErasureReceipt, Scalar
from station_agent.clock import Clock
from station_agent.store.credentials import Credentials


class Gallery(Protocol):
    """The enrolled people."""

    def forget(self, person: str) -> bool:
        """Erase a person wherever faces are kept; False when nobody by that id was enrolled."""

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
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        self._station = station
        self._eyes = eyes
        self._credentials = credentials
        self._signer = signer
        self._clock = clock
        self._record = record

    def carry_out(self, request: Erase) -> None:
        """Erase, keep the receipt, and send it as an event; a request done before gets the same receipt again."""
        if (kept := self._credentials.erasures.begin(request)) is not None:
            self._record(EventKind.PERSON_ERASED, msgspec.json.decode(kept, type=dict[str, Scalar]))
            return
        self._erase(request.request_id, request.person)

    def resume(self) -> None:
        """Finish what a crash cut off."""
        for request_id, person in self._credentials.erasures.unfinished():
            self._erase(request_id, person)

    def _erase(self, request_id: str, person: str) -> None:
        had_face = self._eyes.forget(person)
        had_pin = self._credentials.erase(person)
        left = [(who, list(digests)) for who, digests in self._eyes.sealed_digests()]
        at = self._clock.stamp()
        receipt = ErasureReceipt(
            station=self._station,
            request_id=request_id,
            person=person,
            found=had_face or had_pin,
            root=gallery_root(left),
            people=len(left),
            wall_ms=at.wall_ms,
            clock=at.trust,
        )
        data = event_data(receipt, self._signer)
        self._credentials.erasures.finish(request_id, msgspec.json.encode(data).decode())
        self._record(EventKind.PERSON_ERASED, data)
