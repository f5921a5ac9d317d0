"""Events and results until the hub itself says it has them (safety.md D1, D2, C12). Lives in ``safety.db``.

(station, install_id, seq) names an event for ever. ``seq`` is given in memory when the event happens and never again:
the highest one ever stored is kept in a counter row, so deleting rows does not free their numbers. A number above it is
still in memory, or lost with an end of the process; below it, what has no row is gone for good.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from firmware_config import crashpoint
from firmware_config.vocabulary import EventKind, Lane, lane_of
from firmware_config.wire import BATCH_LIMIT, Ack, Event, Result, Scalar, Span
from station_agent.clock import Stamp
from station_agent.store import event_rows, result_rows
from station_agent.store.answered import remember
from station_agent.store.feed import Feed
from station_agent.store.result_rows import Pending
from station_agent.store.writer import Job, Writer

_LOG = logging.getLogger(__name__)

WAITING_LIMIT: Final = 10_000
"""Events held in memory while the disk refuses."""

SHARES: Final = {Lane.ALARM: 1.0, Lane.ACCESS: 0.8, Lane.AUDIT: 0.6}
"""Of that memory: what is less urgent leaves room for what is more."""

GONE_LIMIT: Final = 5 * BATCH_LIMIT
"""Spans to tell; a hub that asks for more asks again."""

ROW_LIMIT: Final = 200_000
"""Events that wait on disk, about 60 MB: two weeks at ten a minute. Then the oldest of the least urgent lane go."""

DATA_LIMIT: Final = 2_048
"""Bytes of one event's data, so that a full batch can always be cut to fit one message."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Rows that wait for the hub.

    Attributes:
        rows: events and results.
        oldest: when the oldest event happened; None when none waits.
    """

    rows: int
    oldest: Stamp | None

    def age_s(self, now: Stamp) -> float:
        """Age of the oldest event, by the monotonic clock where it can be."""
        if self.oldest is None:
            return 0.0
        if self.oldest.boot_id == now.boot_id:
            return (now.mono_ms - self.oldest.mono_ms) / 1000
        return max(0, now.wall_ms - self.oldest.wall_ms) / 1000


@dataclass(frozen=True, slots=True)
class _Answer:
    result: Result
    digest: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What is on disk, as of the last commit.

    Attributes:
        rows: events and results that wait.
        oldest: when the oldest waiting event happened.
        seq: the newest event ever stored.
        kept_from: the oldest event that is there, waiting or not; 0 without one.
        lost: events that are gone without having been acknowledged, since the file was made.
    """

    rows: int
    oldest: Stamp | None
    seq: int
    kept_from: int
    lost: int


@dataclass(frozen=True, slots=True)
class _Kept:
    tally: Tally
    given_up: list[event_rows.GivenUp]
    told: int


class Outbox:
    """The safety lane. Puts never wait; reads and acknowledgements go through the writer too."""

    def __init__(
        self,
        writer: Writer,
        *,
        install_id: str,
        on_rows: Callable[[], None],
        on_bad: Callable[[int], None],
        on_lost: Callable[[Lane, int, int, int], None],
        row_limit: int = ROW_LIMIT,
    ) -> None:
        self._writer = writer
        self._install_id = install_id
        self._on_rows = on_rows
        self._on_bad = on_bad
        self._on_lost = on_lost
        self._row_limit = row_limit
        self._untold = 0
        self._lock = threading.Lock()
        self._tally = writer.call(_begin)
        self._seq = self._tally.seq
        self._shown = 0
        self._gone: list[Span] = []
        self._again = 0
        self._unpruned = 0
        self._stamp: Stamp | None = None
        self._feed = Feed(writer, self._keep, self._store_done, limit=WAITING_LIMIT)
        self.foreign_acks = 0

    @property
    def lost(self) -> int:
        """Events that will never be sent, since the file was made. Their numbers stay as gaps."""
        with self._lock:
            return self._tally.lost + self._untold

    @property
    def refused(self) -> bool:
        """The disk refused the last time something was to be kept."""
        return self._feed.failing

    @property
    def tally(self) -> Tally:
        """What is on disk. Never touches it."""
        with self._lock:
            return self._tally

    def put_event(self, kind: EventKind, data: Mapping[str, Scalar], stamp: Stamp) -> None:
        """Keep one event. Returns at once."""
        kept = dict(data)
        if (size := len(msgspec.json.encode(kept))) > DATA_LIMIT:
            _LOG.error("event_data_too_large", extra={"kind": kind.value, "bytes": size})
            kept = {"too_large_bytes": size}
        lane = lane_of(kind)
        with self._lock:
            self._seq += 1
            self._stamp = stamp
            event = Event(
                seq=self._seq,
                kind=kind,
                boot_id=stamp.boot_id,
                mono_ms=stamp.mono_ms,
                wall_ms=stamp.wall_ms,
                clock=stamp.trust,
                data=kept,
            )
            kept_in_memory = self._feed.put(event, share=SHARES[lane])
            self._untold += not kept_in_memory
        if not kept_in_memory:
            self._on_lost(lane, 1, event.seq, event.seq)

    def put_result(self, result: Result, *, digest: str = "") -> None:
        """Keep a result and send it. Returns at once.

        The first final result of a ``cmd_id`` stays; putting another, or the same again, sends the first once more.

        Args:
            result: final, or a first word that the final one replaces.
            digest: of the order's body, when no intent was committed for it.
        """
        self._feed.put(_Answer(result, digest))

    def put_effect(
        self,
        effect: Callable[[sqlite3.Connection], Result],
        *,
        digest: str,
        on_done: Callable[[Result | None], None],
    ) -> None:
        """Run a job and keep the final result it returns, both or neither. Returns at once.

        Args:
            effect: a job (``Writer``); the result is of an order that has none yet.
            digest: of the order's body.
            on_done: hears the result from the writer's thread once it is on disk; None when the disk refused.
        """
        try:
            future = self._writer.submit(partial(_take_effect, effect=effect, digest=digest))
        except RuntimeError:
            on_done(None)
            return
        future.add_done_callback(partial(self._taken, on_done=on_done))

    def _taken(
        self, future: Future[tuple[Result, Tally]], *, on_done: Callable[[Result | None], None]
    ) -> None:
        if (error := future.exception()) is not None:
            _LOG.error("store_refused_effect", extra={"error": repr(error)})
            on_done(None)
            return
        result, tally = future.result()
        self._kept(tally)
        on_done(result)

    def barrier(self, timeout_s: float) -> bool:
        """Wait until everything put before is committed; False when it is not in time."""
        return self._feed.barrier(timeout_s)

    def events(self, lane: Lane, limit: int, *, after: int = 0) -> list[Event]:
        """Waiting events of a lane in order, ``after`` exclusive."""
        return self._read(lambda connection: event_rows.waiting(connection, lane, limit, after))

    def events_of(self, seqs: Sequence[int]) -> list[Event]:
        """Those of these that still wait, in order."""
        return self._read(lambda connection: event_rows.waiting_in(connection, seqs))

    def results(self, limit: int, *, after: int = 0) -> list[Pending]:
        """Waiting results in order, ``after`` exclusive. What was given out here may be acknowledged from now on."""
        found = self._writer.call(lambda connection: result_rows.waiting(connection, limit, after))
        if found:
            self._shown = max(self._shown, found[-1].seq)
        return found

    def results_of(self, seqs: Sequence[int]) -> list[Pending]:
        """Those of these that still wait, in order."""
        return self._writer.call(lambda connection: result_rows.waiting_in(connection, seqs))

    def acknowledge(self, ack: Ack) -> None:
        """Have what the hub has wait no more. Returns at once.

        A result that is not final stays, and so does one that was never given out: an acknowledgement of the first word
        must not remove the final one.
        """
        if ack.install_id != self._install_id:
            self.foreign_acks += 1
            return
        if not ack.events and not ack.results:
            return
        future = self._writer.submit(partial(self._forget, ack=ack, shown=self._shown))
        future.add_done_callback(self._forgotten)

    def resend(self, first: int, last: int) -> None:
        """Have events wait again, and remember which of them are gone. Returns at once."""
        future = self._writer.submit(partial(_resend, first=first, last=last))
        future.add_done_callback(self._resent)

    def gone(self) -> list[Span]:
        """Numbers the hub asked for that are gone for good, at most one message of them."""
        with self._lock:
            return self._gone[:BATCH_LIMIT]

    def told(self, spans: Sequence[Span]) -> None:
        """These were sent; when that is lost, the hub asks again."""
        with self._lock:
            self._gone = [span for span in self._gone if span not in spans]

    def backlog(self) -> Backlog:
        """What waits, as of the last commit. Never touches the disk."""
        tally = self.tally
        return Backlog(tally.rows, tally.oldest)

    def close(self) -> None:
        """Store what waits in memory."""
        self._feed.close()

    def take_again(self) -> int:
        """The oldest event that was made to wait again since the last call; 0 without one."""
        with self._lock:
            again, self._again = self._again, 0
            return again

    def _read(self, job: Job[event_rows.Read]) -> list[Event]:
        read, tally = self._writer.call(lambda connection: (job(connection), _look(connection)))
        if read.bad:
            self._set(tally)
            self._on_bad(len(read.bad))
        return read.events

    def _keep(self, connection: sqlite3.Connection, items: Sequence[Event | _Answer]) -> _Kept:
        for item in items:
            if isinstance(item, Event):
                event_rows.keep(connection, item)
                crashpoint.here("agent.event.before_commit")
            else:
                remember(connection, item.result, digest=item.digest)
        told = self._untold
        if told:
            event_rows.lose(connection, told)
        given_up = event_rows.give_up(connection, self._row_limit)
        return _Kept(_look(connection), given_up, told)

    def _store_done(self, kept: _Kept) -> None:
        with self._lock:
            self._untold -= kept.told
        for gone in kept.given_up:
            self._on_lost(gone.lane, gone.count, gone.first, gone.last)
        self._kept(kept.tally)

    def try_again(self) -> None:
        """The disk may write again."""
        self._feed.try_again()

    def _kept(self, tally: Tally) -> None:
        crashpoint.here("agent.outbox.committed")
        self._set(tally)
        self._on_rows()

    def _forget(self, connection: sqlite3.Connection, *, ack: Ack, shown: int) -> tuple[Tally, int]:
        events = event_rows.acknowledge(connection, ack.events)
        connection.executemany(
            "DELETE FROM result WHERE cmd_id = ? AND final AND seq <= ?",
            [(cmd_id, shown) for cmd_id in ack.results],
        )
        unpruned = self._unpruned + events
        if unpruned >= event_rows.PRUNE_EVERY:
            event_rows.prune(connection, self._stamp)
            unpruned = 0
        crashpoint.here("agent.ack.before_forget")
        return _look(connection), unpruned

    def _forgotten(self, future: Future[tuple[Tally, int]]) -> None:
        if (error := future.exception()) is None:
            crashpoint.here("agent.ack.forgotten")
            tally, self._unpruned = future.result()
            self._set(tally)
        else:  # the rows stay and are sent again, which the hub does not mind
            _LOG.error("store_cannot_forget", extra={"error": repr(error)})

    def _resent(self, future: Future[tuple[event_rows.Resent, Tally]]) -> None:
        if (error := future.exception()) is not None:
            _LOG.error("store_cannot_resend", extra={"error": repr(error)})
            return
        resent, tally = future.result()
        self._set(tally)
        with self._lock:
            self._gone = [*self._gone, *(span for span in resent.gone if span not in self._gone)][:GONE_LIMIT]
            if resent.oldest:
                self._again = min(self._again or resent.oldest, resent.oldest)
        self._on_rows()

    def _set(self, tally: Tally) -> None:
        with self._lock:
            self._tally = tally


def _begin(connection: sqlite3.Connection) -> Tally:
    event_rows.prune(connection, None)
    return _look(connection)


def _look(connection: sqlite3.Connection) -> Tally:
    (results,) = connection.execute("SELECT count(*) FROM result").fetchone()
    return Tally(
        rows=event_rows.count_waiting(connection) + int(results),
        oldest=event_rows.oldest_waiting(connection),
        seq=event_rows.newest(connection),
        kept_from=event_rows.kept_from(connection),
        lost=event_rows.lost(connection),
    )


def _take_effect(
    connection: sqlite3.Connection, *, effect: Callable[[sqlite3.Connection], Result], digest: str
) -> tuple[Result, Tally]:
    result = effect(connection)
    remember(connection, result, digest=digest)
    return result, _look(connection)


def _resend(connection: sqlite3.Connection, *, first: int, last: int) -> tuple[event_rows.Resent, Tally]:
    return event_rows.resend(connection, first, last), _look(connection)
