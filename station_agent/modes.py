"""The modes of doors on the control thread: in force once the disk has them, ended on time, told to the hub.

A mode energises nothing. It changes what the doorkeepers and admission refuse, and whether an open door is warned about.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from firmware_config.vocabulary import DoorMode, EventKind
from firmware_config.wire import Result, Scalar, Verb
from station_agent.clock import Clock
from station_agent.core import modes as core
from station_agent.core.commands import ModeChange
from station_agent.core.door import BURNING
from station_agent.core.modes import Modes, Term, Turn
from station_agent.doorkeeper import Doorkeeper


class Disk(Protocol):
    """Where modes outlive the agent."""

    def change_mode(
        self,
        change: ModeChange,
        term: Term | None,
        now_ms: Callable[[], int],
        on_done: Callable[[Result | None], None],
    ) -> None:
        """Keep mode and answer, both or neither; call back from another thread with the answer that was kept."""

    def keep_modes(self, *, over: Sequence[Term], terms: Sequence[Term]) -> None:
        """Forget the modes that are over, and write what is left of others; returns at once."""


class DoorModes:
    """One for the station. Control thread only."""

    def __init__(
        self,
        kept: Sequence[Term],
        *,
        machine: str,
        keepers: Mapping[str, Doorkeeper],
        disk: Disk,
        clock: Clock,
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        """Go on with what was in force.

        Args:
            kept: when the agent ended.
            machine: names this run of the machine (``clock.machine_run``).
            keepers: the doors; a mode of any other door is dropped.
            disk: outlives the agent.
            clock: for the ends.
            record: keeps an event.
        """
        self._modes = Modes(machine)
        self._machine = machine
        self._keepers = keepers
        self._disk = disk
        self._clock = clock
        self._record = record
        self._terms: dict[str, Term | None] = {}
        self._pass(self._modes.begin([term for term in kept if term.door in keepers], clock.stamp()), [])

    @property
    def deadline_s(self) -> float | None:
        """When ``tick`` is due, on the monotonic clock."""
        due_ms = self._modes.due_mono_ms
        return None if due_ms is None else due_ms / 1000

    def tick(self) -> None:
        """A deadline has passed."""
        self._pass(*self._modes.pass_time(self._clock.stamp()))

    def refusal(self, verb: Verb, door: str) -> str | None:
        """Why the door's mode, or a fire, forbids an order."""
        keeper = self._keepers[door]
        return core.refusal(verb, keeper.mode, burning=keeper.state in BURNING)

    def write(self, change: ModeChange, on_done: Callable[[Result | None], None]) -> None:
        """Have a change written down. Nothing is in force before ``written``."""
        term = core.term_of(change, self._clock.stamp(), self._machine)
        self._terms[change.order.cmd_id] = term
        self._disk.change_mode(change, term, lambda: self._clock.stamp().mono_ms, on_done)

    def written(self, change: ModeChange, *, applied: bool) -> None:
        """The disk has spoken."""
        term = self._terms.pop(change.order.cmd_id)
        if applied:
            self._take(self._modes.changed(change, term), cmd_id=change.order.cmd_id)

    def _pass(self, turns: Sequence[Turn], terms: Sequence[Term]) -> None:
        for turn in turns:
            self._take(turn)
        over = [turn.before for turn in turns if turn.before and not turn.term]
        left = [*(turn.term for turn in turns if turn.term), *terms]
        if over or left:
            self._disk.keep_modes(over=over, terms=left)

    def _take(self, turn: Turn, *, cmd_id: str | None = None) -> None:
        term = turn.term
        mode = term.mode if term else DoorMode.NORMAL
        self._keepers[turn.door].set_mode(mode, until_mono_ms=term.until_mono_ms if term else None)
        data: dict[str, Scalar] = {"door": turn.door, "mode": mode.value, "cause": turn.why}
        if by := cmd_id or (term.cmd_id if term else None):
            data["cmd_id"] = by
        if term:
            data["duration_s"] = -(-term.left_ms // 1000)
        self._record(EventKind.DOOR_MODE_CHANGED, data)
