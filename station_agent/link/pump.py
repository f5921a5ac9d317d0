"""Empties the outbox: publishes rows in lanes, and sends them again until the hub itself acknowledges them (D1, D8).

Lanes in order: results, alarm, access, audit, readings. One message a turn, of the first lane that may send: so nothing
less urgent goes before an alarm, however much of it waits. Results and alarms wait for no token; alarms take one. What
is less urgent has no more on its way than the line carries in a second (``Window``), since an alarm waits behind that too.

All state of the lanes belongs to the pump's own thread; others leave notes for it and wake it. It sleeps until there is
something to do.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from firmware_config import crashpoint
from firmware_config.signing import Signer
from firmware_config.topics import Topic
from firmware_config.vocabulary import Lane as EventLane
from firmware_config.wire import (
    BATCH_LIMIT,
    Ack,
    Event,
    EventBatch,
    Reading,
    Span,
    TelemetryBatch,
    encode,
    kind_of,
)
from station_agent.clock import Clock
from station_agent.link.lanes import Lane, TokenBucket, Window
from station_agent.store.result_rows import Pending
from station_agent.store.store import Store

_LOG = logging.getLogger(__name__)

RATE: Final = 20.0
"""Messages a second in the metered lanes."""

RESULT_ROOM: Final = 8
EVENT_ROOM: Final = {EventLane.ALARM: 8, EventLane.ACCESS: 8, EventLane.AUDIT: 4}
TELEMETRY_ROOM: Final = 4
"""Messages unacknowledged, by lane: 32 together, and none can take another's place."""

END_S: Final = 5.0
"""Longest wait for a disk that does not answer."""

Send: TypeAlias = Callable[[Topic, bytes, str | None], bool]
_Note: TypeAlias = Callable[[], None]


class Pump:
    """One for the station."""

    def __init__(self, *, station: str, store: Store, clock: Clock, signer: Signer, send: Send) -> None:
        """Prepare; ``start`` begins.

        Args:
            station: own id.
            store: what to empty.
            clock: for dating batches and for pauses.
            signer: signs results and events.
            send: publishes topic, payload and correlation; False when there is no connection.
        """
        self._station = station
        self._store = store
        self._clock = clock
        self._signer = signer
        self._send = send
        self._bucket = TokenBucket(rate=RATE, burst=RATE)
        self._window = Window()
        self._lanes: tuple[Lane[Any], ...] = (
            self._results(),
            *(self._events(lane) for lane in EventLane),
            self._readings(),
        )
        self._changed = threading.Condition()
        self._notes: deque[_Note] = deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def start(self) -> None:
        """Begin. Nothing is sent before ``connected``."""
        self._store.listen(self._rows_came)
        self._thread.start()

    def stop(self) -> None:
        """End; what is unacknowledged stays in the store."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(END_S)

    def connected(self, topics: Sequence[Topic], *, up: bool) -> None:
        """The connection that carries these topics came or went."""
        self._note(partial(self._reset, topics, up=up))

    def acknowledged(self, ack: Ack) -> None:
        """The hub has committed these rows."""
        self._note(partial(self._apply, ack, self._clock.monotonic_s()))

    def hasten(self) -> None:
        """The hub has begun to listen: what was on its way before may be lost."""
        self._note(partial(self._hasten, self._clock.monotonic_s()))

    def _rows_came(self) -> None:
        self._note(self._refresh)

    def _note(self, note: _Note) -> None:
        with self._changed:
            self._notes.append(note)
            self._changed.notify()

    def _reset(self, topics: Sequence[Topic], *, up: bool) -> None:
        for lane in self._lanes:
            if lane.topic in topics:
                lane.reset(is_open=up)

    def _hasten(self, now_s: float) -> None:
        for lane in self._lanes:
            lane.hasten(now_s)

    def _refresh(self) -> None:
        again = self._store.outbox.take_again()
        for lane in self._lanes:
            lane.fresh = True
            if again and lane.topic is Topic.EVENT:
                lane.rewind(again)

    def _apply(self, ack: Ack, now_s: float) -> None:
        names: dict[Topic, Sequence[int | str]] = {
            Topic.RESULT: ack.results,
            Topic.EVENT: ack.events,
            Topic.TELEMETRY: ack.readings,
        }
        for lane in self._lanes:
            if lane.install_id == ack.install_id:
                lane.acknowledged(names[lane.topic], now_s)

    def _run(self) -> None:
        pause_s: float | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._notes or self._stopping, pause_s)
                if self._stopping:
                    return
                notes, self._notes = self._notes, deque()
            for note in notes:
                note()
            try:
                pause_s = self._turn()
            except Exception:  # noqa: BLE001 (top of a thread: the store may be full, and is asked again)
                _LOG.exception("pump_turn_failed")
                pause_s = 1.0

    def _turn(self) -> float | None:
        """Send at most one message, of the first lane that has one. Seconds to the next turn; None until woken."""
        now_s = self._clock.monotonic_s()
        bucket_s = self._bucket.wait_s(now_s)
        waits: list[float] = []
        for lane in self._lanes:
            if not lane.open:
                continue
            token_s = bucket_s if lane.metered and lane.patient else 0.0
            due_s = lane.due_s()
            if due_s is not None:
                waits.append(max(due_s - now_s, token_s))
            if token_s > 0:
                if lane.fresh:
                    waits.append(token_s)
                continue
            if (due_s is not None and due_s <= now_s and self._again(lane, now_s)) or self._next(lane, now_s):
                return 0.0
        if gone := self._store.outbox.gone():
            if bucket_s > 0:
                waits.append(bucket_s)
            elif self._tell(gone):
                return 0.0
        return max(0.0, min(waits)) if waits else None

    def _next(self, lane: Lane[Any], now_s: float) -> bool:
        """Send the next rows nobody has seen. False when there are none, or no room, or no connection."""
        if not (lane.open and lane.fresh) or lane.full:
            return False
        if not (rows := lane.next_rows()):
            return False
        rows, payload = lane.cut(rows)
        if not self._publish(lane, rows, payload):
            return False
        lane.sent(rows, now_s, len(payload))
        return True

    def _again(self, lane: Lane[Any], now_s: float) -> bool:
        """Send what is left of the flight that has waited longest for its acknowledgement."""
        flight = min(lane.flights, key=lambda item: item.due_s)
        rows = lane.fetch_these(list(flight.waiting.values()))
        if not rows:
            lane.ended(flight, now_s)
            return True
        rows, payload = lane.cut(rows, again=True)
        if not self._publish(lane, rows, payload):
            return False
        lane.sent_again(flight, rows, now_s)
        _LOG.info("resent", extra={"lane": lane.title, "rows": len(rows), "tries": flight.tries})
        return True

    def _tell(self, gone: Sequence[Span]) -> bool:
        """Tell the hub which of the events it asked for are gone for good. Once: it asks again when that is lost."""
        line = next(lane for lane in self._lanes if lane.topic is Topic.EVENT)
        if not line.open or not self._publish(line, (), self._pack_events((), gone=gone)):
            return False
        self._store.outbox.told(gone)
        return True

    def _publish(self, lane: Lane[Any], rows: Sequence[Any], payload: bytes) -> bool:
        correlation = lane.name(rows[0]) if lane.topic is Topic.RESULT else None
        if not self._send(lane.topic, payload, correlation if isinstance(correlation, str) else None):
            lane.open = False  # ``connected`` will say when to go on
            return False
        crashpoint.here("agent.outbox.published")
        if lane.metered:
            self._bucket.take()
        return True

    def _results(self) -> Lane[Pending]:
        return Lane(
            title="results",
            topic=Topic.RESULT,
            install_id=self._store.install_id,
            fetch=lambda limit, after: self._store.outbox.results(limit, after=after),
            fetch_these=self._store.outbox.results_of,
            number=lambda row: row.seq,
            name=lambda row: row.result.cmd_id,
            pack=lambda rows: self._signer.seal(kind_of(rows[0].result), rows[0].result),
            page=1,
            room=RESULT_ROOM,
            metered=False,
        )

    def _events(self, lane: EventLane) -> Lane[Event]:
        return Lane(
            title=lane.name.lower(),
            topic=Topic.EVENT,
            install_id=self._store.install_id,
            fetch=lambda limit, after: self._store.outbox.events(lane, limit, after=after),
            fetch_these=self._store.outbox.events_of,
            number=lambda row: row.seq,
            name=lambda row: row.seq,
            pack=self._pack_events,
            page=BATCH_LIMIT,
            room=EVENT_ROOM[lane],
            patient=lane is not EventLane.ALARM,
            window=None if lane is EventLane.ALARM else self._window,
        )

    def _readings(self) -> Lane[Reading]:
        return Lane(
            title="telemetry",
            topic=Topic.TELEMETRY,
            install_id=self._store.telemetry.install_id,
            fetch=lambda limit, after: self._store.telemetry.readings(limit, after=after),
            fetch_these=self._store.telemetry.readings_of,
            number=lambda row: row.seq,
            name=lambda row: row.seq,
            pack=self._pack_readings,
            page=BATCH_LIMIT,
            room=TELEMETRY_ROOM,
            window=self._window,
        )

    def _pack_events(self, rows: Sequence[Event], *, gone: Sequence[Span] = ()) -> bytes:
        at = self._clock.stamp()
        batch = EventBatch(
            station=self._station,
            install_id=self._store.install_id,
            boot_id=at.boot_id,
            sent_mono_ms=at.mono_ms,
            items=list(rows),
            anchors=self._store.anchors((row.boot_id for row in rows), but=at.boot_id),
            gone=list(gone),
        )
        return self._signer.seal(kind_of(batch), batch)

    def _pack_readings(self, rows: Sequence[Reading]) -> bytes:
        at = self._clock.stamp()
        return encode(
            TelemetryBatch(
                station=self._station,
                install_id=self._store.telemetry.install_id,
                boot_id=at.boot_id,
                sent_mono_ms=at.mono_ms,
                items=list(rows),
                anchors=self._store.anchors((row.boot_id for row in rows), but=at.boot_id),
            )
        )
