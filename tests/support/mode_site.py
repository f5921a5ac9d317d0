"""One door's control thread, driven by hand: real judge, keeper, modes, admission and store, over several lives."""

import queue
import threading
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from firmware_config.roster import RosterPerson
from firmware_config.station import StationConfig
from firmware_config.vocabulary import EventKind, Outcome
from firmware_config.wire import TIMED, Challenge, Evidence, Go, Order, Reply, Result, Scalar, Verb
from station_agent import facts
from station_agent.admission import Admission
from station_agent.attempts import Attempts
from station_agent.core.commands import Commands
from station_agent.core.consents import Consents
from station_agent.core.door import DoorInput
from station_agent.core.policy import Entries
from station_agent.doorkeeper import Cause, Doorkeeper
from station_agent.modes import DoorModes
from station_agent.orders import Orders
from station_agent.store.store import Store
from tests.support.hand_clock import HandClock
from tests.support.rosters import roster

STATION = "st-test0001"
UNSYNC = (
    "UPDATE door_mode SET clock = 'unsynced', sum ="
    " row_sum(door, mode, cmd_id, machine, until_mono_ms, until_wall_ms, 'unsynced', left_ms)"
)
ANNA = RosterPerson(id="anna", number="1042", groups=["always"], face=True, consent=1)


class Coil:
    """A relay or a buzzer."""

    def __init__(self) -> None:
        self.energised = False
        self.pulses = 0

    def energise(self) -> None:
        self.energised = True
        self.pulses += 1

    def release(self) -> None:
        self.energised = False

    start, stop, close = energise, release, release


class Counts:
    """No pass is spent here."""

    lost_ms: int | None = None

    def spend(self, *_: object, **__: object) -> None:
        raise AssertionError

    def keep_group_entries(self, entered_ms: Mapping[str, int]) -> None:
        del entered_ms


class Site:
    """One door's control thread, driven by hand; its disk is a real one."""

    def __init__(self, folder: Path, config: StationConfig, clock: HandClock, machine: str) -> None:
        self.clock = clock
        self.inbox: queue.SimpleQueue[facts.Fact] = queue.SimpleQueue()
        self.events: list[tuple[str, Mapping[str, Scalar]]] = []
        self.challenges: list[Challenge] = []
        self.sent: list[Result] = []

        self.refusals: list[str] = []
        self.coil, self.buzz = Coil(), Coil()
        self.store = Store(folder, station=STATION, stamp=clock.stamp())
        self.keeper = Doorkeeper(
            config.doors[0], relay=self.coil, sounder=self.buzz, ledger=self, clock=clock, contact_open=False, fire=False
        )  # fmt: skip
        keepers, fresh = {"main": self.keeper}, count(1)
        self.modes = DoorModes(
            self.store.recall_modes(), machine=machine, keepers=keepers, disk=self.store, clock=clock, record=self.record
        )  # fmt: skip
        self.orders = Orders(
            clock=clock,
            commands=Commands(
                station=STATION, install_id=self.store.install_id, boot_id=clock.boot_id, doors=["main"],
                nonce=lambda: f"{next(fresh):032x}", known=self.store.recall(),
            ),
            keepers=keepers, modes=self.modes, answers=self.store, link=self, put=self.inbox.put, record=self.record,
        )  # fmt: skip
        self.admission = Admission(
            config, clock=clock, keepers=keepers, roster=roster(ANNA), counts=Counts(), entries=Entries(),
            attempts=Attempts({}, clock=clock, keep=lambda _: None, record=self.record),
            consents=Consents(), put=self.inbox.put, record=self.record,
        )  # fmt: skip

    def record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        self.events.append((kind.value, data))

    def passed(self, door: str, cause: Cause) -> None:
        self.events.append(("passed", {"door": door, "via": cause.via}))

    def forced(self, door: str) -> None:
        del door

    def closed(self, door: str) -> None:
        del door

    def order_ended(self, cmd_id: str, outcome: Outcome, evidence: Evidence, code: str | None) -> None:
        self.orders.ended(cmd_id, outcome, evidence, code)

    def send_challenge(self, challenge: Challenge) -> None:
        self.challenges.append(challenge)

    def send_reply(self, reply: Reply) -> None:
        raise AssertionError(reply)

    def send_result(self, result: Result) -> None:
        self.sent.append(result)

    def count_refusal(self, reason: str) -> None:
        self.refusals.append(reason)

    def an_order(self, verb: Verb, cmd: int, **changes: Any) -> Order:
        fields: dict[str, Any] = {
            "pulse_ms": 5000 if verb == "unlock" else 0,
            "duration_s": 600 if verb in TIMED else 0,
            **changes,
        }
        issued_ms = self.clock.stamp().wall_ms
        return Order(
            station=STATION, cmd_id=f"{cmd:032x}", door="main", verb=verb, issued_ms=issued_ms, **fields
        )

    def give(self, verb: Verb, cmd: int = 1, *, slow_s: float = 0, **changes: Any) -> Result:
        """An order, its go, and its first answer."""
        order = self.an_order(verb, cmd, **changes)
        before = len(self.challenges)
        self.orders.arrived(facts.OrderArrived(order))
        if len(self.challenges) > before:
            challenge = self.challenges[-1]
            fields = {name: getattr(order, name) for name in order.__struct_fields__}
            go = Go(**fields, boot_id=challenge.boot_id, nonce=challenge.nonce)
            with self.slow_disk(slow_s):
                self.orders.go(facts.GoArrived(go))
            if self.orders._intended or self.orders._changes:
                self.hear()
        return self.answers(order.cmd_id)[-1]

    def slow_disk(self, seconds: float) -> "SlowDisk":
        return SlowDisk(self, seconds)

    def hear(self) -> None:
        fact = self.inbox.get(timeout=10)
        match fact:
            case facts.IntentCommitted():
                self.orders.committed(fact)
            case facts.ModeWritten():
                self.orders.mode_written(fact)
            case _:
                raise AssertionError(fact)

    def answers(self, cmd_id: str) -> list[Result]:
        assert self.store.barrier(10)
        return [row.result for row in self.store.outbox.results(100) if row.result.cmd_id == cmd_id]

    def later(self, seconds: float) -> None:
        """Let time pass, with every deadline when it is due."""
        until_s = self.clock.monotonic_s() + seconds
        while True:
            dues = [due for due in (self.keeper.deadline_s, self.modes.deadline_s) if due is not None]
            if (due_s := min(dues, default=until_s + 1)) > until_s:
                break
            self.clock.advance(max(0.0, due_s - self.clock.monotonic_s()) + 0.001)
            self.keeper.feed(DoorInput.TIMED_OUT)
            self.modes.tick()
        self.clock.advance(max(0.0, until_s - self.clock.monotonic_s()))

    def touch(self) -> str | None:
        told: list[str | None] = []
        self.admission.open_touched(facts.OpenTouched(door="main", done=told.append))
        return told[0]

    def kinds(self, kind: str) -> list[Mapping[str, Scalar]]:
        return [data for found, data in self.events if found == kind]


class SlowDisk:
    """The writer's thread is busy while a hand moves the clock on."""

    def __init__(self, site: Site, seconds: float) -> None:
        self._site, self._seconds, self._go_on = site, seconds, threading.Event()

    def __enter__(self) -> None:
        if self._seconds:
            self._site.store._safety.submit(lambda _: self._go_on.wait(10))

    def __exit__(self, *_: object) -> None:
        self._site.clock.advance(self._seconds)
        self._go_on.set()


class Life:
    """Runs of one station on one folder and one clock."""

    def __init__(self, folder: Path, config: StationConfig) -> None:
        self.folder, self.config, self.clock, self.machine = folder, config, HandClock(), "m1"
        self.sites: list[Site] = []

    def start(self) -> Site:
        for site in self.sites[-1:]:
            site.store.close()
        self.sites.append(Site(self.folder, self.config, self.clock, self.machine))
        return self.sites[-1]
