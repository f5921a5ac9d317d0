"""What the kiosk may see and ask of the agent. Called from the web server's threads, which may wait; nobody waits for them.

It reads what the control thread has replaced as a whole, and puts facts into its inbox: neither can hold a door up.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from firmware_config.vocabulary import DoorMode, DoorState
from station_agent import facts
from station_agent.clock import Clock
from station_agent.loop import Snapshot

ANSWER_S: Final = 10.0
"""Longest wait for the answer to a PIN. A hash takes half a second on a Pi."""

DISK_S: Final = 3.0
"""Longest wait for a call for help to be on disk."""

MINUTE_MS: Final = 60_000

PROMPT_S: Final = 8.0
"""How long a sentence stays on the screen when nothing new is said."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the person at the door was last told.

    Attributes:
        code: reason code, a key of ``texts.TEXTS``.
        serial: differs between two tellings of the same code.
    """

    code: str
    serial: str


@dataclass(frozen=True, slots=True)
class Scene:
    """The door at this moment.

    Attributes:
        state: None when the agent says nothing of this door.
        connected: the hub can be reached.
        mode: ordered for a time.
        until_ms: when it ends by itself, to the minute, in milliseconds since the Unix epoch; None while the station does
            not know the time.
    """

    state: DoorState | None
    prompt: Prompt | None
    connected: bool
    mode: DoorMode = DoorMode.NORMAL
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Called:
    """A call for help.

    Attributes:
        recorded: it is on disk, and will be sent until the hub has it.
        connected: the hub can be reached now.
    """

    recorded: bool
    connected: bool


class BusyError(Exception):
    """Another attempt is being judged, or the agent does not answer."""


class Prompts(Protocol):
    """``Admission``, as far as a screen shows it."""

    prompts: dict[str, str | None]
    prompted_s: dict[str, float]


class Desk:
    """One kiosk's view of the agent."""

    def __init__(
        self,
        door: str,
        *,
        clock: Clock,
        put: Callable[[facts.Fact], None],
        snapshot: Callable[[], Snapshot],
        prompts: Prompts,
        connected: Callable[[], bool],
        on_disk: Callable[[float], bool],
    ) -> None:
        """Look at one door.

        Args:
            door: its id.
            clock: for the age of prompts.
            put: the control thread's inbox.
            snapshot: the control thread's latest.
            prompts: what people were told.
            connected: the hub can be reached.
            on_disk: waits until every event so far is on disk, for at most so many seconds.
        """
        self.door = door
        self._clock = clock
        self._put = put
        self._snapshot = snapshot
        self._prompts = prompts
        self._connected = connected
        self._on_disk = on_disk
        self._typing = threading.Lock()

    def look(self) -> Scene:
        """The door now."""
        seen = self._snapshot()
        door = next((door for door in seen.doors if door.id == self.door), None)
        if door is None:
            return Scene(None, self._prompt(), self._connected())
        until_ms = self._on_the_wall(seen.modes_end_mono_ms.get(self.door))
        return Scene(door.state, self._prompt(), self._connected(), door.mode, until_ms)

    def _on_the_wall(self, mono_ms: int | None) -> int | None:
        now = self._clock.stamp()
        if mono_ms is None or now.trust != "synced":
            return None
        return round((now.wall_ms + mono_ms - now.mono_ms) / MINUTE_MS) * MINUTE_MS

    def _prompt(self) -> Prompt | None:
        code, at_s = self._prompts.prompts[self.door], self._prompts.prompted_s[self.door]
        if code is None or self._clock.monotonic_s() - at_s > PROMPT_S:
            return None
        return Prompt(code, f"{at_s:.3f}")

    def type_pin(self, number: str, pin: str) -> facts.PinAnswer:
        """Judge what was typed. One at a time: guessing is not made faster by many hands.

        Raises:
            BusyError: another is being judged, or no answer came.
        """
        if not self._typing.acquire(blocking=False):
            raise BusyError
        try:
            answers: queue.SimpleQueue[facts.PinAnswer] = queue.SimpleQueue()
            self._put(facts.PinTyped(door=self.door, number=number, pin=pin, done=answers.put))
            return answers.get(timeout=ANSWER_S)
        except queue.Empty:
            raise BusyError from None
        finally:
            self._typing.release()

    def touch(self) -> str | None:
        """Open a door that is held open by order. Returns why it stays shut; None when it opens.

        Raises:
            BusyError: no answer came.
        """
        answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._put(facts.OpenTouched(door=self.door, done=answers.put))
        try:
            return answers.get(timeout=ANSWER_S)
        except queue.Empty:
            raise BusyError from None

    def pin_chosen(self, person: str) -> None:
        """A person has set a PIN."""
        self._put(facts.PinChosen(person))

    def call_help(self) -> Called:
        """Ask for help; what is answered is what is known."""
        done = threading.Event()
        self._put(facts.HelpAsked(door=self.door, done=done.set))
        recorded = done.wait(DISK_S) and self._on_disk(DISK_S)
        return Called(recorded=recorded, connected=self._connected())
