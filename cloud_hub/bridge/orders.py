"""The orders thread: carries orders to stations, one small transaction per step that must not be forgotten.

Rules
  1. GO leaves only after the commit that holds its AUTHORISED row and audit entry (safety.md C10, D12).
  2. What comes before GO moves nothing, so it is kept in memory and written with the next step, or soon after: an order
     pays for one commit on its way, not for three.
  3. After a restart an order of the last run is never carried on: its time runs out by ``due_at``.
  4. An order of unknown outcome is asked about at each sign of life of its station, at most every ``ASK_EVERY_S``.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.bell import WEB, Ringer
from cloud_hub.bridge.mqtt import Link
from cloud_hub.bridge.worker import Worker
from cloud_hub.commands import orders, proposals
from cloud_hub.commands.orders import Hop, Waiting
from cloud_hub.commands.signer import OrderSigner, SignerRefused
from cloud_hub.ingest.decoding import Arrival, Received, StationKeys, open_arrival, topic_label
from cloud_hub.metrics import Counters
from cloud_hub.models import Command
from cloud_hub.models.command import CommandState as S
from firmware_config import crashpoint
from firmware_config.signing import Refused
from firmware_config.topics import Topic
from firmware_config.wire import Ask, Challenge, Order

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""The table is looked at this often even when no bell rings."""

WRITE_AFTER_S: Final = 0.05
"""Hops that wait for company are written after this long without news."""

ASK_EVERY_S: Final = 5.0
REMEMBERED: Final = 10_000


@dataclass(slots=True)
class Carried:
    """An order on its way, before GO.

    Attributes:
        hops: not yet written.
    """

    order: Order
    requested_at: datetime
    hops: list[Hop] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NobodyListens:
    """The broker says that nobody received a publish."""

    mid: int


@dataclass(frozen=True, slots=True)
class Heard:
    """Stations that gave a sign of life."""

    stations: set[str]


class Look:
    """Look at the table: somebody rang."""


Item: TypeAlias = Arrival | NobodyListens | Heard | Look


class Orders:
    """Owns everything between REQUESTED and GO, and the timers of all orders."""

    def __init__(
        self,
        *,
        sessions: sessionmaker[Session],
        link: Link,
        keys: StationKeys,
        signer: OrderSigner,
        ringer: Ringer,
        counters: Counters,
        clock: Callable[[], datetime],
    ) -> None:
        """Prepare.

        Args:
            sessions: writing sessions.
            link: for publishing.
            keys: of stations, filled by the writer.
            signer: holds the command key.
            ringer: wakes the pages.
            counters: of this process.
            clock: aware UTC now.
        """
        self._sessions = sessions
        self._reading = sessionmaker(
            sessions.kw["bind"].execution_options(read_only=True), expire_on_commit=False
        )
        self._link = link
        self._keys = keys
        self._signer = signer
        self._ringer = ringer
        self._counters = counters
        self._clock = clock
        self._carried: dict[str, Carried] = {}
        self._taken: deque[str] = deque(maxlen=REMEMBERED)
        self._mids: dict[int, str] = {}
        self._unknown: set[str] = set()
        self._asked_s: dict[str, float] = {}
        self._due_at: datetime | None = None
        self._looked_s = 0.0
        self._worker: Worker[Item] = Worker("orders", self._handle, pause_s=self._pause_s)
        self.thread = self._worker.thread

    def start(self) -> None:
        """Take up the timers of the last run, then carry."""
        with self._reading() as session:
            self._unknown = {command.station_id for command in orders.unknown(session)}
        self._worker.start()

    def stop(self) -> None:
        """Carry nothing more."""
        self._worker.stop()

    def look(self) -> None:
        """There may be a new order."""
        self._worker.put(Look())

    def challenge(self, arrival: Arrival) -> None:
        """A message on a challenge topic."""
        self._worker.put(arrival)

    def nobody_listens(self, mid: int) -> None:
        """The broker had no subscriber for a publish."""
        self._worker.put(NobodyListens(mid))

    def heard(self, stations: set[str]) -> None:
        """Some stations gave a sign of life."""
        if waiting := stations & self._unknown:
            self._worker.put(Heard(waiting))

    def _handle(self, item: Item | None) -> None:
        if isinstance(item, Arrival):
            self._challenged(item)
        elif isinstance(item, NobodyListens):
            self._unheard(item.mid)
        elif isinstance(item, Heard):
            self._ask(item.stations)
        elif isinstance(item, Look):
            self._pick_up()
        if item is None:
            self._write_hops()
        now = self._clock()
        # while orders are on their way the next challenge goes before a look that nobody asked for
        patience_s = LOOK_S if item is None else 2 * LOOK_S
        looked_s = time.monotonic() - self._looked_s
        if looked_s >= patience_s or (self._due_at is not None and now >= self._due_at):
            self._pick_up()
            self._expire(now)

    def _pause_s(self) -> float:
        if any(carried.hops for carried in self._carried.values()):
            return WRITE_AFTER_S
        pause_s = LOOK_S - (time.monotonic() - self._looked_s)
        if self._due_at is not None:
            pause_s = min(pause_s, (self._due_at - self._clock()).total_seconds())
        return max(0.001, pause_s)

    def _pick_up(self) -> None:
        now = self._clock()
        with self._reading() as session:
            found = [command for command in orders.waiting(session) if command.id not in self._taken]
        for command in found:
            self._taken.append(command.id)
            self._due_at = min(self._due_at or command.due_at, command.due_at)
            if now >= command.due_at:
                continue  # too late to be carried: the timer ends it
            if (code := command.unreachable(now) or self._send(command, now)) is not None:
                self._refuse(command.id, S.DEVICE_OFFLINE, code)

    def _send(self, command: Waiting, now: datetime) -> str | None:
        """Publish the first step. Returns why it could not be."""
        order = Order(
            station=command.station_id,
            cmd_id=command.id,
            door=command.door_id,
            verb=command.verb,
            pulse_ms=command.pulse_ms,
            duration_s=command.duration_s,
            issued_ms=int(now.timestamp() * 1000),
        )
        mid = self._link.publish(
            Topic.REQUEST, order.station, self._signer.order(order), correlation=order.cmd_id
        )
        if mid is None:
            return "no_broker"
        crashpoint.here("bridge.request.sent")
        self._mids[mid] = command.id
        hop = Hop(S.SENT, now, {})
        self._carried[command.id] = Carried(order, command.requested_at, [hop])
        return None

    def _challenged(self, arrival: Arrival) -> None:
        label = topic_label(arrival.topic)
        try:
            received = open_arrival(arrival, self._keys, received_at=self._clock())
        except Refused as refusal:
            self._counters.rejected.labels(refusal.reason, label).inc()
            log.info("challenge refused", extra={"topic": arrival.topic, "reason": str(refusal)})
            return
        challenge = received.body
        assert isinstance(challenge, Challenge)  # noqa: S101 (the topic decides the type)
        carried = self._carried.get(challenge.cmd_id)
        if carried is None:
            self._counters.rejected.labels("unexpected", label).inc()
            return
        self._counters.accepted.labels(label).inc()
        self._authorise(carried, challenge, received)

    def _authorise(self, carried: Carried, challenge: Challenge, received: Received) -> None:
        order = carried.order
        carried.hops.append(Hop(S.CHALLENGED, received.received_at, {"boot_id": challenge.boot_id}))
        del self._carried[order.cmd_id]
        try:
            go = self._signer.go(order, challenge)
        except SignerRefused as refusal:
            log.error("signer refused", extra={"reason": str(refusal)})  # noqa: TRY400 (a verdict, not a fault of ours)
            self._signer_refused(carried)
            return
        except ValueError:
            self._counters.rejected.labels("mismatch", Topic.CHALLENGE.value.tail).inc()
            self._refuse(order.cmd_id, S.REJECTED, "challenge_mismatch", carried.hops)
            return
        with self._sessions.begin() as session:
            verdict = orders.authorise(session, order.cmd_id, challenge, now=self._clock(), hops=carried.hops)
            crashpoint.here("bridge.authorised.before_commit")
        if verdict is S.AUTHORISED:
            crashpoint.here("bridge.authorised.committed")
            self._link.publish(Topic.GO, order.station, go, correlation=order.cmd_id)
            crashpoint.here("bridge.go.sent")
            self._counters.unlock_s.observe((self._clock() - carried.requested_at).total_seconds())
        elif verdict is not None:
            self._counters.orders.labels(verdict.value).inc()
        self._ringer.ring(WEB, f"command:{order.cmd_id}", f"station:{order.station}")

    def _signer_refused(self, carried: Carried) -> None:
        order = carried.order
        with self._sessions.begin() as session:
            done = orders.signer_refused(session, order.cmd_id, now=self._clock(), hops=carried.hops)
        if done:
            self._counters.orders.labels(S.REJECTED.value).inc()
        self._ringer.ring(WEB, f"command:{order.cmd_id}", f"station:{order.station}", "alerts")

    def _unheard(self, mid: int) -> None:
        command_id = self._mids.get(mid)
        if command_id is not None and (carried := self._carried.pop(command_id, None)) is not None:
            self._refuse(command_id, S.DEVICE_OFFLINE, "no_subscriber", carried.hops)

    def _refuse(self, command_id: str, state: S, code: str, hops: list[Hop] | None = None) -> None:
        with self._sessions.begin() as session:
            done = orders.refuse(session, command_id, state, code=code, now=self._clock(), hops=hops or ())
        if done:
            self._counters.orders.labels(state.value).inc()
            self._ringer.ring(WEB, f"command:{command_id}")

    def _write_hops(self) -> None:
        waiting = {command_id: carried for command_id, carried in self._carried.items() if carried.hops}
        if not waiting:
            return
        with self._sessions.begin() as session:
            for command_id, carried in sorted(waiting.items()):
                orders.progress(session, command_id, carried.hops)
        for command_id, carried in waiting.items():
            carried.hops = []
            self._ringer.ring(WEB, f"command:{command_id}")

    def _expire(self, now: datetime) -> None:
        self._looked_s = time.monotonic()
        with self._reading() as session:
            due_at = orders.next_due(session)
            proposals_over = proposals.any_overdue(session, now=now)
        if proposals_over:
            self._end_proposals(now)
        if due_at is not None and not now < due_at <= now + orders.LONGEST_WAIT:
            self._write_hops()
            with self._sessions.begin() as session:
                moved = orders.expire(session, now=now)
                due_at = orders.next_due(session)
            for command in moved:
                self._moved(command)
        self._due_at = due_at

    def _end_proposals(self, now: datetime) -> None:
        with self._sessions.begin() as session:
            over = proposals.expire(session, now=now)
        stations = {f"station:{proposal.station_id}" for proposal in over}
        self._ringer.ring(WEB, "proposals", *sorted(stations)[:50])

    def _moved(self, command: Command) -> None:
        self._carried.pop(command.id, None)
        if command.final:
            self._counters.orders.labels(command.state).inc()
        elif command.state == S.UNKNOWN:
            self._unknown.add(command.station_id)
        self._ringer.ring(WEB, f"command:{command.id}", f"station:{command.station_id}")

    def _ask(self, stations: set[str]) -> None:
        with self._reading() as session:
            unknown = orders.unknown(session, sorted(stations))
        self._unknown -= stations - {command.station_id for command in unknown}
        now_s = time.monotonic()
        asked = []
        for command in unknown:
            if now_s - self._asked_s.get(command.id, -ASK_EVERY_S) >= ASK_EVERY_S:
                self._asked_s[command.id] = now_s
                ask = Ask(station=command.station_id, what="result", cmd_id=command.id)
                self._link.publish(
                    Topic.REQUEST, command.station_id, self._signer.ask(ask), correlation=command.id
                )
                asked.append(command.id)
        if asked:
            with self._sessions.begin() as session:
                orders.note_asked(session, asked, now=self._clock())
