"""Who somebody at the kiosk is, proven by an enrolment code or by number and PIN, for more than to come in.

Any thread but the control thread; calls wait for it, for the disk and for the slow hashes. Attempts are counted there, with
those at the door, and are on disk before anything is judged.
"""

import queue
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from firmware_config import codes
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent import facts
from station_agent.clock import Clock
from station_agent.core.enrolment import SessionRefusal
from station_agent.core.lockout import Locked, Method, Subject
from station_agent.core.pins import PinVerdict
from station_agent.core.policy import Refusal
from station_agent.core.roster import Roster
from station_agent.store.consents import UsedCode

ANSWER_S: Final = 10.0
"""Longest wait for the control thread, or for a PIN's hash."""

STORAGE: Final = "storage_full"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Proven:
    """Who they are.

    Attributes:
        code: the enrolment code they proved it with, to be used up.
    """

    person: str
    code: UsedCode | None = None


class Unproven(Exception):  # noqa: N818 (an answer, not a failure)
    """They are nobody we know.

    Attributes:
        reason: machine code.
    """

    def __init__(self, reason: str) -> None:
        self.reason = str(reason)
        super().__init__(reason)


class Counts(Protocol):
    """``store.credentials.Credentials``."""

    def count(self, tallies: Mapping[Subject, int]) -> None:
        """Put counts on disk, and wait for it."""

    def check_pin(
        self,
        person: str | None,
        pin: str,
        tallies: Mapping[Subject, int],
        on_done: Callable[[PinVerdict | None], None],
    ) -> None:
        """Keep the counts, then judge; answers from another thread."""


class UsedCodes(Protocol):
    """The enrolled people's store."""

    def used(self, digest: str) -> bool:
        """Whether an enrolment code was used here."""


class Proofs:
    """One for the station."""

    def __init__(
        self,
        *,
        roster: Callable[[], Roster | None],
        counts: Counts,
        used: UsedCodes,
        clock: Clock,
        put: Callable[[facts.Fact], None],
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        """Join it.

        Args:
            roster: in force at this moment.
            counts: failed attempts and PINs.
            used: enrolment codes that count no more.
            clock: of this station.
            put: the control thread's inbox.
            record: keeps an event.
        """
        self._roster = roster
        self._counts = counts
        self._used = used
        self._clock = clock
        self._put = put
        self._record = record

    def by_code(self, typed: str, *, door: str) -> Proven:
        """By a one-time enrolment code.

        Its expiry needs a synchronised clock: an expired code must not count, and doubt means no.

        Raises:
            Unproven: ``no_roster``, ``code_time_unknown``, ``locked_out``, ``storage_full``, ``code_wrong``,
                ``code_expired``, ``code_used``.
        """
        roster = self._needed()
        if self._clock.stamp().trust != "synced":
            raise Unproven(SessionRefusal.CODE_TIME_UNKNOWN)
        tallies = self._begin("code", door, None)
        try:
            self._counts.count(tallies)
        except sqlite3.Error as error:
            raise Unproven(STORAGE) from error
        entry = codes.find(roster.document.enrolment_codes, typed)
        self._put(facts.AttemptEnded("code", door, None, good=entry is not None))
        if entry is None:
            raise Unproven(SessionRefusal.CODE_WRONG)
        if self._clock.stamp().wall_ms >= entry.expires_ms:
            raise Unproven(SessionRefusal.CODE_EXPIRED)
        if self._used.used(entry.digest):
            raise Unproven(SessionRefusal.CODE_USED)
        return Proven(entry.person, UsedCode(entry.digest, entry.expires_ms))

    def by_pin(self, number: str, pin: str, *, door: str) -> Proven:
        """By number and PIN, as at the door. A duress PIN proves as much, and the hub hears of it.

        Raises:
            Unproven: ``no_roster``, ``locked_out``, ``locked_until_forgiven``, ``storage_full``, ``pin_wrong``.
        """
        known = self._needed().by_number(number)
        person = known.id if known else None
        tallies = self._begin("pin", door, person)
        answers: queue.SimpleQueue[PinVerdict | None] = queue.SimpleQueue()
        self._counts.check_pin(person, pin, tallies, answers.put)
        verdict = _wait(answers)
        if verdict is None:
            raise Unproven(STORAGE)
        good = verdict is not PinVerdict.WRONG and person is not None
        self._put(facts.AttemptEnded("pin", door, person, good=good))
        if not good or person is None:
            raise Unproven(PinVerdict.WRONG)
        if verdict is PinVerdict.DURESS:
            self._record(EventKind.ACCESS_DURESS, {"door": door, "person": person})
        return Proven(person)

    def by_face(self, *, door: str) -> None:
        """Whether a face may prove anything at a door now.

        Raises:
            Unproven: ``locked_out``: there were attempts that looked like attacks.
        """
        answers: queue.SimpleQueue[Locked | None] = queue.SimpleQueue()
        self._put(facts.FaceProofAsked(door, done=answers.put))
        if (locked := _wait(answers)) is not None:
            raise Unproven(locked.reason)

    def face_failed(self, reason: str, *, door: str) -> None:
        """A capture ended without a living face: counted at the door when it looks like an attack."""
        self._put(facts.CaptureFailed(door, reason))

    def _needed(self) -> Roster:
        if (roster := self._roster()) is None:
            raise Unproven(Refusal.NO_ROSTER)
        return roster

    def _begin(self, method: Method, door: str, person: str | None) -> dict[Subject, int]:
        answers: queue.SimpleQueue[Locked | dict[Subject, int]] = queue.SimpleQueue()
        self._put(facts.AttemptBegun(method, door, person, done=answers.put))
        charged = _wait(answers)
        if isinstance(charged, Locked):
            raise Unproven(charged.reason)
        return charged


def _wait(answers: "queue.SimpleQueue[T]") -> T:
    try:
        return answers.get(timeout=ANSWER_S)
    except queue.Empty as error:
        raise Unproven(SessionRefusal.BUSY) from error
