"""Debounced switches (door contact, exit button, fire, tamper, mains) and the one thread that times them.

Edges come on a thread of the driver's, holding times end on the settler's. Both only take a short lock, ask the pure
``Debounce`` and put a fact into the inbox. A switch's lock is innermost: nothing else is ever locked under it.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

from station_agent.clock import Clock
from station_agent.core.debounce import Debounce, Level
from station_agent.devices.wire import Wire
from station_agent.facts import (
    ContactChanged,
    ContactFaulted,
    ExitPressed,
    Fact,
    FireChanged,
    MainsChanged,
    Stopped,
    TamperChanged,
)

log = logging.getLogger(__name__)

Put: TypeAlias = Callable[[Fact], None]
Telling: TypeAlias = Callable[[Level], Fact | None]
"""What a level means to the agent; None when it means nothing."""


class Switch:
    """A switch whose levels count once they have held.

    Args:
        wire: its wire; the switch owns it.
        hold_s: holding time.
        telling: the fact for each level.
        normal: the level nobody has to be told of at start; None when no level at start is news.
        put: the inbox.
        settler: the thread that ends holding times.
        clock: monotonic time.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        hold_s: float,
        telling: Telling,
        normal: Level | None,
        put: Put,
        settler: "Settler",
        clock: Clock,
    ) -> None:
        self._wire = wire
        self._telling = telling
        self._normal = normal
        self._put = put
        self._settler = settler
        self._clock = clock
        self._lock = threading.Lock()
        self._debounce = Debounce(active=wire.active, hold_s=hold_s, now_s=clock.monotonic_s())
        settler.add(self)

    @property
    def level(self) -> Level:
        """The level that counts."""
        return self._debounce.level

    @property
    def active(self) -> bool | None:
        """The level that counts as a truth value; None while the switch is faulted."""
        level = self.level
        return None if level is Level.FAULTED else level is Level.ACTIVE

    @property
    def deadline_s(self) -> float | None:
        """When ``look`` is due."""
        return self._debounce.deadline_s

    @property
    def holding(self) -> bool:
        """A level is waiting for its holding time to end."""
        with self._lock:  # so that what has settled has also been told
            return self.level is not Level.FAULTED and self.deadline_s is not None

    def start(self) -> None:
        """Watch the wire, and tell how it stands where that is news."""
        with self._lock:
            if self._normal is not None and self.level is not self._normal:
                self._tell(self.level)
        self._wire.watch(self._edge)
        self.look()

    def look(self) -> None:
        """Read the wire: an edge may have been missed, or a holding time may be over."""
        with self._lock:
            self._take(active=self._wire.active, now_s=self._clock.monotonic_s())

    def close(self) -> None:
        """Give up the wire. Safe to call twice."""
        self._wire.close()

    def _edge(self, active: bool, age_s: float) -> None:  # noqa: FBT001 (the driver calls it by position)
        with self._lock:
            self._take(active=active, now_s=self._clock.monotonic_s() - age_s)
        self._settler.wake()

    def _take(self, *, active: bool, now_s: float) -> None:
        for level in self._debounce.take(active=active, now_s=now_s):
            self._tell(level)

    def _tell(self, level: Level) -> None:
        if fact := self._telling(level):
            self._put(fact)


class Settler:
    """One thread that looks at every switch when its holding time is over.

    Args:
        clock: monotonic time.
        put: told ``Stopped`` when the thread cannot go on: with no working contact the agent must end, which releases
            every relay, and be started anew.
    """

    def __init__(self, *, clock: Clock, put: Put) -> None:
        self._clock = clock
        self._put = put
        self._switches: list[Switch] = []
        self._changed = threading.Condition()
        self._woken = True
        self._running = True
        self._thread = threading.Thread(target=self._run, name="settler", daemon=True)

    def add(self, switch: Switch) -> None:
        """Look after one more switch. Before ``start``."""
        self._switches.append(switch)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """A deadline may have moved."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def wait_settled(self, within_s: float) -> bool:
        """Wait until no switch holds an edge back; False when that took longer than ``within_s``."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._woken and not any(switch.holding for switch in self._switches), within_s
            )

    def close(self) -> None:
        """End the thread. Safe to call twice."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._running:
                self._settle()
        except Exception:
            log.exception("settler ended, asking the agent to stop")
            self._put(Stopped())

    def _settle(self) -> None:
        with self._changed:
            self._woken = False
        for switch in self._switches:
            switch.look()
        with self._changed:
            self._changed.notify_all()
            if self._running and not self._woken:
                self._changed.wait(self._wait_s(self._switches))

    def _wait_s(self, switches: Sequence[Switch]) -> float | None:
        deadlines = [switch.deadline_s for switch in switches]
        due_s = min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=None)
        return None if due_s is None else max(0.0, due_s - self._clock.monotonic_s())


def contact(door: str) -> Telling:
    """A door contact: active is open."""
    facts: dict[Level, Fact] = {
        Level.ACTIVE: ContactChanged(door=door, open=True),
        Level.INACTIVE: ContactChanged(door=door, open=False),
        Level.FAULTED: ContactFaulted(door=door),
    }
    return facts.__getitem__


def exit_button(door: str) -> Telling:
    """An exit button: only the press counts, so a button that is stuck or held opens once."""
    return lambda level: ExitPressed(door=door) if level is Level.ACTIVE else None


def fire(level: Level) -> Fact:
    """The fire panel: a wire that cannot be read is a fire, so that nobody is locked in by a broken wire."""
    return FireChanged(active=level is not Level.INACTIVE)


def tamper(level: Level) -> Fact:
    """The case: a switch that cannot be read has been tampered with."""
    return TamperChanged(open=level is not Level.INACTIVE)


def mains(level: Level) -> Fact:
    """Mains power: present only when the signal says so."""
    return MainsChanged(present=level is Level.ACTIVE)
