"""A station: the real judge, doors, keeper and intake, on a disk and wires of the model. One process that may die."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.signing import Refused, Signer, Verifier
from firmware_config.station import DoorRules
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind, Outcome
from firmware_config.wire import (
    Ack,
    Ask,
    Birth,
    Challenge,
    Clock,
    Evidence,
    Go,
    Heartbeat,
    OccupancyStatus,
    Order,
    Reply,
    Result,
    Scalar,
    kind_of,
)
from station_agent import facts
from station_agent.clock import Stamp
from station_agent.core.commands import Commands
from station_agent.core.door import DoorInput
from station_agent.doorkeeper import Cause, Doorkeeper
from station_agent.link.client import Raw
from station_agent.link.intake import Intake
from station_agent.link.lanes import resend_s
from station_agent.modes import DoorModes
from station_agent.orders import Orders
from tests.faults.model.broker import Letter
from tests.faults.model.disk import Disk, blank
from tests.faults.model.truth import Coil, Truth

BEAT_MS: Final = 5_000
NOON_MS: Final = 1_760_000_000_000
_NOBODY: Final = OccupancyStatus(estimate=0, low=0, high=0, capacity=1)


class StationClock:
    """CLOCK_BOOTTIME and a wall clock that anybody may move."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._started_ms = -1_000
        self.wall_off_ms = 0
        self.trust: Clock = "synced"
        self.boot_id = ""
        self.machine = "m0"

    def power_cycle(self) -> None:
        """The kernel starts anew."""
        self.machine = f"m{self._truth.now_ms}"
        self._started_ms = self._truth.now_ms - 100

    def monotonic_s(self) -> float:
        return (self._truth.now_ms - self._started_ms) / 1000

    def true_ms(self, mono_s: float) -> int:
        """When the monotonic clock will say this, rounded up."""
        return int(mono_s * 1000) + 1 + self._started_ms

    def stamp(self) -> Stamp:
        now_ms = self._truth.now_ms
        return Stamp(
            boot_id=self.boot_id,
            mono_ms=now_ms - self._started_ms,
            wall_ms=max(0, NOON_MS + now_ms + self.wall_off_ms),
            trust=self.trust,
        )


class TracedKeeper(Doorkeeper):
    """Tells the coil for whom it is energised, so that the truth does not depend on what anybody reports."""

    coil: Coil
    truth: Truth

    def grant(self, cause: Cause, *, pulse_s: float) -> bool:
        self.coil.order = cause.cmd_id
        self.coil.nonce_ms = None if cause.cmd_id is None else self.truth.challenged.get(cause.cmd_id)
        try:
            return super().grant(cause, pulse_s=pulse_s)
        finally:
            self.coil.order = None


class Silent:
    """A buzzer nobody listens to."""

    def start(self) -> None:
        return

    def stop(self) -> None:
        return


class Station:
    """One station. It runs, stands still, or is dead; its disk, coils and doors outlive it."""

    def __init__(
        self,
        truth: Truth,
        name: str,
        *,
        doors: tuple[str, ...],
        verifier: Verifier,
        post: Callable[[Letter], None],
        tally: Counter[str],
        fresh: Callable[[], str],
    ) -> None:
        self.name = name
        self.doors = doors
        self.signer = Signer(Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"s")))
        self.clock = StationClock(truth)
        self._truth = truth
        self.disk = Disk(fresh(), self._applied)
        self.coils = {door: Coil(truth, station=name, door=door) for door in doors}
        self.contacts: dict[str, bool | None] = dict.fromkeys(doors, False)
        self.fire = False
        self.alive = self.line_up = False
        self.frozen = False
        self.refused: Counter[str] = Counter()
        self._verifier = verifier
        self._post = post
        self._tally = tally
        self._fresh = fresh
        self._stuff: deque[Letter | facts.Fact] = deque()
        self._conn_no = 0
        self._shown = 0
        self._beat_ms = 0
        self._flights: dict[str, tuple[int, int]] = {}
        self.boot()
        self.connect()

    @property
    def running(self) -> bool:
        """It can do something now."""
        return self.alive and not self.frozen

    def boot(self, *, power: bool = False) -> None:
        """Start the process, after ``ExecStopPost`` released the relays."""
        if power:
            self.clock.power_cycle()
        self.clock.boot_id = self._fresh()
        self.alive, self.frozen, self._conn_no, self._shown = True, False, 0, 0
        at = self.clock.stamp()
        known = self.disk.open(blank(self.name, self.disk.install_id, at))
        for coil in self.coils.values():
            coil.release()
        self.keepers = {door: self._keeper(door) for door in self.doors}
        self.modes = DoorModes(
            self.disk.recall_modes(),
            machine=self.clock.machine,
            keepers=self.keepers,
            disk=self.disk,
            clock=self.clock,
            record=self.record,
        )
        self.orders = Orders(
            clock=self.clock,
            commands=Commands(
                station=self.name,
                install_id=self.disk.install_id,
                boot_id=self.clock.boot_id,
                doors=self.doors,
                nonce=self._fresh,
                known=known,
            ),
            keepers=self.keepers,
            modes=self.modes,
            answers=self.disk,
            link=self,
            put=self._put,
            record=self.record,
        )
        self._intake = Intake(station=self.name, verifier=self._verifier)
        for keeper in self.keepers.values():
            keeper.begin()

    def crash(self, kept: int) -> None:
        """SIGKILL: memory is gone, the pins stay as they are."""
        self.disk.crash(kept)
        self._stuff.clear()
        self._flights.clear()
        self.alive = self.line_up = False

    def lose_store(self) -> None:
        """The file was damaged: another takes its place. Only while dead."""
        self.disk = Disk(self._fresh(), self._applied)
        self._truth.lost.add(self.name)

    def thaw(self) -> None:
        """SIGCONT: deadlines first, then what came meanwhile."""
        self.frozen = False
        self.work()

    def connect(self) -> None:
        """A new connection: birth, then everything that waits."""
        self.line_up = True
        self._conn_no += 1
        self._flights.clear()
        self.disk.fresh = True
        self._announce()

    def due_ms(self) -> int | None:
        """When something is to be done here next."""
        if not self.running:
            return None
        timed: tuple[DoorModes | Doorkeeper, ...] = (self.modes, *self.keepers.values())
        due = [self.clock.true_ms(item.deadline_s) for item in timed if item.deadline_s is not None]
        if self.line_up:
            due.append(self._beat_ms)
            due += [flight for _, flight in self._flights.values()]
        return min(due, default=None)

    def work(self) -> None:
        """Deadlines, then the queue, one by one; then the heartbeat and the results that wait."""
        if not self.running:
            return
        self._deadlines()
        while self._stuff:
            item = self._stuff.popleft()
            self._read(item) if isinstance(item, Letter) else self._judge(item)
            self._deadlines()
        if self.line_up:
            if self._truth.now_ms >= self._beat_ms:
                self._beat()
            self._send_results()

    def deliver(self, letter: Letter) -> None:
        """The broker hands something over. While standing still, the kernel keeps it."""
        if self.alive:
            self._stuff.append(letter)
            self.work()

    def tell(self, fact: facts.Fact) -> None:
        """Something happened at a door."""
        if self.alive:
            self._stuff.append(fact)
            self.work()

    def flush(self) -> None:
        """The writer's thread comes round."""
        if self.running:
            self.disk.flush()
            self.work()

    def record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        del data
        self._tally[f"event {kind.value}"] += 1

    def passed(self, door: str, cause: Cause) -> None:
        del door, cause

    def forced(self, door: str) -> None:
        del door

    def closed(self, door: str) -> None:
        del door

    def order_ended(self, cmd_id: str, outcome: Outcome, evidence: Evidence, code: str | None) -> None:
        self.orders.ended(cmd_id, outcome, evidence, code)

    def send_challenge(self, challenge: Challenge) -> None:
        # a repeat has the nonce that was first sent, and its age
        made_ms = self._truth.nonces.setdefault(challenge.nonce, self._truth.now_ms)
        self._truth.challenged[challenge.cmd_id] = made_ms
        self._up(Topic.CHALLENGE, challenge)

    def send_result(self, result: Result) -> None:
        self._up(Topic.RESULT, result)

    def send_reply(self, reply: Reply) -> None:
        self._up(Topic.REPLY, reply)

    def _applied(self, cmd_id: str) -> None:
        made_ms = self._truth.challenged.get(cmd_id, -1)
        self._truth.applied.setdefault(cmd_id, []).append((self._truth.now_ms, made_ms))

    def count_refusal(self, reason: str) -> None:
        self.refused[reason] += 1

    def _put(self, fact: facts.Fact) -> None:
        self._stuff.append(fact)

    def _keeper(self, door: str) -> Doorkeeper:
        keeper = TracedKeeper(
            DoorRules(id=door, lock="fail_secure"),
            relay=self.coils[door],
            sounder=Silent(),
            ledger=self,
            clock=self.clock,
            contact_open=self.contacts[door],
            fire=self.fire,
        )
        keeper.coil, keeper.truth = self.coils[door], self._truth
        return keeper

    def _deadlines(self) -> None:
        now_s = self.clock.monotonic_s()
        for keeper in self.keepers.values():
            while keeper.deadline_s is not None and keeper.deadline_s <= now_s:
                keeper.feed(DoorInput.TIMED_OUT)
        if self.modes.deadline_s is not None and self.modes.deadline_s <= now_s:
            self.modes.tick()

    def _read(self, letter: Letter) -> None:
        assert letter.topic is not None
        assert isinstance(letter.payload, bytes)
        raw = Raw(letter.topic.of(letter.station), letter.payload, retain=letter.retain)
        try:
            found = self._intake.judge(raw, self.clock.stamp())
        except Refused as refused:
            self.refused[refused.reason] += 1
            return
        match found:
            case Order():
                self.orders.arrived(facts.OrderArrived(found))
            case Go():
                self.orders.go(facts.GoArrived(found))
            case Ask(what="rebirth"):
                self._announce()
            case Ask(what="result", cmd_id=str(cmd_id)):
                self.orders.asked(facts.ResultAsked(cmd_id))
            case Ack():
                self._acknowledged(found)
            case _:
                pass

    def _judge(self, fact: facts.Fact) -> None:
        match fact:
            case facts.ContactChanged():
                self.keepers[fact.door].contact(is_open=fact.open)
            case facts.ContactFaulted():
                self.keepers[fact.door].contact_faulted()
            case facts.ExitPressed():
                self.keepers[fact.door].exit_pressed()
            case facts.FireChanged():
                for keeper in self.keepers.values():
                    keeper.fire(active=fact.active)
            case facts.IntentCommitted():
                self.orders.committed(fact)
            case facts.ModeWritten():
                self.orders.mode_written(fact)
            case _:
                raise AssertionError(fact)

    def _acknowledged(self, ack: Ack) -> None:
        if ack.install_id == self.disk.install_id:
            for cmd_id in ack.results:
                self.disk.forget(cmd_id, shown=self._shown)
                self._flights.pop(cmd_id, None)

    def _up(self, topic: Topic, body: Challenge | Reply | Result) -> None:
        if self.line_up:
            self._post(Letter(topic, self.name, self.signer.seal(kind_of(body), body)))

    def _send_results(self) -> None:
        now_ms = self._truth.now_ms
        for cmd_id, (seq, result) in list(self.disk.outbox.items()):
            tries, due_ms = self._flights.get(cmd_id, (0, 0))
            if (self.disk.fresh and seq > self._shown) or now_ms >= due_ms:
                self._flights[cmd_id] = (tries + 1, now_ms + int(resend_s(tries + 1) * 1000))
                self._shown = max(self._shown, seq)
                self._post(Letter(Topic.RESULT, self.name, self.signer.seal("order.res", result)))
        self._flights = {
            cmd_id: flight for cmd_id, flight in self._flights.items() if cmd_id in self.disk.outbox
        }
        self.disk.fresh = False

    def _announce(self) -> None:
        if not self.line_up:
            return
        at = self.clock.stamp()
        birth = Birth(
            station=self.name, online=True, boot_id=at.boot_id, conn_no=self._conn_no,
            install_id=self.disk.install_id, mono_ms=at.mono_ms, wall_ms=at.wall_ms, clock=at.trust,
            agent_version="model", time_zone="UTC", doors=[], lock_kinds={}, sensors=[], capacity=1,
            liveness="off", engine="",
        )  # fmt: skip
        self._post(Letter(Topic.BIRTH, self.name, birth))
        self._beat()

    def _beat(self) -> None:
        self._beat_ms = self._truth.now_ms + BEAT_MS
        at = self.clock.stamp()
        beat = Heartbeat(
            station=self.name, boot_id=at.boot_id, conn_no=self._conn_no, install_id=self.disk.install_id,
            mono_ms=at.mono_ms, wall_ms=at.wall_ms, clock=at.trust, interval_s=BEAT_MS / 1000,
            doors=[keeper.status() for keeper in self.keepers.values()],
            occupancy=_NOBODY, backlog=0, backlog_age_s=0.0, cameras={}, rejected={},
        )  # fmt: skip
        self._post(Letter(Topic.HEARTBEAT, self.name, beat))
