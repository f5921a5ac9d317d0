"""Choosing a PIN at the kiosk, by somebody who has just proven who they are. The web server's threads; calls wait for the disk.

With an enrolment code a worker may choose a PIN and never show a face: the code stays good for a face later. After an
enrolment the same session offers it.
"""

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from station_agent.clock import Clock
from station_agent.core.pins import PinFault
from station_agent.core.roster import Roster

CHOOSE_S: Final = 180.0
"""Time to think of six digits and to type them twice."""

OVER: Final = "too_slow"
STORAGE: Final = "storage_full"


class Sessions(Protocol):
    """``people.enrolling.Enrolling``, as far as it says who somebody is."""

    def proven(self, session: str) -> str | None:
        """Who the person of a session has proven to be."""

    def cancel(self, session: str) -> bool:
        """They go away."""


class Pins(Protocol):
    """``store.credentials.Credentials``, as far as PINs are kept there."""

    def set_pin(
        self, person: str, pin: str, *, number: str | None, duress: str | None = None
    ) -> PinFault | None:
        """Keep a PIN in place of the one before."""


@dataclass(frozen=True, slots=True)
class _Chooser:
    session: str
    person: str
    until_s: float


class PinChoice:
    """One for the station; one person at a time."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        pins: Pins,
        roster: Callable[[], Roster | None],
        clock: Clock,
        chosen: Callable[[str], None],
    ) -> None:
        """Join it.

        Args:
            sessions: of enrolment.
            pins: where they are kept.
            roster: in force at this moment.
            clock: for the time to choose.
            chosen: hears of a person who has a new PIN.
        """
        self._sessions = sessions
        self._pins = pins
        self._roster = roster
        self._clock = clock
        self._chosen = chosen
        self._turn = threading.Lock()
        self._chooser: _Chooser | None = None

    def begin(self, session: str) -> bool:
        """Let the person of a session choose. The session itself is over. False when nothing is proven by it."""
        person = self._sessions.proven(session)
        if person is None:
            return False
        self._sessions.cancel(session)
        with self._turn:
            self._chooser = _Chooser(session, person, self._clock.monotonic_s() + CHOOSE_S)
        return True

    def number(self, session: str) -> str | None:
        """The number the chooser types before the PIN; None when the roster gives them none."""
        chooser, roster = self._of(session), self._roster()
        known = roster.people.get(chooser.person) if chooser and roster else None
        return known.number if known else None

    def choose(self, session: str, pin: str, *, duress: str | None) -> str | None:
        """Keep a PIN, and with it a silent one for emergencies.

        Returns:
            Reason code why not; None when it is kept.
        """
        chooser = self._of(session)
        if chooser is None:
            return OVER
        try:
            fault = self._pins.set_pin(chooser.person, pin, number=self.number(session), duress=duress)
        except sqlite3.Error:
            return STORAGE
        if fault is not None:
            return fault.value
        self.leave(session)
        self._chosen(chooser.person)
        return None

    def leave(self, session: str) -> None:
        """They go away."""
        with self._turn:
            if self._chooser is not None and self._chooser.session == session:
                self._chooser = None

    def _of(self, session: str) -> _Chooser | None:
        with self._turn:
            chooser = self._chooser
        if chooser is None or not session or chooser.session != session:
            return None
        return chooser if self._clock.monotonic_s() < chooser.until_s else None
