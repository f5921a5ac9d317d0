"""Who stands before a camera, and whether they are there in the flesh, as one machine. PURE: chance is handed in.

Rules
  1. A try is judged twice: by ``core.entry`` (who), and by a gate of ``core.liveness`` (in the flesh). Each try has a gate
     of its own, with a nonce of its own; its verdict counts for that try alone.
  2. With a challenge the gate begins once somebody is recognised: a stranger is not made to turn their head. Without one
     it begins with the try's first usable frame and works beside the comparison.
  3. Admitted: somebody was recognised, the gate of that try says ``Live``, and all of it happened in one visit of
     ``core.entry``. Of the gate's own frames ``AGAIN_FRAMES`` must speak for that person (else ``ambiguous_face``) and
     none for anybody else (``identity_changed``).
  4. Refused, with exactly one reason: that of ``core.entry`` while nobody is recognised, then that of the gate. Who leaves
     meanwhile is refused with ``face_lost``, who makes way for another with ``identity_changed``.
  5. A gate that runs out of time or loses the face before anybody is recognised has judged nobody: the try begins anew.
     Whatever else it finds is told when somebody is recognised: a stranger's photograph is refused as a stranger.
  6. After a refusal a further try follows by rule 6 of ``core.entry``.
  7. A frame that is no newer than the one before counts for nothing, whoever looked at it.
  8. Mode ``off`` demands nothing beyond ``core.entry``.
"""

import math
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from station_agent.core import liveness
from station_agent.core.challenge import Below, Step
from station_agent.core.entry import (
    DenialReason,
    Denied,
    Entry,
    EntryRules,
    Granted,
    Prompt,
    Sighting,
    speaks_for,
)
from station_agent.core.liveness import Asked, Demands, Gate, Live, Look, NotLive

AGAIN_FRAMES: Final = 2
"""Of the gate's own frames so many must show the recognised person once more: one frame may be an error."""

ON_THE_WAY_S: Final = 0.5
"""A frame is judged by when it was taken; it may reach the control thread this much later."""

RefusalReason: TypeAlias = DenialReason | liveness.Reason

_NOBODY_JUDGED: Final = frozenset({"face_lost", "too_slow"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Recognised, and alive as far as the station's mode asks.

    Attributes:
        seen: what the comparison found.
        live: the gate's verdict.
        added_s: from the recognition to this verdict.
    """

    seen: Granted
    live: Live
    added_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The try is over and nobody comes in by it.

    Attributes:
        reason: the one.
        seen: what the comparison found; ``Granted`` when somebody was recognised first.
        nonce: of the gate; None when there was none.
        steps: moves that were to be made.
        added_s: from the recognition to this verdict; 0 without one.
    """

    reason: RefusalReason
    seen: Granted | Denied
    nonce: str | None = None
    steps: tuple[Step, ...] = ()
    added_s: float = 0.0

    @property
    def person(self) -> str | None:
        """Who was recognised before the refusal."""
        return self.seen.person if isinstance(self.seen, Granted) else None


Outcome: TypeAlias = Admitted | Refused | Prompt


@dataclass
class _Attempt:
    """The gate of one try, and whom its frames spoke for."""

    gate: Gate
    seen: Granted | None = None
    recognised_s: float = 0.0
    spoke: list[str] = field(default_factory=list)

    def note(
        self, sighting: Sighting, look: Look | None, rules: EntryRules, *, newer: bool
    ) -> list[liveness.Outcome]:
        """One frame: to the gate, and whom it speaks for when the gate goes on."""
        if not newer or look is None or look.taken_s != sighting.taken_s:
            return []
        asked = self.gate.step(look)
        fresh = sighting.usable and look.usable and not isinstance(self.gate.verdict, NotLive)
        if fresh and (person := speaks_for(sighting, rules)) is not None:
            self.spoke.append(person)
        return asked

    def reason(self, person: str) -> RefusalReason | None:
        """Why this person cannot be admitted; None when they can, or when it is not known yet."""
        if any(other != person for other in self.spoke):
            return "identity_changed"
        verdict = self.gate.verdict
        if isinstance(verdict, NotLive):
            return verdict.reason
        if verdict is not None and len(self.spoke) < AGAIN_FRAMES:
            return "ambiguous_face"
        return None


class LiveEntry:
    """The visits to one camera, one after the other. Total: any frame and any time may come at any moment."""

    def __init__(self, demands: Demands, *, below: Below) -> None:
        """Begin with an empty doorway.

        Args:
            demands: of every try.
            below: source of chance; ``secrets.randbelow`` outside tests.
        """
        self._demands = demands
        self._below = below
        self._entry = Entry()
        self._attempt: _Attempt | None = None
        self._newest_s = -math.inf

    @property
    def deadline_s(self) -> float | None:
        """Monotonic time at which ``tick`` is due without a frame; None while nobody is being asked for anything."""
        attempt = self._attempt
        if attempt is None or attempt.seen is None or attempt.gate.deadline_s is None:
            return None
        return attempt.gate.deadline_s + ON_THE_WAY_S

    def tick(self, now_s: float) -> list[Outcome]:
        """Take in that time has passed. Harmless at any moment."""
        if self._attempt is None or self.deadline_s is None or not now_s >= self.deadline_s:
            return []
        self._attempt.gate.tick(now_s)
        return self._conclude(self._attempt, now_s)

    def step(self, sighting: Sighting, look: Look | None, rules: EntryRules) -> list[Outcome]:
        """Take one frame; say what follows from it, mostly nothing.

        Args:
            sighting: who is to be seen.
            look: what it says about liveness; None when nobody looked, and then it counts for nothing.
            rules: in force now.
        """
        visit, now_s = self._entry.visit, sighting.taken_s
        newer = now_s > self._newest_s
        self._newest_s = now_s if newer else self._newest_s
        found = self._entry.step(sighting, rules)
        outcomes = self._left(sighting) if self._entry.visit != visit else []
        if self._attempt is None and self._demands.mode == "passive" and self._entry.judging:
            self._attempt = self._begin(now_s)
        if self._attempt is not None:
            asked = self._attempt.note(sighting, look, rules, newer=newer)
            outcomes += _prompts(asked) if self._attempt.seen is not None else []
        for each in found:
            outcomes += self._of_entry(each, now_s)
        if self._attempt is not None:
            outcomes += self._conclude(self._attempt, now_s)
        return outcomes

    def _begin(self, now_s: float) -> _Attempt:
        return _Attempt(Gate(self._demands, below=self._below, now_s=now_s))

    def _left(self, sighting: Sighting) -> list[Outcome]:
        """The visit is over (rule 4): whatever its gate might still say."""
        attempt, self._attempt = self._attempt, None
        if attempt is None or attempt.seen is None:
            return []
        another = sighting.usable and sighting.same_as_before is not None
        reason: RefusalReason = "identity_changed" if another else "face_lost"
        return [_refused(attempt, attempt.seen, reason, sighting.taken_s)]

    def _of_entry(self, found: Granted | Denied | Prompt, now_s: float) -> list[Outcome]:
        if isinstance(found, Prompt):
            return [found]
        if isinstance(found, Denied):
            self._attempt = None
            return [Refused(reason=found.reason, seen=found)]
        attempt = self._attempt = self._attempt or self._begin(now_s)
        attempt.seen, attempt.recognised_s = found, now_s
        if self._demands.mode == "off" and isinstance(attempt.gate.verdict, Live):
            self._attempt = None
            return [Admitted(seen=found, live=attempt.gate.verdict, added_s=0.0)]
        asked = attempt.gate.asked
        return [] if asked is None else [Prompt(asked.value)]

    def _conclude(self, attempt: _Attempt, now_s: float) -> list[Outcome]:
        verdict = attempt.gate.verdict
        if attempt.seen is None:
            if isinstance(verdict, NotLive) and verdict.reason in _NOBODY_JUDGED:
                self._attempt = None
                self._entry.start_over()
            return []
        if (reason := attempt.reason(attempt.seen.person)) is not None:
            self._attempt = None
            self._entry.retract(now_s)
            return [_refused(attempt, attempt.seen, reason, now_s)]
        if not (isinstance(verdict, Live) and verdict.nonce == attempt.gate.nonce and verdict.gates):
            return []
        self._attempt = None
        return [Admitted(seen=attempt.seen, live=verdict, added_s=_since(attempt, now_s))]


def _refused(attempt: _Attempt, seen: Granted, reason: RefusalReason, now_s: float) -> Refused:
    return Refused(
        reason=reason,
        seen=seen,
        nonce=attempt.gate.nonce,
        steps=attempt.gate.steps,
        added_s=_since(attempt, now_s),
    )


def _since(attempt: _Attempt, now_s: float) -> float:
    """Seconds since the recognition; 0 for a frame that is older or has no time."""
    return now_s - attempt.recognised_s if now_s > attempt.recognised_s else 0.0


def _prompts(asked: list[liveness.Outcome]) -> list[Outcome]:
    return [Prompt(each.step.value) for each in asked if isinstance(each, Asked)]
