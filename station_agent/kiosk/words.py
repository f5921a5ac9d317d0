"""What the screen says of door states, and which picture stands beside a sentence. English sentences are the catalogues' keys."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from firmware_config.vocabulary import DoorMode, DoorState
from station_agent.texts import mark

Tone: TypeAlias = Literal["calm", "good", "warn", "bad"]
Symbol: TypeAlias = Literal[
    "door", "open", "lock", "face", "left", "right", "closer", "people", "light", "still", "no", "fire", "clock", "pass", "pin"
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Saying:
    """A sentence with its picture.

    Attributes:
        short: beside the door's own sign.
        text: in the middle of the screen.
    """

    short: str
    text: str
    tone: Tone
    symbol: Symbol


WELCOME: Final = Saying(
    mark("Locked"), mark("Look at the camera, show your pass, or use your PIN."), "calm", "face"
)
WELCOME_WITHOUT_FACE: Final = Saying(
    mark("Locked"), mark("Show your pass to the camera, or use your PIN."), "calm", "pass"
)
_UNLOCKED: Final = Saying(mark("Unlocked"), mark("The door is unlocked. Please come in."), "good", "open")
_OPEN: Final = Saying(mark("Open"), mark("Please come in, and close the door behind you."), "good", "open")
_CLOSE: Final = Saying(mark("Open too long"), mark("Please close the door."), "warn", "door")
_FIRE: Final = Saying(
    mark("Fire alarm"), mark("Fire alarm! The door is released. Everybody out, nobody in."), "bad", "fire"
)
SILENT: Final = Saying(mark("Unknown"), mark("The door does not answer. Please press Help."), "warn", "no")

LOCKED_DOWN: Final = Saying(
    mark("Entry stopped"),
    mark("Entry is stopped at this door for now. You can always leave from inside."),
    "calm",
    "lock",
)
HELD_OPEN: Final = Saying(mark("Open to all"), mark("Everybody may come in. Touch to open."), "calm", "open")

IN_MODE: Final[dict[DoorMode, Saying]] = {
    DoorMode.LOCK_DOWN: LOCKED_DOWN,
    DoorMode.HOLD_OPEN: HELD_OPEN,
}
"""In place of the welcome: whatever else a door says is said in every mode."""

UNTIL: Final[dict[DoorMode, str]] = {
    DoorMode.LOCK_DOWN: mark(
        "Until %(time)s entry is stopped at this door. You can always leave from inside."
    ),
    DoorMode.HOLD_OPEN: mark("Until %(time)s everybody may come in. Touch to open."),
}
"""The same where the station knows the time. Heard are the sentences without it."""

DOOR: Final[dict[DoorState, Saying]] = {
    DoorState.LOCKED: WELCOME,
    DoorState.UNLOCKED: _UNLOCKED,
    DoorState.EXITING: Saying(
        mark("Unlocked"), mark("Somebody is coming out. Please wait a moment."), "good", "open"
    ),
    DoorState.GRACE: WELCOME,
    DoorState.OPEN: _OPEN,
    DoorState.PREALARM: _CLOSE,
    DoorState.HELD_OPEN: _CLOSE,
    DoorState.FORCED: _CLOSE,
    DoorState.FIRE_CLOSED: _FIRE,
    DoorState.FIRE_OPEN: _FIRE,
    DoorState.FIRE_UNSENSED: _FIRE,
    DoorState.UNSENSED: WELCOME,
    DoorState.UNSENSED_UNLOCKED: _UNLOCKED,
}

HINTS: Final[dict[str, Symbol]] = {
    "several_faces": "people",
    "too_small": "closer",
    "come_closer": "closer",
    "not_frontal": "face",
    "look_straight": "face",
    "turn_left": "left",
    "turn_right": "right",
    "too_dark": "light",
    "too_bright": "light",
    "blurred": "still",
    "face_lost": "face",
}
"""Prompts that say what to do better; every other reason code says no."""

_NO: Final[dict[str, Symbol]] = {"locked_out": "clock", "locked_until_forgiven": "clock", "outside_hours": "clock", "not_yet_opened": "clock", "wait_a_moment": "clock", "locked_down": "lock", "fire_active": "fire"}  # fmt: skip


def symbol_of(code: str) -> Symbol:
    """The picture beside a prompt."""
    return HINTS.get(code) or _NO.get(code, "no")


def tone_of(code: str) -> Tone:
    """How a prompt is meant."""
    return "warn" if code in HINTS else "bad"


SCRIPT: Final[dict[str, str]] = {
    "opened": mark("The door is unlocked. Please come in."),
    "checking": mark("Checking…"),
    "busy": mark("Somebody's PIN is just being checked. Please try again."),
    "wait": mark("Next attempt in {seconds} seconds."),
    "number_short": mark("Your number has four to eight digits."),
    "pin_short": mark("A PIN has six digits."),
    "help_recorded": mark("Your call for help is recorded and on its way to the staff."),
    "help_waiting": mark(
        "Your call for help is recorded. There is no connection just now; it is sent as soon as there is one."
    ),
    "help_failed": mark("Your call for help could not be recorded. Please ring the number below."),
    "lost": mark("The screen has lost the station. The door's exit always works from inside."),
    "voice_on": mark("Voice on"),
    "voice_off": mark("Voice off"),
    "failed": mark("That did not work. Please try again."),
    "progress": mark("{count} of {wanted} pictures"),
    "saving": mark("Saving…"),
    "touch_failed": mark("That did not work. Please try again, or press Help."),
    "pins_differ": mark("The two PINs are not the same. Please type them again."),
}
"""What the page's script says by itself."""
