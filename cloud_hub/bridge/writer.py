"""The writer thread: takes batches from the inbox, one transaction each, and acknowledges only what is committed.

Rules
  1. Commit, then PUBACK, then the application's acknowledgement, then the bell (safety.md D1). Nothing before the commit.
  2. A payload that is refused is counted and PUBACKed: it never comes again and never holds up its neighbours.
  3. A message that the database refuses is found by halving the batch, and counted as ``unstorable``.
  4. When the database is away the batch is kept and tried again. Nothing is acknowledged meanwhile, so the broker, and
     then the stations, hold on to theirs.
"""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.bell import WEB, Ringer
from cloud_hub.bridge.hub_clock import HubClock
from cloud_hub.bridge.inbox import Inbox
from cloud_hub.bridge.mqtt import Link
from cloud_hub.commands.signer import OrderSigner
from cloud_hub.ingest.decoding import Arrival, Received, StationKeys, open_arrival, station_of, topic_label
from cloud_hub.ingest.handlers import Batch
from cloud_hub.ingest.memory import Memory
from cloud_hub.ingest.presence import Live, Watch
from cloud_hub.ingest.stored import Receipt, Resend, Stored
from cloud_hub.metrics import Counters
from cloud_hub.models import Station, StationStatus
from cloud_hub.models.station import Presence
from firmware_config import crashpoint
from firmware_config.signing import Refused
from firmware_config.topics import Topic
from firmware_config.wire import Ack, Ask

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5
"""Leases are looked at this often."""

FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 5.0
REBIRTH_EVERY_S: Final = 5.0
ECHO_EVERY_S: Final = 2.0
"""One station is not answered more often, however often it asks."""

ACK_LIMIT: Final = 1_000
"""Numbers of each kind in one acknowledgement, so that it stays below the payload limit."""

RING_LIMIT: Final = 100
"""Topics in one ring."""

CHALLENGE_TAIL: Final = f"/{Topic.CHALLENGE.value.tail}"


T = TypeVar("T")


class _Stopped(Exception):  # noqa: N818 (no error: the bridge is told to end)
    """The bridge ends while the database is away; what was not stored was not acknowledged."""


class Writer:
    """Owns presence and everything that stations report."""

    def __init__(
        self,
        *,
        sessions: sessionmaker[Session],
        inbox: Inbox,
        link: Link,
        keys: StationKeys,
        watch: Watch,
        signer: OrderSigner,
        ringer: Ringer,
        counters: Counters,
        heard: Callable[[set[str]], None],
        rosters: Callable[[dict[str, int | None]], None],
        people_changed: Callable[[], None],
        replicas_came: Callable[[], None],
        clock: HubClock,
    ) -> None:
        """Prepare.

        Args:
            sessions: writing sessions.
            inbox: filled by the network thread.
            link: for acknowledgements and questions.
            keys: of stations; filled here.
            watch: presence; nobody else touches it.
            signer: signs questions and acknowledgements.
            ringer: wakes the pages.
            counters: of this process.
            heard: told which stations gave a sign of life, after the commit.
            rosters: told which rosters stations have, after the commit.
            people_changed: told after the commit that rosters may have changed.
            replicas_came: told after the commit that there are sealed templates to be sent on.
            clock: of this process.
        """
        self._sessions = sessions
        self._inbox = inbox
        self._link = link
        self._keys = keys
        self._watch = watch
        self._memory = Memory(watch)
        self._signer = signer
        self._ringer = ringer
        self._counters = counters
        self._heard = heard
        self._rosters = rosters
        self._people_changed = people_changed
        self._replicas_came = replicas_came
        self._clock = clock
        self._stopping = threading.Event()
        self._reload = threading.Event()
        self._asked_s: dict[str, float] = {}
        self._echoed_s: dict[str, float] = {}
        self._connected_at: datetime | None = None
        self._set_since = timedelta()
        self._greeted: set[str] = set()
        self._connection = 0
        self.storing = True
        self.thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        """Read what the last run left, then write."""
        self._restore()
        self.thread.start()

    def stop(self) -> None:
        """Finish the batch in hand, if the database lets us."""
        self._stopping.set()
        self._inbox.wake()
        if self.thread.is_alive():
            self.thread.join(10)

    def stations_changed(self) -> None:
        """Somebody registered, changed or retired a station."""
        self._reload.set()
        self._inbox.wake()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                arrivals = self._inbox.take(LOOK_S)
                if self._reload.is_set():
                    self._reload.clear()
                    self._memory.forget(self._insist(self._keys.refresh))
                self._watch.connected(self._heard_since())
                self.handle(arrivals)
        except _Stopped:
            log.warning("stopped with messages not stored and not acknowledged")
        except Exception:
            log.exception("writer died")
            raise

    def _heard_since(self) -> datetime | None:
        """When the connection to the broker began, by the wall clock as it is set now."""
        if self._connected_at != (connected_at := self._link.connected_at):
            self._connected_at, self._set_since = connected_at, timedelta()
        return None if connected_at is None else connected_at + self._set_since

    def handle(self, arrivals: Sequence[Arrival]) -> None:
        """Store one batch, however often it takes, and acknowledge it."""
        started_s = time.perf_counter()
        if set_by := self._clock.set_by():
            log.warning("the hub's clock was set", extra={"seconds": set_by.total_seconds()})
            self._memory.boots.clock_was_set(set_by)
            self._watch.clock_was_set(set_by)
            self._set_since += set_by
        self._load_keys(arrivals)
        good = self._open(arrivals)
        stored = self._store_all(good) if good or self._watch.due(self._clock.now()) else []
        crashpoint.here("bridge.batch.committed")
        self._link.acknowledge(arrivals)
        crashpoint.here("bridge.batch.puback")
        for part in stored:
            self._tell(part)
        crashpoint.here("bridge.batch.acknowledged")
        if arrivals:
            self._counters.batch_size.observe(len(arrivals))
            self._counters.batch_s.observe(time.perf_counter() - started_s)

    def _restore(self) -> None:
        with self._sessions() as session:
            query = select(StationStatus).join(Station, Station.id == StationStatus.station_id)
            for status in session.scalars(query.where(Station.retired_at.is_(None))):
                self._watch.restore(
                    Live(
                        station=status.station_id,
                        presence=Presence(status.presence),
                        since=status.presence_since,
                        heartbeat_at=status.heartbeat_at,
                        interval_s=status.interval_s,
                        boot_id=status.boot_id,
                        conn_no=status.conn_no,
                        install_id=status.install_id,
                        lost=status.events_lost if status.storage else None,
                    )
                )

    def _load_keys(self, arrivals: Sequence[Arrival]) -> None:
        named = {station for arrival in arrivals if (station := station_of(arrival)) is not None}
        missing = {station for station in named if self._keys.get(station) is None}
        if missing:
            self._insist(lambda session: self._keys.load(session, missing, now=self._clock.now()))

    def _open(self, arrivals: Sequence[Arrival]) -> list[Received]:
        good: list[Received] = []
        accepted: Counter[str] = Counter()
        for arrival in arrivals:
            if arrival.topic.endswith(CHALLENGE_TAIL):
                continue  # the orders thread has it; here it only waits for its turn to be acknowledged
            try:
                good.append(open_arrival(arrival, self._keys, received_at=self._clock.at(arrival.came_s)))
            except Refused as refusal:
                self._reject(arrival.topic, refusal)
            else:
                accepted[arrival.topic] += 1
        for topic, count in accepted.items():
            self._counters.accepted.labels(topic_label(topic)).inc(count)
        return good

    def _reject(self, topic: str, refusal: Refused) -> None:
        self._counters.rejected.labels(refusal.reason, topic_label(topic)).inc()
        log.info("payload refused", extra={"topic": topic[:120], "reason": str(refusal)[:200]})

    def _store_all(self, good: Sequence[Received]) -> list[Stored]:
        """One transaction, or as many as it takes to leave out what the database refuses."""
        try:
            return [self._insist(lambda session: self._store(session, good))]
        except _Stopped:
            raise
        except Exception:
            if len(good) > 1:
                half = len(good) // 2
                return [*self._store_all(good[:half]), *self._store_all(good[half:])]
            if not good:
                raise
            log.exception("message cannot be stored", extra={"station": good[0].station})
            self._counters.rejected.labels("unstorable", type(good[0].body).__name__.lower()).inc()
            return []

    def _store(self, session: Session, good: Sequence[Received]) -> Stored:
        now = self._clock.now()
        batch = Batch(session, self._memory, now=now)
        batch.take(good)
        batch.turn(self._watch.sweep(now))
        stored = batch.write()
        crashpoint.here("bridge.batch.before_commit")
        return stored

    def _insist(self, work: Callable[[Session], T]) -> T:
        """Run a transaction until the database takes it.

        Raises:
            _Stopped: the bridge ends first.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                with self._sessions.begin() as session:
                    answer = work(session)
            except (OperationalError, InterfaceError, PoolTimeoutError) as error:
                self._memory.drop()
                self._note_failure(error)
            except BaseException:
                self._memory.drop()
                raise
            else:
                self._memory.keep()
                self._note_success()
                return answer
            if self._stopping.wait(random.uniform(pause_s / 2, pause_s)):  # noqa: S311 (no secret)
                raise _Stopped
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _note_failure(self, error: Exception) -> None:
        self._counters.retries.inc()
        if self.storing:
            self.storing = False
            log.error("database lost", extra={"error": str(error).splitlines()[0]})

    def _note_success(self) -> None:
        if not self.storing:
            self.storing = True
            log.info("database back")

    def _tell(self, stored: Stored) -> None:
        """After the commit: the stations, the counters, the orders thread and the pages."""
        for (station, install), receipt in stored.receipts.items():
            for ack in _acks(station, install, receipt):
                self._acknowledge(ack)
        self._greet(stored.heard)
        self._echo(stored.echoes)
        self._ask_for_births(stored.rebirths)
        self._ask_again(stored.resends)
        self._count(stored)
        if stored.heard:
            self._heard(stored.heard)
        if stored.people_changed:
            self._people_changed()
        if stored.rosters:
            self._rosters(stored.rosters)
        if stored.replicas:
            self._replicas_came()
        topics = sorted(stored.topics)
        for start in range(0, len(topics), RING_LIMIT):
            self._ringer.ring(WEB, *topics[start : start + RING_LIMIT])

    def _greet(self, heard: set[str]) -> None:
        """Tell each station once a connection that it is heard: what it sent before is lost, and need not wait its turn."""
        if self._connection != (now := self._link.connections):
            self._connection = now
            self._greeted.clear()
        for station in heard - self._greeted:
            if install := self._watch.get(station).install_id:
                self._acknowledge(Ack(station=station, install_id=install, anew=True))
                self._greeted.add(station)

    def _echo(self, echoes: dict[str, tuple[str, int]]) -> None:
        """Say on both connections that the way there and back is open."""
        now_s = time.monotonic()
        for station, (install, number) in echoes.items():
            if now_s - self._echoed_s.get(station, -ECHO_EVERY_S) >= ECHO_EVERY_S:
                self._echoed_s[station] = now_s
                self._acknowledge(Ack(station=station, install_id=install, echo=number))
                self._ask(Ask(station=station, what="echo", number=number))

    def _ask_again(self, resends: list[Resend]) -> None:
        for missing in resends:
            log.info(
                "events missing",
                extra={"station": missing.station, "first": missing.first, "last": missing.last},
            )
            self._ask(
                Ask(
                    station=missing.station,
                    what="resend",
                    install_id=missing.install_id,
                    first=missing.first,
                    last=missing.last,
                )
            )

    def _acknowledge(self, ack: Ack) -> None:
        self._link.publish(Topic.ACK, ack.station, self._signer.ack(ack))

    def _ask(self, question: Ask) -> None:
        self._link.publish(Topic.REQUEST, question.station, self._signer.ask(question))

    def _ask_for_births(self, stations: set[str]) -> None:
        now_s = time.monotonic()
        for station in stations:
            if now_s - self._asked_s.get(station, -REBIRTH_EVERY_S) >= REBIRTH_EVERY_S:
                self._asked_s[station] = now_s
                self._ask(Ask(station=station, what="rebirth"))

    def _count(self, stored: Stored) -> None:
        counters = self._counters
        counters.stale.inc(stored.stale)
        counters.events.inc(stored.events)
        counters.duplicates.inc(stored.duplicates)
        counters.readings.inc(stored.readings)
        for kind in stored.raised:
            counters.alerts.labels(kind).inc()
        for state in stored.ended:
            counters.orders.labels(state.value).inc()


def _acks(station: str, install: str, receipt: Receipt) -> Iterator[Ack]:
    """A receipt as messages of bounded size."""
    lists = (receipt.events, receipt.readings, receipt.results, receipt.replicas)
    longest = max(len(names) for names in lists)
    for start in range(0, longest, ACK_LIMIT):
        part = slice(start, start + ACK_LIMIT)
        yield Ack(
            station=station,
            install_id=install,
            events=receipt.events[part],
            readings=receipt.readings[part],
            results=receipt.results[part],
            replicas=receipt.replicas[part],
        )
