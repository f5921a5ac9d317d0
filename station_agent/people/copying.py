"""Joins what takes its time with templates to one thread: copies to other stations and from them, and destroying in time."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from firmware_config.replica import Delivery, Replica, public_half
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent.clock import Clock
from station_agent.core.roster import Roster
from station_agent.people import adopting, lapsing, replicating
from station_agent.people.adopting import Adopting
from station_agent.people.lapsing import Lapsing
from station_agent.people.replicating import Replicating
from station_agent.people.upkeep import TURN_S, Upkeep
from station_agent.store.copies import CopyBook
from station_agent.store.keeping import Keeping
from station_agent.store.people import PeopleStore


class Faces(adopting.Faces, replicating.Faces, Protocol):
    """``eyes.Eyes``, with face entry on."""

    @property
    def store(self) -> PeopleStore:
        """Where templates are kept."""


class NoCopies:
    """For a station without face entry: it seals nothing, and nothing is sealed to it."""

    sealing_key = ""

    def start(self) -> None:
        """There is nothing to do."""

    def stop(self) -> None:
        """There is nothing to end."""

    def roster_applied(self) -> None:
        """No matter."""

    def arrived(self, delivery: Delivery) -> None:
        """It is for a station that had face entry once; the hub destroys it in time."""

    def acknowledged(self, ids: Sequence[str]) -> None:
        """Nothing was sent."""

    def connected(self) -> None:
        """Nothing waits."""

    def visited(self, person: str) -> None:
        """There are no templates to keep for it."""


class Copying:
    """One for a station with face entry. Every call but ``start`` and ``stop`` returns at once.

    Attributes:
        sealing_key: what other stations seal to, base64.
    """

    def __init__(
        self,
        *,
        station: str,
        install_id: str,
        key: X25519PrivateKey,
        faces: Faces,
        destroyer: lapsing.Destroyer,
        expire_days: int,
        roster: Callable[[], Roster | None],
        send: Callable[[Replica], bool],
        clock: Clock,
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
        turn_s: float = TURN_S,
    ) -> None:
        """Join it.

        Args:
            station: own id.
            install_id: of the event store.
            key: what others seal to.
            faces: the enrolled people.
            destroyer: destroys templates that may not be kept.
            expire_days: days without a visit.
            roster: in force; None when there is none.
            send: hands a copy to the data connection; False when there is none.
            clock: of this station.
            record: keeps an event.
            turn_s: longest pause between two looks.
        """
        book = CopyBook(faces.store)
        self.sealing_key = public_half(key)
        self._adopting = Adopting(
            station=station, key=key, faces=faces, book=book, roster=roster, clock=clock, record=record
        )
        self._replicating = Replicating(
            station=station,
            install_id=install_id,
            key=key,
            faces=faces,
            book=book,
            roster=roster,
            send=send,
            clock=clock,
        )
        self._lapsing = Lapsing(
            Keeping(faces.store),
            destroyer=destroyer,
            roster=roster,
            expire_days=expire_days,
            clock=clock,
            record=record,
        )
        self._upkeep = Upkeep(self._adopting.turn, self._replicating.turn, self._lapsing.turn, turn_s=turn_s)

    def start(self) -> None:
        """Finish what a crash cut off, then begin."""
        self._lapsing.resume()
        self._upkeep.start()

    def stop(self) -> None:
        """End after the job in hand."""
        self._upkeep.stop()

    def roster_applied(self) -> None:
        """A newer roster is in force."""
        self._upkeep.look()

    def arrived(self, delivery: Delivery) -> None:
        """A copy came."""
        self._upkeep.do(partial(self._adopting.arrived, delivery))

    def acknowledged(self, ids: Sequence[str]) -> None:
        """The hub carries these on."""
        self._upkeep.do(partial(self._replicating.acknowledged, ids))

    def connected(self) -> None:
        """The data connection is there."""
        self._upkeep.do(self._replicating.connected)

    def visited(self, person: str) -> None:
        """Somebody known has come in."""
        self._upkeep.do(partial(self._lapsing.visited, person))
