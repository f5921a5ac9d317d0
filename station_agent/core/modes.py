"""The modes an administrator orders for doors, for a time. PURE: no clock, file or thread; the control thread asks it.

Rules
  1. A mode has an end from the start: ``duration_s`` counted on CLOCK_BOOTTIME, at most ``LONGEST_MODE_S``. The wall clock
     never ends one while the agent runs on, whatever it jumps to.
  2. A newer order replaces the mode in force, and its end. ``lock_down`` beats ``hold_open``: no hold is ordered on a door
     that is locked down, nor in a fire: nobody is invited into a burning house. Only what is in force can be ended.
  3. A lock-down refuses every way in and every remote unlock. Exit, fire and alarms never ask for the mode, and a pulse
     that runs already runs out: it ends by itself in seconds.
  4. After a restart the rest of the time goes on: by CLOCK_BOOTTIME while the machine itself did not restart, else by the
     wall clock where it was synchronised both when the end was written and now.
  5. Where neither tells, the end is not known. A hold then ends: doubt means no. A lock-down goes on for all that was left
     when it was last written, and is shortened once a synchronised clock tells its true end; never lengthened.
  6. What is left of a lock-down is written every ``KEEP_S``, so power cuts in a row cannot make it last for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from firmware_config.vocabulary import DoorMode
from firmware_config.wire import LONGEST_MODE_S, Clock, Verb
from station_agent.core.commands import ModeChange
from station_agent.core.moment import Moment

KEEP_S: Final = 60
"""Longest time a lock-down may gain by a power cut."""

TOUCH_S: Final = 3.0
"""At most one pulse of a door in so many seconds by touch: whoever leans on the button does not wear out the lock."""

Why: TypeAlias = Literal["ordered", "ended", "expired", "restart"]

MODE_OF: Final[dict[Verb, DoorMode]] = {"hold_open": DoorMode.HOLD_OPEN, "lock_down": DoorMode.LOCK_DOWN}
ENDED_BY: Final[dict[Verb, DoorMode]] = {
    "end_hold_open": DoorMode.HOLD_OPEN,
    "end_lock_down": DoorMode.LOCK_DOWN,
}


class TouchRefusal(StrEnum):
    """Why a touch opens nothing, beside a lock-down."""

    NOT_HELD_OPEN = "not_held_open"
    A_MOMENT = "wait_a_moment"
    FIRE = "fire_active"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A door's mode and its end, as it is kept on disk.

    Attributes:
        mode: never NORMAL: that is kept as nothing.
        cmd_id: the order.
        machine: names the run of the machine in which ``until_mono_ms`` counts; empty when it is not known.
        until_mono_ms: its end on CLOCK_BOOTTIME.
        until_wall_ms: the same by the wall clock, worth what ``clock`` says.
        left_ms: until the end, when this was written.
    """

    door: str
    mode: DoorMode
    cmd_id: str
    machine: str
    until_mono_ms: int
    until_wall_ms: int
    clock: Clock
    left_ms: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A door's mode has changed.

    Attributes:
        before: was in force.
        term: is in force now; None: the door is normal.
    """

    door: str
    before: Term | None
    term: Term | None
    why: Why


@dataclass(frozen=True, slots=True)
class Rest:
    """What a restart found: ``term`` to go on with, or why it ended; ``assumed``: a clock may yet tell an earlier end."""

    term: Term | None
    assumed: bool = False
    why: Why = "restart"


def refusal(verb: Verb, mode: DoorMode, *, burning: bool) -> str | None:
    """Why an order cannot be carried out in this mode: ``locked_down``, ``fire_active``, ``not_in_force``, or None."""
    if verb in {"unlock", "hold_open"} and mode is DoorMode.LOCK_DOWN:
        return "locked_down"
    if verb == "hold_open" and burning:
        return "fire_active"
    if verb in ENDED_BY and mode is not ENDED_BY[verb]:
        return "not_in_force"
    return None


def term_of(change: ModeChange, at: Moment, machine: str) -> Term | None:
    """What a change puts on disk; None: normal again.

    Args:
        change: as judged.
        at: the moment of the judgement, from which its duration counts.
        machine: names the run of the machine.
    """
    mode = MODE_OF.get(change.order.verb)
    if mode is None:
        return None
    left_ms = change.order.duration_s * 1000
    return Term(
        door=change.order.door,
        mode=mode,
        cmd_id=change.order.cmd_id,
        machine=machine,
        until_mono_ms=change.mono_ms + left_ms,
        until_wall_ms=at.wall_ms + left_ms,
        clock=at.trust,
        left_ms=left_ms,
    )


def resume(term: Term, at: Moment, machine: str) -> Rest:
    """What is left of a mode after a restart (rules 4, 5)."""
    most_ms = max(0, min(term.left_ms, LONGEST_MODE_S * 1000))
    known_ms = _known_left_ms(term, at, machine, most_ms)
    if known_ms is not None:
        return Rest(_anchored(term, known_ms, at, machine)) if known_ms > 0 else Rest(None, why="expired")
    if term.mode is not DoorMode.LOCK_DOWN or most_ms == 0:
        return Rest(None)
    if term.clock != "synced":  # nothing will ever tell more
        return Rest(_anchored(term, most_ms, at, machine))
    until_mono_ms = at.mono_ms + most_ms
    return Rest(replace(term, machine=machine, until_mono_ms=until_mono_ms, left_ms=most_ms), assumed=True)


class Modes:
    """The modes in force. Not thread-safe: it belongs to the control thread."""

    def __init__(self, machine: str) -> None:
        """Start with every door normal.

        Args:
            machine: names this run of the machine.
        """
        self._machine = machine
        self._terms: dict[str, Term] = {}
        self._assumed: set[str] = set()

    def of(self, door: str) -> Term | None:
        """What is in force at a door."""
        return self._terms.get(door)

    @property
    def due_mono_ms(self) -> int | None:
        """When ``pass_time`` has something to do, on CLOCK_BOOTTIME."""
        dues = [term.until_mono_ms for term in self._terms.values()]
        dues += [
            term.until_mono_ms - term.left_ms + KEEP_S * 1000
            for term in self._terms.values()
            if term.mode is DoorMode.LOCK_DOWN
        ]
        return min(dues, default=None)

    def begin(self, kept: Iterable[Term], at: Moment) -> list[Turn]:
        """Go on after a restart. Every turn is to be written down: the ends may be counted anew."""
        turns = []
        for term in kept:
            rest = resume(term, at, self._machine)
            self._terms[term.door] = term
            turns.append(self._turn(term.door, rest.term, rest.why))
            if rest.assumed:
                self._assumed.add(term.door)
        return turns

    def changed(self, change: ModeChange, term: Term | None) -> Turn:
        """A change is on disk: from now on it is in force."""
        return self._turn(change.order.door, term, "ordered" if term else "ended")

    def pass_time(self, at: Moment) -> tuple[list[Turn], list[Term]]:
        """End what is over. Returns the doors whose mode ended, and the terms to be written again."""
        for door in sorted(self._assumed):
            self._learn(door, at)
        over = [door for door, term in self._terms.items() if term.until_mono_ms <= at.mono_ms]
        turns = [self._turn(door, None, "expired") for door in over]
        return turns, [self._keep(term, at) for term in self._terms.values() if _stale(term, at)]

    def _turn(self, door: str, term: Term | None, why: Why) -> Turn:
        self._assumed.discard(door)
        before = self._terms.pop(door, None)
        if term is not None:
            self._terms[door] = term
        return Turn(door, before, term, why)

    def _learn(self, door: str, at: Moment) -> None:
        """An assumed end is replaced by the true one, as soon as a clock can tell it."""
        term = self._terms[door]
        if at.trust != "synced":
            return
        left_ms = min(term.until_mono_ms - at.mono_ms, term.until_wall_ms - at.wall_ms)
        self._assumed.discard(door)
        self._terms[door] = replace(term, until_mono_ms=at.mono_ms + left_ms)

    def _keep(self, term: Term, at: Moment) -> Term:
        left_ms = term.until_mono_ms - at.mono_ms
        assumed = term.door in self._assumed
        kept = replace(term, left_ms=left_ms) if assumed else _anchored(term, left_ms, at, self._machine)
        self._terms[term.door] = kept
        return kept


def _stale(term: Term, at: Moment) -> bool:
    written_ms = term.until_mono_ms - term.left_ms
    return term.mode is DoorMode.LOCK_DOWN and at.mono_ms - written_ms >= KEEP_S * 1000


def _known_left_ms(term: Term, at: Moment, machine: str, most_ms: int) -> int | None:
    """What is left where a clock can tell, never more than was left when it was written; None where none can."""
    left_ms = None
    if machine and term.machine == machine:
        left_ms = term.until_mono_ms - at.mono_ms
    elif term.clock == "synced" and at.trust == "synced":
        left_ms = term.until_wall_ms - at.wall_ms
    # more than was left: a clock ran backwards, so it tells nothing
    return left_ms if left_ms is not None and left_ms <= most_ms else None


def _anchored(term: Term, left_ms: int, at: Moment, machine: str) -> Term:
    """The end, told by the clocks of this moment; a synchronised end is not overwritten by one that is not."""
    better = at.trust == "synced" or term.clock != "synced"
    return replace(
        term,
        machine=machine,
        until_mono_ms=at.mono_ms + left_ms,
        until_wall_ms=at.wall_ms + left_ms if better else term.until_wall_ms,
        clock=at.trust if better else term.clock,
        left_ms=left_ms,
    )
