"""One door: its core, who it was opened for, and what became of the order that opened it. Control thread only.

The relay (commanded) and the contact (observed) meet here for the first time, as two facts: an order counts as opened
only when the contact said so inside the window of its own pulse (safety.md C11, C13).
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from firmware_config import crashpoint
from firmware_config.station import DoorRules
from firmware_config.vocabulary import DoorMode, DoorState, EventKind, Outcome
from firmware_config.wire import DoorStatus, Evidence, Scalar
from station_agent.clock import Clock
from station_agent.core.door import BURNING, IGNORED, WINDOW, Action, Door, DoorInput
from station_agent.devices.relay import Relay
from station_agent.errors import DeviceError

log = logging.getLogger(__name__)

Via: TypeAlias = Literal["face", "pass", "pin", "held_open", "order", "exit", "forced", "fire", "start"]

STOOD_STILL_S: Final = 1.0
"""Later than this at a door's deadline, the control thread was stopped, or the machine asleep."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a door may be open.

    Attributes:
        via: way of entry or exit; ``held_open``: by a touch at the kiosk, while an administrator lets everybody in.
        person: pseudonymous id, for ``face``, ``pass`` and ``pin``.
        cmd_id: the order, for ``order``.
    """

    via: Via
    person: str | None = None
    cmd_id: str | None = None

    def data(self) -> dict[str, Scalar]:
        """As event data, without what is not known."""
        facts: dict[str, Scalar] = {"via": self.via, "person": self.person, "cmd_id": self.cmd_id}
        return {key: value for key, value in facts.items() if value is not None}


class Sounder(Protocol):
    """Warns the person at the door before the held-open alarm."""

    def start(self) -> None:
        """Begin to sound. Harmless when it sounds already."""

    def stop(self) -> None:
        """Fall silent. Harmless when it is silent already."""


class Ledger(Protocol):
    """What the doorkeeper tells the rest of the control thread."""

    def record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        """Keep an event."""

    def passed(self, door: str, cause: Cause) -> None:
        """Somebody opened the door legally."""

    def order_ended(self, cmd_id: str, outcome: Outcome, evidence: Evidence, code: str | None) -> None:
        """An order's pulse is over and its outcome is known."""

    def forced(self, door: str) -> None:
        """The door opened without a grant."""

    def closed(self, door: str) -> None:
        """The door was closed."""


class Doorkeeper:
    """Turns inputs into the core's actions and the actions into deeds.

    Attributes:
        id: of the door.
        mode: in force; ``station_agent.modes`` sets it.
        mode_until_mono_ms: when it ends by itself, on CLOCK_BOOTTIME.
    """

    def __init__(
        self,
        rules: DoorRules,
        *,
        relay: Relay,
        sounder: Sounder,
        ledger: Ledger,
        clock: Clock,
        contact_open: bool | None,
        fire: bool,
    ) -> None:
        self.id = rules.id
        self.mode = DoorMode.NORMAL
        self.mode_until_mono_ms: int | None = None
        self._rules = rules
        self._relay = relay
        self._sounder = sounder
        self._ledger = ledger
        self._clock = clock
        self._contact_open = contact_open
        self._cause = Cause(via="start")
        self._order: str | None = None
        self._evidence = Evidence()
        self._door = Door(rules, contact_open=contact_open, fire=fire, now_s=clock.monotonic_s())
        self._deeds: Final[dict[Action, Callable[[], None]]] = {
            Action.ENERGISE_RELAY: self._energise,
            Action.RELEASE_RELAY: self._release,
            Action.RECORD_EXIT: self._exit_requested,
            Action.RECORD_OPENED: self._opened,
            Action.RECORD_CLOSED: self._closed,
            Action.RAISE_FORCED: self._forced,
            Action.START_PREALARM: self._prealarm,
            Action.STOP_PREALARM: lambda: self._sound(on=False),
            Action.RAISE_HELD_OPEN: self._held_open,
            Action.RECORD_CONTACT_FAULT: self._contact_fault,
            Action.RECORD_CONTACT_RESTORED: self._contact_restored,
            Action.END_GRANT: self._end_grant,
        }

    @property
    def deadline_s(self) -> float | None:
        """When ``feed(TIMED_OUT)`` is due, on the monotonic clock."""
        return self._door.deadline_s

    @property
    def state(self) -> DoorState:
        """The core's state."""
        return self._door.state

    @property
    def evidence(self) -> Evidence:
        """What was seen of the order in hand, or of the last one."""
        return self._evidence

    def status(self) -> DoorStatus:
        """For the heartbeat."""
        return DoorStatus(
            id=self.id,
            state=self._door.state,
            relay=self._relay.energised,
            contact_open=self._contact_open,
            mode=self.mode,
        )

    def set_mode(self, mode: DoorMode, *, until_mono_ms: int | None) -> None:
        """A mode has begun or ended. The relay stays as it is: a pulse that runs ends by itself."""
        self.mode, self.mode_until_mono_ms = mode, until_mono_ms
        self.feed(DoorInput.HOLD_BEGAN if mode is DoorMode.HOLD_OPEN else DoorInput.HOLD_ENDED)

    def begin(self) -> None:
        """Perform what the start asks for: nothing, unless there is a fire."""
        for action in self._door.first_actions:
            self._deeds[action]()

    def grant(self, cause: Cause, *, pulse_s: float) -> bool:
        """Pulse the relay for ``cause``. False when the door did not change: it is open, unlocked, or locked down."""
        before = self._door.state
        if self.mode is DoorMode.LOCK_DOWN:
            return False  # who comes here was refused before; the last gate asks nobody
        if (before, DoorInput.GRANTED) in IGNORED:
            return False
        if before is DoorState.GRACE:
            self._settle_order()
        if cause.cmd_id:
            self._order = cause.cmd_id
            self._evidence = Evidence(contact_before=self._contact_open)
        self._cause = cause
        self.feed(DoorInput.GRANTED, pulse_s=pulse_s)
        return True

    def contact(self, *, is_open: bool) -> None:
        """The contact moved."""
        self._contact_open = is_open
        self.feed(DoorInput.OPENED if is_open else DoorInput.CLOSED)

    def contact_faulted(self) -> None:
        """The contact can no longer be trusted."""
        self._contact_open = None
        self.feed(DoorInput.CONTACT_FAULTED)

    def exit_pressed(self) -> None:
        """Somebody inside wants out."""
        if self._door.state is DoorState.GRACE:
            self._settle_order()  # from here on an opening is theirs
        self.feed(DoorInput.EXIT_REQUESTED)

    def fire(self, *, active: bool) -> None:
        """The fire input moved."""
        if active:
            self._cause = Cause(via="fire")
        self.feed(DoorInput.FIRE_SET if active else DoorInput.FIRE_CLEARED)

    def feed(self, what: DoorInput, *, pulse_s: float | None = None) -> None:
        """One step of the core, and its actions in order."""
        late = what is DoorInput.TIMED_OUT and self._stood_still()
        actions = self._door.step(what, now_s=self._clock.monotonic_s(), pulse_s=pulse_s)
        for action in actions:
            self._deeds[action]()
        if late or self._door.state not in WINDOW or Action.END_GRANT in actions:
            self._settle_order(late=late)

    def _stood_still(self) -> bool:
        """A deadline was missed by so much that nobody watched the door meanwhile."""
        deadline_s = self._door.deadline_s
        return deadline_s is not None and self._clock.monotonic_s() - deadline_s > STOOD_STILL_S

    def _settle_order(self, *, late: bool = False) -> None:
        """Its window is over: say what became of the order, if there is one.

        Args:
            late: the process stood still when its window ended. The board's one-shot has locked the door long ago, and
                an opening that is told only now may be somebody's in the window, or somebody's force after it.
        """
        if self._order is None:
            return
        cmd_id, self._order = self._order, None
        code = None
        if self._evidence.relay_readback is False:
            outcome = Outcome.ACTUATOR_FAULT
        elif self._evidence.opened_mono_ms is not None:
            outcome = Outcome.OPENED
        elif late:
            outcome, code = Outcome.INTERRUPTED, "stood_still"
        elif self._door.state is DoorState.UNSENSED:
            outcome, code = Outcome.INTERRUPTED, "contact_fault"
        elif self._door.state in BURNING:
            outcome, code = Outcome.INTERRUPTED, "fire"
        else:
            outcome = Outcome.PULSED_NOT_OPENED
        self._ledger.order_ended(cmd_id, outcome, self._evidence, code)

    def _mono_ms(self) -> int:
        return self._clock.stamp().mono_ms

    def _energise(self) -> None:
        at = self._mono_ms()
        try:
            self._relay.energise()
            crashpoint.here("agent.pulse.energised")
            held = self._relay.energised
        except DeviceError:
            held = False
        if self._order is not None and self._evidence.energised_mono_ms is None:
            self._evidence = msgspec.structs.replace(
                self._evidence, energised_mono_ms=at, relay_readback=held
            )
        if not held:
            self._ledger.record(EventKind.DOOR_RELAY_FAULT, {"door": self.id, "wanted": "energised"})

    def _release(self) -> None:
        try:
            self._relay.release()
            crashpoint.here("agent.pulse.released")
        except DeviceError:
            self._ledger.record(EventKind.DOOR_RELAY_FAULT, {"door": self.id, "wanted": "released"})
        if self._order is not None:
            self._evidence = msgspec.structs.replace(self._evidence, released_mono_ms=self._mono_ms())

    def _exit_requested(self) -> None:
        self._cause = Cause(via="exit")
        self._ledger.record(EventKind.EXIT_REQUESTED, {"door": self.id})

    def _end_grant(self) -> None:
        self._cause = Cause(via="exit")

    def _opened(self) -> None:
        if self._order is not None:
            self._evidence = msgspec.structs.replace(self._evidence, opened_mono_ms=self._mono_ms())
        self._ledger.record(EventKind.DOOR_OPENED, {"door": self.id, **self._cause.data()})
        if self._cause.via in {"face", "pass", "pin", "held_open", "order", "exit"}:
            self._ledger.passed(self.id, self._cause)

    def _closed(self) -> None:
        self._ledger.record(EventKind.DOOR_CLOSED, {"door": self.id})
        self._ledger.closed(self.id)

    def _forced(self) -> None:
        self._cause = Cause(via="forced")
        self._ledger.record(EventKind.DOOR_FORCED, {"door": self.id})
        self._ledger.forced(self.id)

    def _sound(self, *, on: bool) -> None:
        try:
            self._sounder.start() if on else self._sounder.stop()
        except DeviceError:
            # A dead buzzer must not take the door with it; the hub hears of the open door all the same.
            log.exception("buzzer_failed", extra={"door": self.id})

    def _prealarm(self) -> None:
        self._sound(on=True)
        self._ledger.record(EventKind.DOOR_PREALARM, {"door": self.id, **self._cause.data()})

    def _held_open(self) -> None:
        self._ledger.record(EventKind.DOOR_HELD_OPEN, {"door": self.id, **self._cause.data()})

    def _contact_fault(self) -> None:
        self._ledger.record(EventKind.DOOR_CONTACT_FAULT, {"door": self.id})

    def _contact_restored(self) -> None:
        self._ledger.record(EventKind.DOOR_CONTACT_RESTORED, {"door": self.id})
