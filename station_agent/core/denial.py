"""A worker who may stand before a locked door for no good reason (可能拒之门外). PURE; control thread only, one per door.

Rules
  1. Two denials of one enrolled person within ``REPEAT_S`` are an incident. A denial that came near an enrolled person
     without naming one counts for "somebody enrolled". Denials of strangers count for nobody.
  2. Somebody who has been at the door for ``WAIT_S`` without anybody entering is an incident, denied or not.
     Absences up to ``GAP_S`` do not end the wait.
  3. An entry ends everything; an empty doorway ends the wait.
  4. A denial that an administrator ordered (``ORDERED``) is not wrongful, and neither is the wait behind it.
  5. One incident is told once: the next needs an entry, an empty doorway, or ``CALM_S``.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

from firmware_config.wire import Scalar

REPEAT_S: Final = 60.0
WAIT_S: Final = 60.0

GAP_S: Final = 10.0
"""Time to step back, look for a phone, take a glove off."""

CALM_S: Final = 300.0
"""After this an incident that goes on is told again."""

MOST_DENIALS: Final = 100
"""Denials counted of one incident; nobody needs to know of more."""

ORDERED: Final = frozenset({"locked_down"})

SOMEBODY: Final = ""
"""Stands for an enrolled person whom nobody could name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongfulDenial:
    """Somebody is probably shut out.

    Attributes:
        cause: ``denied_twice`` or ``waiting``.
        person: pseudonymous id, when it is known.
        reason: of the latest denial, when there was one.
        waited_s: since the person came to the door.
        denials: at this door since then, whoever they were of; and those of the last ``REPEAT_S`` before.
        reasons: of these denials, each once.
    """

    cause: Literal["denied_twice", "waiting"]
    person: str | None
    reason: str | None
    waited_s: float
    denials: int = 0
    reasons: tuple[str, ...] = ()

    def data(self, door: str) -> dict[str, Scalar]:
        """As data of ``access.wrongful_denial``, without what is not known."""
        facts: dict[str, Scalar] = {
            "door": door,
            "cause": self.cause,
            "person": self.person,
            "reason": self.reason,
            "waited_ms": round(self.waited_s * 1000),
            "denials": self.denials or None,
            "reasons": " ".join(self.reasons) or None,
        }
        return {key: value for key, value in facts.items() if value is not None}


class Waiting:
    """One door's outside."""

    def __init__(self) -> None:
        self._came_s: float | None = None
        self._seen_s = -math.inf
        self._denied_s: dict[str, float] = {}
        self._denials: list[tuple[float, str]] = []
        self._reason: str | None = None
        self._told_s = -math.inf

    def present(self, *, now_s: float) -> WrongfulDenial | None:
        """Somebody is at the door: a face, a press, a code before the camera.

        Args:
            now_s: monotonic time.
        """
        came_s = self._presence(now_s)
        if now_s - came_s < WAIT_S:
            return None
        return self._tell("waiting", None, now_s)

    def denied(self, person: str | None, *, reason: str, now_s: float) -> WrongfulDenial | None:
        """Somebody was denied.

        Args:
            person: an enrolled person; ``SOMEBODY`` when an enrolled person came near; None for a stranger.
            reason: of the denial.
            now_s: monotonic time.
        """
        if reason in ORDERED:
            self._leave()
            return None
        self._presence(now_s)
        self._denials = [*self._denials[1 - MOST_DENIALS :], (now_s, reason)]
        if person is None:
            return None
        before_s = self._denied_s.get(person, -math.inf)
        self._denied_s[person] = now_s
        self._reason = reason
        if now_s - before_s > REPEAT_S:
            return None
        return self._tell("denied_twice", person or None, now_s)

    def entered(self) -> None:
        """Somebody opened the door legally."""
        self._leave()

    def _presence(self, now_s: float) -> float:
        """Since when somebody has been here."""
        if self._came_s is None or now_s - self._seen_s > GAP_S:
            # the doorway was empty; two denials a minute apart still are two denials
            self._came_s = now_s
            self._told_s = -math.inf
            self._reason = None
            self._denied_s = {who: at for who, at in self._denied_s.items() if now_s - at <= REPEAT_S}
            self._denials = [denial for denial in self._denials if now_s - denial[0] <= REPEAT_S]
        self._seen_s = now_s
        return self._came_s

    def _tell(
        self, cause: Literal["denied_twice", "waiting"], person: str | None, now_s: float
    ) -> WrongfulDenial | None:
        if now_s - self._told_s < CALM_S:
            return None
        self._told_s = now_s
        waited_s = now_s - (now_s if self._came_s is None else self._came_s)
        return WrongfulDenial(
            cause=cause,
            person=person,
            reason=self._reason,
            waited_s=waited_s,
            denials=len(self._denials),
            reasons=tuple(sorted({reason for _, reason in self._denials})),
        )

    def _leave(self) -> None:
        self._came_s = None
        self._seen_s = -math.inf
        self._denied_s = {}
        self._denials = []
        self._reason = None
        self._told_s = -math.inf
