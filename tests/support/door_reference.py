"""A second opinion on the door: the same rules as intervals of time instead of a table of states."""

from collections.abc import Iterable

from firmware_config.station import DoorRules
from station_agent.core.door import DoorInput

NEVER = float("-inf")


class Reference:
    """What a person with a stopwatch would say. ``told`` lists relay edges and alarms with their times."""

    def __init__(
        self, rules: DoorRules, *, contact_open: bool | None, now_s: float, pulse_s: float | None
    ) -> None:
        self.rules = rules
        self.length_s = min(rules.unlocked_s if pulse_s is None else pulse_s, 10)
        self.open = contact_open
        self.fire = False
        self.now_s = now_s
        self.pulse_from_s = self.pulse_until_s = NEVER
        self.legal_until_s = self.shunt_until_s = NEVER
        self.open_since_s = now_s if contact_open else None
        self.held = False
        self.legally_open = bool(contact_open)
        self.told: list[tuple[float, str]] = []

    def play(self, history: Iterable[tuple[float, DoorInput]], rest_s: float) -> "Reference":
        for gap_s, fact in history:
            self._pass(self.now_s + gap_s)
            getattr(self, fact.value)()
        self._pass(self.now_s + rest_s)
        return self

    def _pass(self, until_s: float) -> None:
        if NEVER < self.pulse_until_s <= until_s:
            self.told.append((self.pulse_until_s, "release_relay"))
            self.pulse_from_s = self.pulse_until_s = NEVER
        held_s = None if self.open_since_s is None else self.open_since_s + self.rules.held_open_s
        if held_s is not None and held_s <= until_s and not self.held:
            self.told.append((held_s, "raise_held_open"))
            self.open_since_s = None
        if self.open is None and self.pulse_until_s == NEVER:
            self._no_window()
        self.now_s = until_s

    def _no_window(self) -> None:
        self.legal_until_s = self.shunt_until_s = NEVER

    def _end_pulse(self) -> None:
        if self.pulse_until_s > NEVER:
            self.told.append((self.now_s, "release_relay"))
            self.pulse_from_s = self.pulse_until_s = NEVER

    def _pulse(self, length_s: float) -> None:
        self.told.append((self.now_s, "energise_relay"))
        self.pulse_from_s, self.pulse_until_s = self.now_s, self.now_s + length_s

    def _legal(self) -> None:
        self.legal_until_s = max(self.pulse_until_s + self.rules.grace_s, self.shunt_until_s)

    def granted(self) -> None:
        if not self.fire and not self.open and self.pulse_until_s == NEVER:
            self._pulse(self.length_s)
            self._legal()

    def exit_requested(self) -> None:
        if self.fire or self.open:
            return
        if self.pulse_until_s == NEVER:
            self._pulse(self.length_s)
        wished_s = min(self.now_s + self.rules.unlocked_s, self.pulse_from_s + 10)
        self.pulse_until_s = max(self.pulse_until_s, wished_s)
        self.shunt_until_s = self.now_s + self.rules.exit_shunt_s
        self._legal()

    def opened(self) -> None:
        if self.open:
            return
        illegal = self.open is False and not self.fire and self.now_s >= self.legal_until_s
        self.open = True
        if not self.fire:
            self._end_pulse()
        if illegal:
            self.told.append((self.now_s, "raise_forced"))
        elif not self.fire:
            self.open_since_s = self.now_s
        self.legally_open = not illegal
        self._no_window()

    def closed(self) -> None:
        self.open = self.legally_open = False
        self.open_since_s = None

    def hold_began(self) -> None:
        self.held = True

    def hold_ended(self) -> None:
        if self.held and self.open and self.legally_open and not self.fire:
            self.open_since_s = self.now_s
        self.held = False

    def fire_set(self) -> None:
        if self.fire:
            return
        self.fire = True
        if self.pulse_until_s == NEVER:
            self.told.append((self.now_s, "energise_relay"))
        self.pulse_from_s = self.pulse_until_s = NEVER
        self.open_since_s = None
        self._no_window()

    def fire_cleared(self) -> None:
        if self.fire:
            self.fire = False
            self.told.append((self.now_s, "release_relay"))
            self.open_since_s = self.now_s if self.open else None
            self.legally_open = bool(self.open)

    def contact_faulted(self) -> None:
        self.open = None
        self.legally_open = False
        self.open_since_s = None
        if self.pulse_until_s == NEVER:
            self._no_window()
