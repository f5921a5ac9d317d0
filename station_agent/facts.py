"""Facts: everything the control thread is told. Past tense, immutable, put into one queue by whoever saw it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from firmware_config.passes import Pass
from firmware_config.wire import Go, Order, Result
from station_agent.core.consents import Word
from station_agent.core.entry import Sighting
from station_agent.core.liveness import Look
from station_agent.core.lockout import Locked, Method, Subject
from station_agent.core.passes import PassRefusal
from station_agent.core.pins import PinVerdict
from station_agent.core.policy import Grant, Refusal
from station_agent.core.roster import Roster


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """A debounced door contact moved."""

    door: str
    open: bool


@dataclass(frozen=True, slots=True)
class ContactFaulted:
    """A door contact chatters or is cut: its level means nothing until ``ContactChanged`` comes again."""

    door: str


@dataclass(frozen=True, slots=True)
class ExitPressed:
    """The exit button was pressed; the hardware has already cut lock power."""

    door: str


@dataclass(frozen=True, slots=True)
class FireChanged:
    """The fire panel's contact moved."""

    active: bool


@dataclass(frozen=True, slots=True)
class TamperChanged:
    """The case was opened or closed."""

    open: bool


@dataclass(frozen=True, slots=True)
class MainsChanged:
    """Mains power went or came."""

    present: bool


@dataclass(frozen=True, slots=True)
class FaceSeen:
    """What one frame of a door's camera showed; ``look`` is None where nobody asks about liveness."""

    door: str
    sighting: Sighting
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class PassSeen:
    """A code that looks like a pass was held before a door's camera."""

    door: str
    text: str


@dataclass(frozen=True, slots=True)
class PassSpent:
    """The use of a pass is counted on disk (``verdict`` True), or why it is not; False when the disk refused."""

    door: str
    body: Pass
    grant: Grant
    verdict: PassRefusal | Refusal | bool


@dataclass(frozen=True, slots=True)
class PinAnswer:
    """What the person at the kiosk is told.

    Attributes:
        reason: why the door stays shut; None when it opens.
        wait_s: until the next attempt, when there were too many.
    """

    reason: str | None
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class PinTyped:
    """A number and a PIN were typed at a door's kiosk; ``done`` hears the answer on the control thread and returns at once."""

    door: str
    number: str
    pin: str = field(repr=False)
    done: Callable[[PinAnswer], None]


@dataclass(frozen=True, slots=True)
class PinJudged:
    """What was typed is right or wrong; ``verdict`` is None when the disk refused, so that nothing was judged."""

    typed: PinTyped
    person: str | None
    verdict: PinVerdict | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class PinChosen:
    """A person has set a PIN at the kiosk."""

    person: str


@dataclass(frozen=True, slots=True)
class AttemptBegun:
    """Somebody proves at a door's kiosk who they are; ``done`` hears on the control thread whether it may be judged.

    Attributes:
        person: whom it names; None when it names nobody.
        done: takes the counts that must be on disk before, or why it is not judged; returns at once.
    """

    method: Method
    door: str
    person: str | None
    done: Callable[[Locked | dict[Subject, int]], None]


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """It was judged."""

    method: Method
    door: str
    person: str | None
    good: bool


@dataclass(frozen=True, slots=True)
class FaceProofAsked:
    """A face is to prove at a door's kiosk who somebody is; ``done`` hears why not now, or None, and returns at once."""

    door: str
    done: Callable[[Locked | None], None]


@dataclass(frozen=True, slots=True)
class CaptureFailed:
    """A capture at a door's kiosk ended without a living face."""

    door: str
    reason: str


@dataclass(frozen=True, slots=True)
class FaceConsentSaid:
    """A person agreed to the use of their face at the kiosk, or withdrew; None when all of them was erased."""

    person: str
    word: Word | None


@dataclass(frozen=True, slots=True)
class HelpAsked:
    """Somebody pressed Help at a door's kiosk; ``done`` is called once the event is handed to the store."""

    door: str
    done: Callable[[], None]


@dataclass(frozen=True, slots=True)
class OpenTouched:
    """Somebody touched "open" at a door's kiosk; ``done`` hears on the control thread why not, or None, and returns at once."""

    door: str
    done: Callable[[str | None], None]


@dataclass(frozen=True, slots=True)
class RosterApplied:
    """A newer roster came into force."""

    roster: Roster


@dataclass(frozen=True, slots=True)
class CameraChanged:
    """A camera stopped or resumed delivering frames."""

    camera: str
    present: bool


@dataclass(frozen=True, slots=True)
class SensorRead:
    """A sensor was read; ``value`` is None when it could not be."""

    name: str
    value: float | None


@dataclass(frozen=True, slots=True)
class OrderArrived:
    """A signed order, checked for signature and station, waits for its challenge."""

    order: Order


@dataclass(frozen=True, slots=True)
class GoArrived:
    """The hub answered a challenge; signature and station are checked, the nonce is not yet."""

    go: Go


@dataclass(frozen=True, slots=True)
class OrderRefused:
    """A payload on a command topic was refused before it was an order."""

    reason: str


@dataclass(frozen=True, slots=True)
class ResultAsked:
    """The hub asks again what became of an order."""

    cmd_id: str


@dataclass(frozen=True, slots=True)
class IntentCommitted:
    """The intent to carry out an order is on disk; ``ok`` is False when the disk refused it."""

    cmd_id: str
    ok: bool


@dataclass(frozen=True, slots=True)
class ModeWritten:
    """The disk has spoken on a change of a door's mode: the answer that was kept with it; None when it refused."""

    cmd_id: str
    answer: Result | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A question from outside: call back once every fact before this one has been dealt with."""

    done: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Stopped:
    """The process is asked to end."""


Fact: TypeAlias = (
    ContactChanged
    | ContactFaulted
    | ExitPressed
    | FireChanged
    | TamperChanged
    | MainsChanged
    | FaceSeen
    | PassSeen
    | PassSpent
    | PinTyped
    | PinJudged
    | PinChosen
    | AttemptBegun
    | AttemptEnded
    | FaceProofAsked
    | CaptureFailed
    | FaceConsentSaid
    | HelpAsked
    | OpenTouched
    | RosterApplied
    | CameraChanged
    | SensorRead
    | OrderArrived
    | GoArrived
    | OrderRefused
    | ResultAsked
    | IntentCommitted
    | ModeWritten
    | Settled
    | Stopped
)
