"""The roster in force, and the signed messages it came in, in one file that is replaced as a whole.

What is kept is what the hub signed, and it is checked again when it is read: whoever can write the disk still cannot let
anybody in. Calls wait for the disk, so they come from anywhere but the control thread; one thread at a time.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from firmware_config.files import write_over
from firmware_config.roster import join
from firmware_config.signing import Refused, Verifier
from firmware_config.wire import RosterPart, decode
from station_agent.clock import Stamp
from station_agent.core.roster import Assembly, Roster, refusal

_LOG = logging.getLogger(__name__)

_FILE: Final = msgspec.msgpack.Decoder(list[bytes])


@dataclass(frozen=True, slots=True)
class Taken:
    """A new roster is in force.

    Attributes:
        roster: it.
        kept: on disk. When the disk refuses, the new roster is obeyed all the same: it may bar somebody.
    """

    roster: Roster
    kept: bool


class RosterStore:
    """The roster of one station.

    Attributes:
        current: in force; None before the first, or when the file could not be used.
        set_aside: where a file that could not be used was moved when this was opened.
    """

    def __init__(self, path: Path, *, verifier: Verifier, station: str) -> None:
        """Read what is there.

        Args:
            path: the file; its folder is made when missing.
            verifier: of the hub's keys.
            station: own id.

        Raises:
            OSError: the disk refuses.
        """
        self._path = path
        self._verifier = verifier
        self._station = station
        self._assembly = Assembly()
        self.current: Roster | None = None
        self.set_aside: Path | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._read()

    def take(self, payload: bytes, at: Stamp) -> Taken | None:
        """One message of ``down/roster``.

        Returns:
            The roster that came into force by it; None while parts are missing, or when it is in force already.

        Raises:
            Refused: those of ``Verifier``, ``decode`` and ``firmware_config.roster.join``, and ``stale_roster``,
                ``roster_expired``, ``roster_from_future``.
        """
        part = self._part(payload)
        if self.current is not None and part.version <= self.current.version:
            if (part.version, part.digest) == (self.current.version, self.current.digest):
                return None
            raise Refused("stale_roster", f"{part.version} after {self.current.version}")
        whole = self._assembly.take(part, payload)
        if whole is None:
            return None
        offered = Roster(join([part for part, _ in whole]), part.digest, received_mono_ms=at.mono_ms)
        if (reason := refusal(self.current, offered, at)) is not None:
            raise Refused(reason, f"version {offered.version}")
        kept = self._keep([payload for _, payload in whole])
        self.current = offered
        _LOG.info("roster_applied", extra={"version": offered.version, "kept": kept})
        return Taken(offered, kept)

    def _part(self, payload: bytes) -> RosterPart:
        return decode(self._verifier.open(payload, kind="roster"), RosterPart, station=self._station)

    def _read(self) -> None:
        try:
            parts = [self._part(payload) for payload in _FILE.decode(self._path.read_bytes())]
            if not parts:
                raise Refused("incomplete", "an empty file")  # noqa: TRY301 (one way out for all that is wrong with it)
            self.current = Roster(join(parts), parts[0].digest)
        except (Refused, msgspec.DecodeError) as error:
            self.set_aside = self._path.with_name(f"{self._path.name}.damaged")
            self._path.replace(self.set_aside)
            _LOG.error("roster_unusable", extra={"file": str(self._path), "error": str(error)})

    def _keep(self, payloads: list[bytes]) -> bool:
        """Write beside, flush, rename, flush the folder (safety.md D7)."""
        try:
            write_over(self._path, msgspec.msgpack.encode(payloads))
        except OSError:
            _LOG.exception("roster_not_kept", extra={"file": str(self._path)})
            return False
        return True
