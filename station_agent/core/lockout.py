"""Back-off after failed attempts, by way of entry, for a person and for a door. PURE; control thread only.

Rules
  1. An attempt counts as failed from the moment it is let through until it is found good: pulling the plug while a PIN
     is being judged saves nobody a failure.
  2. After ``free`` failures in a row the next attempt waits ``first_wait_s``, and twice as long after each further
     failure, up to ``longest_wait_s``. Attempts during a wait are refused and do not lengthen it.
  3. A person's count goes back to zero by their own success. A door's goes down by one for each success there, so that
     one good PIN does not buy five guesses at others'.
  4. At ``stop_at`` failures a person's way is shut until an operator forgives it. A door is never shut for good:
     nobody may lock everybody out by typing nonsense.
  5. Each way is counted for itself. Nothing here knows of exit, help, fire or a remote order.
  6. Counts outlive a restart; a wait then begins anew, so that a power cut does not shorten it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

Method: TypeAlias = Literal["face", "pass", "pin", "code"]


class Subject(NamedTuple):
    """Whose failures are counted.

    Attributes:
        method: way of entry; ``code`` is an enrolment code.
        scope: ``person`` or ``door``.
        id: of the person or door.
    """

    method: Method
    scope: Literal["person", "door"]
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How failures slow a way down.

    Attributes:
        free: failures without a wait.
        first_wait_s: after that many.
        longest_wait_s: never more.
        stop_at: failures after which only an operator helps; None for never.
    """

    free: int
    first_wait_s: float = 30.0
    longest_wait_s: float
    stop_at: int | None = None

    def wait_s(self, failures: int) -> float:
        """How long the next attempt waits after this many failures in a row."""
        if failures < self.free:
            return 0.0
        doublings = min(failures - self.free, 32)
        return min(self.longest_wait_s, self.first_wait_s * 2.0**doublings)


_DOOR: Final = Backoff(free=5, longest_wait_s=300.0)
_PERSON: Final = Backoff(free=5, longest_wait_s=900.0, stop_at=50)

RULES: Final[Mapping[tuple[Method, str], Backoff]] = {
    ("pin", "person"): _PERSON,
    ("pin", "door"): _DOOR,
    ("pass", "person"): _PERSON,
    ("pass", "door"): _DOOR,
    ("code", "person"): _PERSON,
    ("code", "door"): _DOOR,
    ("face", "person"): _PERSON,
    ("face", "door"): Backoff(free=10, longest_wait_s=300.0),
}
"""Five in a row, then 30 s and more, and a stop at 50: NIST SP 800-63B by safety.md F5; ten with liveness at a door."""


@dataclass(frozen=True, slots=True)
class Locked:
    """The attempt is refused unseen.

    Attributes:
        reason: ``locked_out``, or ``locked_until_forgiven``.
        wait_s: until the next attempt; infinite for the latter.
    """

    reason: Literal["locked_out", "locked_until_forgiven"]
    wait_s: float


class Lockout:
    """All counts of one station."""

    def __init__(self, tallies: Mapping[Subject, int], *, now_s: float) -> None:
        """Go on from what was kept.

        Args:
            tallies: failures in a row by subject, as ``tallies`` gave them.
            now_s: monotonic time; every wait begins here (rule 6).
        """
        self._failures = {subject: count for subject, count in tallies.items() if count > 0}
        self._last_s = dict.fromkeys(self._failures, now_s)

    @property
    def tallies(self) -> dict[Subject, int]:
        """Failures in a row by subject: all that has to be kept."""
        return dict(self._failures)

    def locked(self, subjects: Iterable[Subject], *, now_s: float) -> Locked | None:
        """Whether an attempt by these subjects is refused now; the longest wait of all."""
        worst: Locked | None = None
        for subject in subjects:
            found = self._locked(subject, now_s)
            if found is not None and (worst is None or found.wait_s > worst.wait_s):
                worst = found
        return worst

    def charge(self, subjects: Iterable[Subject], *, now_s: float) -> Locked | dict[Subject, int]:
        """Let an attempt through and count it as failed (rule 1), or refuse it.

        Args:
            subjects: the person, when the attempt names one, and the door.
            now_s: monotonic time.

        Returns:
            The counts to keep before the attempt is judged, or why it is not judged at all.
        """
        charged = list(subjects)
        if locked := self.locked(charged, now_s=now_s):
            return locked
        for subject in charged:
            self._failures[subject] = self._failures.get(subject, 0) + 1
            self._last_s[subject] = now_s
        return {subject: self._failures[subject] for subject in charged}

    def succeed(self, subjects: Iterable[Subject]) -> dict[Subject, int]:
        """The attempt was good. Returns the counts to keep; 0 means forget."""
        return {subject: self._lower(subject) for subject in subjects}

    def forgive(self, subject: Subject) -> dict[Subject, int]:
        """An operator lets somebody try again. Returns the count to keep."""
        self._failures.pop(subject, None)
        self._last_s.pop(subject, None)
        return {subject: 0}

    def _lower(self, subject: Subject) -> int:
        # the attempt itself was charged, so it comes off as well
        left = 0 if subject.scope == "person" else max(0, self._failures.get(subject, 0) - 2)
        if left:
            self._failures[subject] = left
            self._last_s[
                subject
            ] = -math.inf  # whoever comes next waits for nothing; their failure would count on
        else:
            self.forgive(subject)
        return left

    def _locked(self, subject: Subject, now_s: float) -> Locked | None:
        failures = self._failures.get(subject, 0)
        rule = RULES[subject.method, subject.scope]
        if rule.stop_at is not None and failures >= rule.stop_at:
            return Locked("locked_until_forgiven", math.inf)
        left_s = self._last_s.get(subject, now_s) + rule.wait_s(failures) - now_s
        return Locked("locked_out", left_s) if left_s > 0 else None
