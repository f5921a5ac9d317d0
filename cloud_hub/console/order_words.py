"""Words for orders: what was ordered, how far it came, where it died, and what to do now.

An order that changes a door's mode has words of its own: it never opened anything, so it never "may have opened".
"""

from typing import Final

from cloud_hub.commands.story import HUB_CODES
from cloud_hub.i18n import gettext, mark
from cloud_hub.models import Command
from cloud_hub.models.command import CommandState
from firmware_config.vocabulary import DoorMode

STATES: Final[dict[str, str]] = {
    CommandState.REQUESTED: mark("Requested"),
    CommandState.SENT: mark("Sent to the station"),
    CommandState.CHALLENGED: mark("The station answered"),
    CommandState.AUTHORISED: mark("Authorised"),
    CommandState.PULSING: mark("Unlocking"),
    CommandState.UNKNOWN: mark("May be open: check the camera or the contact"),
    CommandState.DEVICE_OFFLINE: mark("Station offline, not unlocked"),
    CommandState.NO_CHALLENGE: mark("No answer, not unlocked"),
    CommandState.REJECTED: mark("Refused by the station"),
    CommandState.EXPIRED: mark("Too late, not unlocked"),
    CommandState.OPENED: mark("Door opened"),
    CommandState.PULSED_NOT_OPENED: mark("Unlocked, but nobody opened"),
    CommandState.APPLIED: mark("In force at the door"),
    CommandState.ACTUATOR_FAULT: mark("Lock fault"),
    CommandState.INTERRUPTED: mark("Interrupted: it may have opened"),
    CommandState.UNKNOWN_FINAL: mark("Nobody can know: it may have opened"),
}

HINTS: Final[dict[str, str]] = {
    CommandState.REQUESTED: mark("The hub has taken the order."),
    CommandState.SENT: mark("Waiting for the station's answer."),
    CommandState.CHALLENGED: mark("The hub checks the right to open once more."),
    CommandState.AUTHORISED: mark("The station may open now."),
    CommandState.PULSING: mark("The lock is released. Waiting for the door contact."),
    CommandState.UNKNOWN: mark(
        "The order went out and no answer came back. It becomes clear when the station is heard again."
    ),
    CommandState.DEVICE_OFFLINE: mark("The order never left the hub."),
    CommandState.NO_CHALLENGE: mark("The station did not answer in time, so it was never allowed to open."),
    CommandState.REJECTED: mark("The lock was not released."),
    CommandState.EXPIRED: mark("The order took too long on its way; the station did not act on it."),
    CommandState.OPENED: mark("The door contact confirmed it."),
    CommandState.PULSED_NOT_OPENED: mark(
        "The lock was released and locked again; the contact stayed closed."
    ),
    CommandState.APPLIED: mark("The station has written it down and acts by it."),
    CommandState.ACTUATOR_FAULT: mark("The relay did not follow its command. Send somebody."),
    CommandState.INTERRUPTED: mark("The station stopped in the middle. Check the camera or the contact."),
    CommandState.UNKNOWN_FINAL: mark("The station lost its records. Check the camera or the contact."),
}

TONES: Final[dict[str, str]] = {
    CommandState.APPLIED: "good",
    CommandState.OPENED: "good",
    CommandState.PULSED_NOT_OPENED: "warn",
    CommandState.DEVICE_OFFLINE: "bad",
    CommandState.NO_CHALLENGE: "bad",
    CommandState.REJECTED: "bad",
    CommandState.EXPIRED: "bad",
    CommandState.ACTUATOR_FAULT: "bad",
    CommandState.INTERRUPTED: "warn",
    CommandState.UNKNOWN: "warn",
    CommandState.UNKNOWN_FINAL: "warn",
}
"""Colour; every other state is still under way. Colour never carries meaning alone."""

BY_HUB: Final = mark("Refused by the hub")
"""Of an order that the hub did not authorise, so that no go was ever sent."""

MODE_STATES: Final[dict[str, str]] = {
    CommandState.UNKNOWN: mark("May be in force: look at the door's mode"),
    CommandState.DEVICE_OFFLINE: mark("Station offline, nothing changed"),
    CommandState.NO_CHALLENGE: mark("No answer, nothing changed"),
    CommandState.EXPIRED: mark("Too late, nothing changed"),
    CommandState.INTERRUPTED: mark("Interrupted: it may be in force"),
    CommandState.UNKNOWN_FINAL: mark("Nobody can know: it may be in force"),
}
"""Where they differ from an unlock's."""

MODE_HINTS: Final[dict[str, str]] = {
    CommandState.CHALLENGED: mark("The hub checks the right to order once more."),
    CommandState.AUTHORISED: mark("The station may act now. Waiting for its word."),
    CommandState.NO_CHALLENGE: mark("The station did not answer in time, so it was never allowed to act."),
    CommandState.REJECTED: mark("The door's mode is as before."),
    CommandState.INTERRUPTED: mark("The station stopped in the middle. Look at the door's mode."),
    CommandState.UNKNOWN_FINAL: mark("The station lost its records. Look at the door's mode."),
}

VERBS: Final[dict[str, str]] = {
    "unlock": mark("Unlock"),
    "hold_open": mark("Hold open"),
    "end_hold_open": mark("End hold-open"),
    "lock_down": mark("Lock down"),
    "end_lock_down": mark("End lock-down"),
}

MEANINGS: Final[dict[str, str]] = {
    "unlock": mark("The lock is released once, for a few seconds."),
    "hold_open": mark(
        "Until it ends, anybody gets in by one touch at the kiosk, and a door left open raises no alarm."
    ),
    "end_hold_open": mark("From now on only people on the roster get in, as always."),
    "lock_down": mark(
        "Until it ends nobody gets in: no face, no pass, no PIN, no remote unlock. Leaving stays possible at all times."
    ),
    "end_lock_down": mark("From now on people on the roster get in again, as always."),
}

MODES: Final[dict[str, str]] = {
    DoorMode.NORMAL: mark("normal"),
    DoorMode.HOLD_OPEN: mark("Held open by order"),
    DoorMode.LOCK_DOWN: mark("Locked down"),
}

PROPOSAL_STATES: Final[dict[str, str]] = {
    "pending": mark("Waits for a second person"),
    "approved": mark("Approved"),
    "declined": mark("Declined"),
    "expired": mark("Nobody decided in ten minutes"),
}

PROPOSAL_TONES: Final[dict[str, str]] = {
    "pending": "warn",
    "approved": "good",
    "declined": "bad",
    "expired": "bad",
}

HOPS: Final[dict[str, str]] = {
    "PROPOSED": mark("Proposed"),
    "APPROVED": mark("Approved by a second person"),
    "ASKED": mark("The station was asked again"),
    "CONTRADICTED": mark("The station said something else later"),
    CommandState.REQUESTED: mark("Click taken, written down"),
    CommandState.SENT: mark("Request sent to the station"),
    CommandState.CHALLENGED: mark("The station answered with its challenge"),
    CommandState.AUTHORISED: mark("Rights checked again, go sent"),
    CommandState.PULSING: mark("Relay energised, lock released"),
}
"""Of a hop that happened; a verdict has the words of its state."""

MISSING: Final[dict[str, str]] = {
    CommandState.SENT: mark("Missing: the request to the station"),
    CommandState.CHALLENGED: mark("Missing: the station's answer"),
    CommandState.AUTHORISED: mark("Missing: the hub's go"),
    CommandState.PULSING: mark("Missing: the station's word after the go"),
    CommandState.APPLIED: mark("Missing: the station's word after the go"),
    CommandState.OPENED: mark("Missing: how the pulse ended"),
}

DEATHS: Final[dict[str, str]] = {
    "offline": mark("The hub knew that the station is offline, so nothing was sent."),
    "unknown": mark("The hub has not heard of the station since it started, so nothing was sent."),
    "heartbeat_old": mark("The station's last sign of life was older than 15 seconds, so nothing was sent."),
    "heartbeat_missed": mark("The station never answered, and it has missed its signs of life."),
    "no_subscriber": mark("The broker had no such listener: the station was not connected."),
    "no_broker": mark("The hub itself has no connection to the broker."),
    "silent": mark("The station is connected but never answered within three seconds."),
    "not_carried": mark("The hub's bridge did not carry the order. It may not have been running."),
    "no_word_after_go": mark("The go went out and the station's word never came."),
    "no_word_after_pulsing": mark("The station released the lock; how that ended it has not said."),
    "store_lost": mark("The station came back with empty records, so it cannot tell any more."),
    "refused_by_station": mark("The station refused."),
    "refused_by_hub": mark("The hub refused before the go, so the station was never allowed to act."),
    "expired": mark("It came too late to the station, or its records were too slow."),
    "interrupted": mark("The station stopped between writing the order down and finishing it."),
    "relay": mark("The relay did not follow its command."),
}
"""Where it died."""

_SEND: Final = mark("Check the station's power and network, or send somebody. Then order again.")
_LOOK: Final = mark(
    "Look at the camera or the contact before anything else. Order again only if the door is closed."
)

ADVICE: Final[dict[str, str]] = {
    "offline": _SEND,
    "unknown": _SEND,
    "heartbeat_old": _SEND,
    "heartbeat_missed": _SEND,
    "no_subscriber": _SEND,
    "no_broker": mark("Have the hub's broker and bridge looked at: no station can be ordered now."),
    "silent": mark("Order again once. If it stays silent, treat the station as offline and send somebody."),
    "not_carried": mark("Have the hub's bridge looked at: no station can be ordered now."),
    "no_word_after_go": _LOOK,
    "no_word_after_pulsing": _LOOK,
    "store_lost": _LOOK,
    "interrupted": _LOOK,
    "refused_by_station": mark("Read the reason above. Order again when it no longer holds."),
    "refused_by_hub": mark("Read the reason above. Nothing happened at the door."),
    "expired": mark("Nothing happened at the door. Order again."),
    "relay": mark("Do not order again. Send somebody to the lock."),
}
"""What to do now."""

_LOOK_AT_MODE: Final = mark(
    "The next sign of life of the station shows the door's mode. If it is not what you want, order again."
)

MODE_ADVICE: Final[dict[str, str]] = dict.fromkeys(
    ("no_word_after_go", "no_word_after_pulsing", "store_lost", "interrupted"), _LOOK_AT_MODE
)

WRONGFUL_DENIAL: Final = mark("Wrongful denial: somebody who may enter is shut out")
"""Reason of the unlock that an alert offers by one tap."""

REASONS: Final = (
    mark("A worker is at the door and cannot get in"),
    mark("Somebody inside needs help"),
    mark("Cleaning or repair"),
    mark("Delivery of supplies"),
)
"""Offered in the unlock form; any other text may be typed."""

_EVENT: Final = (
    mark("An event, many people at once"),
    mark("Delivery of supplies"),
    mark("Cleaning or repair"),
    mark("A heat wave or storm: open to everybody"),
)
_DANGER: Final = (
    mark("Danger outside"),
    mark("A fault at the lock or the station"),
    mark("Police or fire brigade asked for it"),
    mark("Closed for works"),
)
_OVER: Final = (
    mark("The reason for it is over"),
    mark("It was ordered by mistake"),
)

ACT_REASONS: Final[dict[str, tuple[str, ...]]] = {
    "unlock": REASONS,
    "hold_open": _EVENT,
    "end_hold_open": _OVER,
    "lock_down": _DANGER,
    "end_lock_down": _OVER,
}


def state(command: Command) -> str:
    """The words for how far an order came."""
    if command.state == CommandState.REJECTED and command.boot_id is None and command.code in HUB_CODES:
        return gettext(BY_HUB)
    return _by_verb(command, command.state, MODE_STATES, STATES)


def hint(command: Command) -> str:
    """What that means."""
    return _by_verb(command, command.state, MODE_HINTS, HINTS)


def hop(command: Command, key: str) -> str:
    """The words for one hop of its story."""
    if key in HOPS:
        return gettext(HOPS[key])
    if key == command.state:
        return state(command)
    return _by_verb(command, key, MODE_STATES, STATES)


def advice(command: Command, death: str) -> str:
    """What to do now."""
    return _by_verb(command, death, MODE_ADVICE, ADVICE)


def tone(state: str) -> str:
    """Colour of a state; one still under way is active."""
    return TONES.get(state, "active")


def _by_verb(command: Command, key: str, of_modes: dict[str, str], of_unlocks: dict[str, str]) -> str:
    text = of_modes.get(key) if command.verb != "unlock" else None
    text = text or of_unlocks.get(key)
    return gettext(text) if text is not None else key
