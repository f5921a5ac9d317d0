"""The control thread: facts and deadlines in, deeds out. It alone touches doors, siren and the order judge.

It never waits for disk, network or camera: those threads put facts into its queue. A deadline comes before the queue,
so that a chattering contact cannot starve the end of a pulse.
"""

import queue
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import structs

from firmware_config.wire import DoorStatus, OccupancyStatus
from station_agent import facts
from station_agent.admission import Admission
from station_agent.clock import Clock
from station_agent.core.door import DoorInput
from station_agent.doorkeeper import Doorkeeper
from station_agent.facts import Fact
from station_agent.modes import DoorModes
from station_agent.orders import Orders
from station_agent.pin_entry import PinEntry
from station_agent.room import Room
from station_agent.visits import Visits

LONGEST_WAIT_S: Final = 1.0
"""The loop wakes at least this often, so that the watchdog can tell a live loop from a dead one."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the heartbeat says of this moment. Replaced as a whole, so any thread may read it.

    Attributes:
        modes_end_mono_ms: by door whose mode is not normal, on CLOCK_BOOTTIME: what is left would change every second.
    """

    doors: list[DoorStatus]
    occupancy: OccupancyStatus
    cameras: dict[str, str]
    modes_end_mono_ms: Mapping[str, int] = field(default_factory=dict)

    def doors_at(self, mono_ms: int) -> list[DoorStatus]:
        """The doors with what is left of their modes: whole seconds, never 0 while a mode is in force."""
        left_ms = {door: until - mono_ms for door, until in self.modes_end_mono_ms.items()}
        return [
            structs.replace(door, mode_left_s=max(1, -(-left_ms[door.id] // 1000)))
            if door.id in left_ms
            else door
            for door in self.doors
        ]


class ControlLoop:
    """Runs until ``facts.Stopped``; then every relay is released, whatever happened."""

    def __init__(
        self,
        *,
        inbox: queue.SimpleQueue[Fact],
        clock: Clock,
        keepers: Mapping[str, Doorkeeper],
        modes: DoorModes,
        orders: Orders,
        visits: Visits,
        admission: Admission,
        pins: PinEntry,
        room: Room,
        alive: Callable[[], None],
        tick: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._inbox = inbox
        self._clock = clock
        self._keepers = keepers
        self._modes = modes
        self._orders = orders
        self._visits = visits
        self._room = room
        self._alive = alive
        self._tick = tick
        self._changed = changed
        self._running = True
        self._dispatch: Final[dict[type[Any], Callable[[Any], None]]] = {
            facts.ContactChanged: lambda fact: keepers[fact.door].contact(is_open=fact.open),
            facts.ContactFaulted: lambda fact: keepers[fact.door].contact_faulted(),
            facts.ExitPressed: lambda fact: keepers[fact.door].exit_pressed(),
            facts.FireChanged: self._fire,
            facts.TamperChanged: room.tamper,
            facts.MainsChanged: room.mains,
            facts.FaceSeen: visits.seen,
            facts.PassSeen: admission.pass_seen,
            facts.PassSpent: admission.pass_spent,
            facts.PinTyped: pins.typed,
            facts.PinJudged: pins.judged,
            facts.PinChosen: pins.chosen,
            facts.AttemptBegun: admission.attempt_begun,
            facts.AttemptEnded: admission.attempt_ended,
            facts.FaceProofAsked: admission.face_proof_asked,
            facts.CaptureFailed: admission.capture_failed,
            facts.FaceConsentSaid: admission.face_consent_said,
            facts.HelpAsked: admission.help_asked,
            facts.OpenTouched: admission.open_touched,
            facts.RosterApplied: admission.roster_applied,
            facts.CameraChanged: room.camera,
            facts.SensorRead: room.sensor,
            facts.OrderArrived: orders.arrived,
            facts.GoArrived: orders.go,
            facts.OrderRefused: orders.refused,
            facts.ResultAsked: orders.asked,
            facts.IntentCommitted: orders.committed,
            facts.ModeWritten: orders.mode_written,
            facts.Settled: lambda fact: fact.done(),
            facts.Stopped: self._stop,
        }
        self.snapshot = self._look()

    def run(self) -> None:
        """Work until stopped."""
        for keeper in self._keepers.values():
            keeper.begin()
        while self._running:
            self._alive()
            self._tick()
            if self._expire():
                continue
            try:
                fact = self._inbox.get(timeout=self._wait_s())
            except queue.Empty:
                continue
            self._dispatch[type(fact)](fact)
            self._show()

    def _expire(self) -> bool:
        """Deal with every deadline that has passed. True when there was one."""
        now_s = self._clock.monotonic_s()
        late = [keeper for keeper in self._keepers.values() if _passed(keeper.deadline_s, now_s)]
        for keeper in late:
            keeper.feed(DoorInput.TIMED_OUT)
        others = (self._room, self._visits, self._modes)
        ticking = [other for other in others if _passed(other.deadline_s, now_s)]
        for other in ticking:
            other.tick()
        if late or ticking:
            self._show()
        return bool(late or ticking)

    def _wait_s(self) -> float:
        keepers = [keeper.deadline_s for keeper in self._keepers.values()]
        deadlines = [self._room.deadline_s, self._visits.deadline_s, self._modes.deadline_s, *keepers]
        now_s = self._clock.monotonic_s()
        waits = [deadline - now_s for deadline in deadlines if deadline is not None]
        return max(0.0, min([LONGEST_WAIT_S, *waits]))

    def _show(self) -> None:
        seen = self._look()
        if seen != self.snapshot:
            self.snapshot = seen
            self._changed()

    def _look(self) -> Snapshot:
        return Snapshot(
            doors=[keeper.status() for keeper in self._keepers.values()],
            occupancy=self._room.occupancy(),
            cameras=self._room.cameras(),
            modes_end_mono_ms={
                keeper.id: keeper.mode_until_mono_ms
                for keeper in self._keepers.values()
                if keeper.mode_until_mono_ms is not None
            },
        )

    def _fire(self, fact: facts.FireChanged) -> None:
        for keeper in self._keepers.values():
            keeper.fire(active=fact.active)
        self._room.fire(fact)

    def _stop(self, _: facts.Stopped) -> None:
        self._running = False


def _passed(deadline_s: float | None, now_s: float) -> bool:
    return deadline_s is not None and deadline_s <= now_s
