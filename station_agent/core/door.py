"""One door: what is told about it, and what is to be done. Owned by the control thread; does no I/O, reads no clock.

The rules, from safety.md S1, S2, S5-S7 and C9 (docs/adr/0002, 0007):

1. The relay is energised exactly in the states of ``ENERGISED``. A pulse never lasts longer than ``MAX_ENERGISED_S``
   from the moment the relay was energised, whatever is pressed or granted meanwhile. Only a fire holds it longer.
2. One grant, one opening: the opening ends the pulse at once, and after the closing the door is locked.
3. An opening is legal inside a window (a pulse, the grace after it, the shunt after the exit button, a fire). Any
   other opening is FORCED at once, however short. The window is used up by the first opening. A grant's window is its
   pulse and the grace: what opens later, in the shunt of an earlier press, is whoever leaves (END_GRANT).
4. While the fire input is set the relay stays energised. There is no pair of state and input that relocks then.
5. A grant never extends a pulse. A press of the exit button may, up to the limit of rule 1: whoever leaves comes first.
6. An untrusted contact never raises FORCED or HELD_OPEN, and never stops anybody: grants and the exit button go on.
   The first word of a contact after its fault only says where the door *is*: nobody saw when it moved, perhaps long
   ago and legally, so an open door is then OPEN with the held-open timer running, not FORCED. The next opening edge
   is judged as ever. The fault itself is reported, so hiding behind it is not silent.
7. Between HOLD_BEGAN and HOLD_ENDED a legally opened door may stand open without a warning. The relay knows nothing of
   it: whoever wants in gets a pulse like everybody else. From the end on the timers run anew. FORCED stays FORCED.

Every pair of state and input is either in ``TRANSITIONS`` or in ``IGNORED``; a test proves it.
"""

from enum import StrEnum
from typing import Final, TypeAlias

from firmware_config.station import DoorRules
from firmware_config.units import MAX_ENERGISED_S
from firmware_config.vocabulary import DoorState


class DoorInput(StrEnum):
    """Facts about one door."""

    GRANTED = "granted"
    EXIT_REQUESTED = "exit_requested"
    OPENED = "opened"
    CLOSED = "closed"
    TIMED_OUT = "timed_out"
    FIRE_SET = "fire_set"
    FIRE_CLEARED = "fire_cleared"
    CONTACT_FAULTED = "contact_faulted"
    HOLD_BEGAN = "hold_began"
    HOLD_ENDED = "hold_ended"


class Action(StrEnum):
    """Orders to the outside. ENERGISE_RELAY and RELEASE_RELAY are only given when the relay is to change."""

    ENERGISE_RELAY = "energise_relay"
    RELEASE_RELAY = "release_relay"
    RECORD_EXIT = "record_exit"
    RECORD_OPENED = "record_opened"
    RECORD_CLOSED = "record_closed"
    RAISE_FORCED = "raise_forced"
    START_PREALARM = "start_prealarm"
    STOP_PREALARM = "stop_prealarm"
    RAISE_HELD_OPEN = "raise_held_open"
    RECORD_CONTACT_FAULT = "record_contact_fault"
    RECORD_CONTACT_RESTORED = "record_contact_restored"
    END_GRANT = "end_grant"


S: TypeAlias = DoorState
I: TypeAlias = DoorInput  # noqa: E741 (the table reads as the rules only with one letter each)
A: TypeAlias = Action

PULSING: Final = frozenset({S.UNLOCKED, S.EXITING, S.UNSENSED_UNLOCKED})
BURNING: Final = frozenset({S.FIRE_CLOSED, S.FIRE_OPEN, S.FIRE_UNSENSED})
ENERGISED: Final = PULSING | BURNING
SEEN_OPEN: Final = frozenset({S.OPEN, S.PREALARM, S.HELD_OPEN, S.FORCED, S.FIRE_OPEN})
UNTRUSTED: Final = frozenset({S.UNSENSED, S.UNSENSED_UNLOCKED, S.FIRE_UNSENSED})
WINDOW: Final = PULSING | {S.GRACE}
ATTRIBUTED: Final = WINDOW | {S.OPEN, S.PREALARM, S.HELD_OPEN}

TRANSITIONS: Final[dict[tuple[DoorState, DoorInput], tuple[DoorState, tuple[Action, ...]]]] = {
    (S.LOCKED, I.GRANTED): (S.UNLOCKED, (A.ENERGISE_RELAY,)),
    (S.LOCKED, I.EXIT_REQUESTED): (S.EXITING, (A.ENERGISE_RELAY, A.RECORD_EXIT)),
    (S.LOCKED, I.OPENED): (S.FORCED, (A.RAISE_FORCED,)),
    (S.LOCKED, I.FIRE_SET): (S.FIRE_CLOSED, (A.ENERGISE_RELAY,)),
    (S.LOCKED, I.CONTACT_FAULTED): (S.UNSENSED, (A.RECORD_CONTACT_FAULT,)),
    (S.UNLOCKED, I.EXIT_REQUESTED): (S.EXITING, (A.RECORD_EXIT,)),
    (S.UNLOCKED, I.OPENED): (S.OPEN, (A.RELEASE_RELAY, A.RECORD_OPENED)),
    (S.UNLOCKED, I.TIMED_OUT): (S.GRACE, (A.RELEASE_RELAY,)),
    (S.UNLOCKED, I.FIRE_SET): (S.FIRE_CLOSED, ()),
    (S.UNLOCKED, I.CONTACT_FAULTED): (S.UNSENSED_UNLOCKED, (A.RECORD_CONTACT_FAULT,)),
    (S.EXITING, I.EXIT_REQUESTED): (S.EXITING, ()),  # renews the shunt, and the pulse up to its limit
    (S.EXITING, I.OPENED): (S.OPEN, (A.RELEASE_RELAY, A.RECORD_OPENED)),
    (S.EXITING, I.TIMED_OUT): (S.GRACE, (A.RELEASE_RELAY,)),
    (S.EXITING, I.FIRE_SET): (S.FIRE_CLOSED, ()),
    (S.EXITING, I.CONTACT_FAULTED): (S.UNSENSED_UNLOCKED, (A.RECORD_CONTACT_FAULT,)),
    (S.GRACE, I.GRANTED): (S.UNLOCKED, (A.ENERGISE_RELAY,)),
    (S.GRACE, I.EXIT_REQUESTED): (S.EXITING, (A.ENERGISE_RELAY, A.RECORD_EXIT)),
    (S.GRACE, I.OPENED): (S.OPEN, (A.RECORD_OPENED,)),
    (S.GRACE, I.TIMED_OUT): (S.LOCKED, ()),
    (S.GRACE, I.FIRE_SET): (S.FIRE_CLOSED, (A.ENERGISE_RELAY,)),
    (S.GRACE, I.CONTACT_FAULTED): (S.UNSENSED, (A.RECORD_CONTACT_FAULT,)),
    (S.OPEN, I.CLOSED): (S.LOCKED, (A.RECORD_CLOSED,)),
    (S.OPEN, I.TIMED_OUT): (S.PREALARM, (A.START_PREALARM,)),
    (S.OPEN, I.FIRE_SET): (S.FIRE_OPEN, (A.ENERGISE_RELAY,)),
    (S.OPEN, I.CONTACT_FAULTED): (S.UNSENSED, (A.RECORD_CONTACT_FAULT,)),
    (S.OPEN, I.HOLD_BEGAN): (S.OPEN, ()),
    (S.OPEN, I.HOLD_ENDED): (S.OPEN, ()),  # the timers begin here
    (S.PREALARM, I.HOLD_BEGAN): (S.OPEN, (A.STOP_PREALARM,)),
    (S.HELD_OPEN, I.HOLD_BEGAN): (S.OPEN, ()),
    (S.PREALARM, I.CLOSED): (S.LOCKED, (A.STOP_PREALARM, A.RECORD_CLOSED)),
    (S.PREALARM, I.TIMED_OUT): (S.HELD_OPEN, (A.STOP_PREALARM, A.RAISE_HELD_OPEN)),
    (S.PREALARM, I.FIRE_SET): (S.FIRE_OPEN, (A.ENERGISE_RELAY, A.STOP_PREALARM)),
    (S.PREALARM, I.CONTACT_FAULTED): (S.UNSENSED, (A.STOP_PREALARM, A.RECORD_CONTACT_FAULT)),
    (S.HELD_OPEN, I.CLOSED): (S.LOCKED, (A.RECORD_CLOSED,)),
    (S.HELD_OPEN, I.FIRE_SET): (S.FIRE_OPEN, (A.ENERGISE_RELAY,)),
    (S.HELD_OPEN, I.CONTACT_FAULTED): (S.UNSENSED, (A.RECORD_CONTACT_FAULT,)),
    (S.FORCED, I.CLOSED): (S.LOCKED, (A.RECORD_CLOSED,)),
    (S.FORCED, I.FIRE_SET): (S.FIRE_OPEN, (A.ENERGISE_RELAY,)),
    (S.FORCED, I.CONTACT_FAULTED): (S.UNSENSED, (A.RECORD_CONTACT_FAULT,)),
    (S.FIRE_CLOSED, I.OPENED): (S.FIRE_OPEN, (A.RECORD_OPENED,)),
    (S.FIRE_CLOSED, I.FIRE_CLEARED): (S.LOCKED, (A.RELEASE_RELAY,)),
    (S.FIRE_CLOSED, I.CONTACT_FAULTED): (S.FIRE_UNSENSED, (A.RECORD_CONTACT_FAULT,)),
    (S.FIRE_OPEN, I.CLOSED): (S.FIRE_CLOSED, (A.RECORD_CLOSED,)),
    (S.FIRE_OPEN, I.FIRE_CLEARED): (S.OPEN, (A.RELEASE_RELAY,)),
    (S.FIRE_OPEN, I.CONTACT_FAULTED): (S.FIRE_UNSENSED, (A.RECORD_CONTACT_FAULT,)),
    (S.FIRE_UNSENSED, I.OPENED): (S.FIRE_OPEN, (A.RECORD_CONTACT_RESTORED, A.RECORD_OPENED)),
    (S.FIRE_UNSENSED, I.CLOSED): (S.FIRE_CLOSED, (A.RECORD_CONTACT_RESTORED, A.RECORD_CLOSED)),
    (S.FIRE_UNSENSED, I.FIRE_CLEARED): (S.UNSENSED, (A.RELEASE_RELAY,)),
    (S.UNSENSED, I.GRANTED): (S.UNSENSED_UNLOCKED, (A.ENERGISE_RELAY,)),
    (S.UNSENSED, I.EXIT_REQUESTED): (S.UNSENSED_UNLOCKED, (A.ENERGISE_RELAY, A.RECORD_EXIT)),
    (S.UNSENSED, I.OPENED): (S.OPEN, (A.RECORD_CONTACT_RESTORED, A.RECORD_OPENED)),
    (S.UNSENSED, I.CLOSED): (S.LOCKED, (A.RECORD_CONTACT_RESTORED, A.RECORD_CLOSED)),
    (S.UNSENSED, I.FIRE_SET): (S.FIRE_UNSENSED, (A.ENERGISE_RELAY,)),
    (S.UNSENSED_UNLOCKED, I.EXIT_REQUESTED): (S.UNSENSED_UNLOCKED, (A.RECORD_EXIT,)),
    (S.UNSENSED_UNLOCKED, I.OPENED): (S.OPEN, (A.RELEASE_RELAY, A.RECORD_CONTACT_RESTORED, A.RECORD_OPENED)),
    (S.UNSENSED_UNLOCKED, I.CLOSED): (S.UNLOCKED, (A.RECORD_CONTACT_RESTORED, A.RECORD_CLOSED)),
    (S.UNSENSED_UNLOCKED, I.TIMED_OUT): (S.UNSENSED, (A.RELEASE_RELAY,)),
    (S.UNSENSED_UNLOCKED, I.FIRE_SET): (S.FIRE_UNSENSED, ()),
}
"""(state, input) -> (next state, what to do, in this order)."""

IGNORED: Final[frozenset[tuple[DoorState, DoorInput]]] = frozenset(
    {
        # a second face never extends the first grant
        *((state, I.GRANTED) for state in PULSING),
        # an open door needs no pulse, and one given now would let the next person in unseen
        *((state, I.GRANTED) for state in (S.OPEN, S.PREALARM, S.HELD_OPEN, S.FORCED)),
        *((state, I.EXIT_REQUESTED) for state in (S.OPEN, S.PREALARM, S.HELD_OPEN, S.FORCED)),
        # the door is free already
        *((state, I.GRANTED) for state in BURNING),
        *((state, I.EXIT_REQUESTED) for state in BURNING),
        # the contact repeats itself
        *((state, I.OPENED) for state in SEEN_OPEN),
        *((state, I.CLOSED) for state in (S.LOCKED, S.UNLOCKED, S.EXITING, S.GRACE, S.FIRE_CLOSED)),
        *((state, I.CONTACT_FAULTED) for state in UNTRUSTED),
        # the fire input repeats itself
        *((state, I.FIRE_SET) for state in BURNING),
        *((state, I.FIRE_CLEARED) for state in set(DoorState) - BURNING),
        # only a door that stands open legally is concerned; ``Door`` remembers the hold for those that open later
        *((state, I.HOLD_BEGAN) for state in set(DoorState) - {S.OPEN, S.PREALARM, S.HELD_OPEN}),
        *((state, I.HOLD_ENDED) for state in set(DoorState) - {S.OPEN}),
        # these states have no deadline
        *((state, I.TIMED_OUT) for state in (S.LOCKED, S.HELD_OPEN, S.FORCED, S.UNSENSED, *sorted(BURNING))),
    }
)
"""Pairs that change nothing, so that a chattering contact or a late timer can never raise."""


class Door:
    """The state of one door.

    Args:
        rules: the door's timing.
        contact_open: where the door is at start; None while the contact cannot be trusted. A door found open is OPEN,
            not FORCED: nobody saw it open.
        fire: the fire input is set at start.
        now_s: monotonic time.

    Attributes:
        rules: as given.
        state: where the door is.
        deadline_s: monotonic time at which TIMED_OUT is due; None when nothing is awaited.
        energised_since_s: when the relay was told to energise; None while it is released.
        held: nobody is warned while the door stands open (rule 7).
        window: what opened the window in force, or the window in which the door was opened that is still open:
            GRANTED, EXIT_REQUESTED or None (found open, fire, fault).
        first_actions: to be performed before the first ``step``.
    """

    def __init__(
        self, rules: DoorRules, *, contact_open: bool | None = False, fire: bool = False, now_s: float = 0.0
    ) -> None:
        self.rules = rules
        self.state = S.UNSENSED if contact_open is None else S.OPEN if contact_open else S.LOCKED
        self.deadline_s: float | None = now_s + rules.prealarm_s if contact_open else None
        self.energised_since_s: float | None = None
        self.window: DoorInput | None = None
        self.held = False
        self._opened_s = now_s
        self._shunt_until_s = now_s
        self._pulse_until_s = now_s
        self.first_actions = self.step(I.FIRE_SET, now_s=now_s) if fire else ()

    @property
    def contact_open(self) -> bool | None:
        """What the contact said last; None while it cannot be trusted."""
        return None if self.state in UNTRUSTED else self.state in SEEN_OPEN

    def step(self, fact: DoorInput, *, now_s: float, pulse_s: float | None = None) -> tuple[Action, ...]:
        """Take in one fact.

        Args:
            fact: what happened.
            now_s: monotonic time, never smaller than before.
            pulse_s: with GRANTED, how long to unlock; ``rules.unlocked_s`` when None, never above ``MAX_ENERGISED_S``.

        Returns:
            What to do, in this order.
        """
        if fact is I.HOLD_ENDED and not self.held:
            return ()
        self.held = fact is I.HOLD_BEGAN or (self.held and fact is not I.HOLD_ENDED)
        if fact is I.TIMED_OUT and self._shunt_goes_on(now_s):
            self.window, self.deadline_s = I.EXIT_REQUESTED, self._shunt_until_s
            return (A.END_GRANT,)
        if (self.state, fact) in IGNORED or (fact is I.TIMED_OUT and not self._due(now_s)):
            return ()
        self.state, actions = TRANSITIONS[self.state, fact]
        if A.ENERGISE_RELAY in actions:
            self.energised_since_s = now_s
            self._pulse_until_s = now_s + min(
                self.rules.unlocked_s if pulse_s is None else pulse_s, MAX_ENERGISED_S
            )
        elif A.RELEASE_RELAY in actions:
            self.energised_since_s = None
        self._keep_window(fact, now_s)
        self.deadline_s = self._deadline(now_s)
        return actions

    def _shunt_goes_on(self, now_s: float) -> bool:
        granted = self.state is S.GRACE and self.window is I.GRANTED
        return granted and self._due(now_s) and now_s < self._shunt_until_s

    def _due(self, now_s: float) -> bool:
        return self.deadline_s is not None and now_s >= self.deadline_s

    def _keep_window(self, fact: DoorInput, now_s: float) -> None:
        if fact in {I.GRANTED, I.EXIT_REQUESTED}:
            self.window = fact
        elif self.state not in ATTRIBUTED:
            self.window = None
        if fact is I.EXIT_REQUESTED:
            self._shunt_until_s = now_s + self.rules.exit_shunt_s
            self._extend_pulse(now_s)
        elif self.state not in WINDOW:
            self._shunt_until_s = now_s

    def _extend_pulse(self, now_s: float) -> None:
        if self.energised_since_s is not None:
            limit_s = self.energised_since_s + MAX_ENERGISED_S
            self._pulse_until_s = max(self._pulse_until_s, min(now_s + self.rules.unlocked_s, limit_s))

    def _deadline(self, now_s: float) -> float | None:
        if self.state in PULSING:
            return self._pulse_until_s
        if self.state is S.GRACE:
            grace_s = now_s + self.rules.grace_s
            return grace_s if self.window is I.GRANTED else max(grace_s, self._shunt_until_s)
        if self.state is S.OPEN:
            self._opened_s = now_s
            return None if self.held else now_s + self.rules.prealarm_s
        if self.state is S.PREALARM:
            return self._opened_s + self.rules.held_open_s
        return None


def refusal(state: DoorState) -> str | None:
    """Why a remote order cannot have its own pulse now: ``fire_active``, ``door_open``, ``already_unlocked``, or None."""
    if state in BURNING:
        return "fire_active"
    if state in SEEN_OPEN:
        return "door_open"
    return "already_unlocked" if state in PULSING else None
