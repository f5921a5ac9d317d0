"""The roster in force: look-ups, its age, whether a new one may replace it, and parts put together. PURE.

Rules
  1. Versions only increase. An older one is refused, and so is the same one with other content: ``stale_roster``. The
     same one with the same content changes nothing.
  2. By a synchronised clock, a roster that has expired on its way is refused (``roster_expired``), and one from the
     future too (``roster_from_future``). By any other clock neither can be judged, and it is taken.
  3. The roster in force is obeyed however old it becomes, with the network down for weeks; but its age is told.
  4. Parts of one roster come in any order and any number of times. Only when all are there does anything change.
"""

from datetime import date
from enum import StrEnum
from typing import Final

from firmware_config.roster import ROSTER_LIFE_MS, RosterDocument, RosterPerson
from firmware_config.wire import RosterPart
from station_agent.core.moment import Moment

AHEAD_MS: Final = 10 * 60_000
"""How far the hub's clock may run ahead of a synchronised one."""


class Freshness(StrEnum):
    """Age of the roster in force."""

    FRESH = "fresh"
    STALE = "stale"
    UNKNOWN = "unknown"


class Roster:
    """One roster, indexed.

    Attributes:
        document: as signed by the hub.
        digest: SHA-256 of its content, hexadecimal.
        people: by id.
        groups: by id.
        calendar: special days by date, ``2026-10-01``.
    """

    def __init__(self, document: RosterDocument, digest: str, *, received_mono_ms: int | None = None) -> None:
        """Index a document.

        Args:
            document: checked.
            digest: of its content.
            received_mono_ms: CLOCK_BOOTTIME of its arrival; None when it was read from the disk.
        """
        self.document = document
        self.digest = digest
        self.people = {person.id: person for person in document.people}
        self.groups = {group.id: group for group in document.groups}
        self.calendar = {
            date.fromisoformat(special.day).isoformat(): special for special in document.calendar
        }
        self.revoked_passes = frozenset(document.revoked_passes)
        self._by_number = {person.number: person for person in document.people if person.number}
        self._received_mono_ms = received_mono_ms

    @property
    def version(self) -> int:
        """Of the document."""
        return self.document.version

    def by_number(self, number: str) -> RosterPerson | None:
        """The person of a number typed at the kiosk."""
        return self._by_number.get(number)

    def freshness(self, at: Moment) -> Freshness:
        """How old it is, as far as this station can know (rule 3)."""
        waited_ms = 0 if self._received_mono_ms is None else at.mono_ms - self._received_mono_ms
        if waited_ms > ROSTER_LIFE_MS:
            return Freshness.STALE
        if at.trust != "synced":
            return Freshness.UNKNOWN
        return Freshness.STALE if at.wall_ms >= self.document.expires_ms else Freshness.FRESH


def refusal(current: Roster | None, offered: Roster, at: Moment) -> str | None:
    """Why a roster may not replace the one in force; None when it may, or is the same (rules 1 and 2)."""
    if current is not None:
        if offered.version < current.version:
            return "stale_roster"
        if offered.version == current.version:
            return None if offered.digest == current.digest else "stale_roster"
    if at.trust != "synced":
        return None
    if at.wall_ms >= offered.document.expires_ms:
        return "roster_expired"
    if offered.document.issued_ms > at.wall_ms + AHEAD_MS:
        return "roster_from_future"
    return None


class Assembly:
    """Collects the parts of one roster at a time; another version or content begins anew."""

    def __init__(self) -> None:
        self._name: tuple[int, str, int] | None = None
        self._parts: dict[int, tuple[RosterPart, bytes]] = {}

    def take(self, part: RosterPart, payload: bytes) -> list[tuple[RosterPart, bytes]] | None:
        """Take one part and the signed message it came in; all of them, in order, once the last is there."""
        name = (part.version, part.digest, part.parts)
        if name != self._name:
            self._name, self._parts = name, {}
        if part.part <= part.parts:
            self._parts[part.part] = (part, payload)
        if len(self._parts) < part.parts:
            return None
        whole = [self._parts[number] for number in sorted(self._parts)]
        self._name, self._parts = None, {}
        return whole
