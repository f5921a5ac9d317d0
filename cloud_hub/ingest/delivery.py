"""Events and readings of one batch: dated, stored once, missing ones noticed. Writer thread only."""

import math
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from cloud_hub.ingest import people, salvaged, timing
from cloud_hub.ingest.gaps import Span, Store
from cloud_hub.ingest.memory import Memory
from cloud_hub.ingest.rows import Name, Row, Rows, insert_new
from cloud_hub.ingest.stored import Stored
from cloud_hub.models import Event, Reading
from firmware_config import wire


class Delivery:
    """Collects while the messages are looked at in order, then writes."""

    def __init__(self, memory: Memory, rows: Rows, stored: Stored) -> None:
        self._memory = memory
        self._rows = rows
        self._stored = stored
        self._events: dict[Name, Row] = {}
        self._news: dict[Name, wire.Event] = {}
        self._words: list[tuple[Name, people.Word]] = []
        self._readings: dict[Name, Row] = {}
        self._came: dict[Store, dict[int, wire.Event]] = defaultdict(dict)
        self._gone: list[tuple[Store, list[wire.Span]]] = []

    def take_events(self, batch: wire.EventBatch, at: datetime) -> None:
        """Events, and the station's word on those that will never come."""
        station, install = store = (batch.station, batch.install_id)
        self._stored.receipts[store].events += [event.seq for event in batch.items]
        relations = self._memory.boots.relations(batch, at)
        came, streams = self._came[store], self._memory.streams
        for event in batch.items:
            if event.seq in came:
                self._stored.duplicates += 1
                continue
            came[event.seq] = event
            relation, same_boot = relations[event.boot_id], event.boot_id == batch.boot_id
            happened_at = relation.date(event.mono_ms, received_at=at)
            backfilled = timing.is_backfill(
                sent_mono_ms=batch.sent_mono_ms, mono_ms=event.mono_ms, same_boot=same_boot
            ) or streams.asked_for(store, event.seq)
            name = (station, install, event.seq)
            self._events[name] = {
                "station_id": station,
                "install_id": install,
                "seq": event.seq,
                "kind": event.kind.value,
                "occurred_at": happened_at,
                "received_at": at,
                "dated": timing.how(relation, same_boot=same_boot).value,
                "clock": event.clock,
                "backfilled": backfilled,
                "data": event.data,
            }
            if not backfilled:
                self._news[name] = event
            if event.kind in people.KINDS:
                self._words.append((name, people.Word(station, event.kind, event.data, happened_at)))
        if batch.gone:
            self._gone.append((store, batch.gone))

    def take_readings(self, batch: wire.TelemetryBatch, at: datetime) -> None:
        """Readings, and the newest of each sensor."""
        station, install = batch.station, batch.install_id
        self._stored.receipts[station, install].readings += [reading.seq for reading in batch.items]
        relations = self._memory.boots.relations(batch, at)
        for reading in batch.items:
            if not math.isfinite(reading.value):
                continue
            same_boot = reading.boot_id == batch.boot_id
            happened_at = relations[reading.boot_id].date(reading.mono_ms, received_at=at)
            self._readings[station, install, reading.seq] = {
                "station_id": station,
                "install_id": install,
                "seq": reading.seq,
                "name": reading.name,
                "value": reading.value,
                "occurred_at": happened_at,
                "received_at": at,
            }
            if not timing.is_backfill(
                sent_mono_ms=batch.sent_mono_ms, mono_ms=reading.mono_ms, same_boot=same_boot
            ):
                self._rows.values[station, reading.name] = {
                    "of_station": station,
                    "of_name": reading.name,
                    "value": reading.value,
                    "value_at": happened_at,
                }

    def write_events(self, session: Session, *, now: datetime) -> set[Name]:
        """What is not there yet. Returns the names of those that tell something new."""
        repeated = salvaged.repeats(session, self._events)
        self._events |= repeated
        new = insert_new(session, Event, list(self._events.values()))
        self._stored.events += len(new)
        self._stored.duplicates += len(self._events) - len(new)
        self._stored.topics |= {f"events:{station}" for station, _, _ in new}
        for store, events in self._came.items():
            if events:
                self._memory.streams.came(store, list(events.values()), now)
        return new - repeated.keys()

    def words(self, new: set[Name]) -> list[people.Word]:
        """What new events say of people. Late or not: what somebody agreed to holds from when the hub hears of it."""
        return [word for name, word in self._words if name in new]

    def news(self, new: set[Name]) -> Iterator[tuple[str, wire.Event, datetime]]:
        """Events that are new and no history, with their station and time."""
        for name, event in self._news.items():
            if name in new:
                yield name[0], event, self._events[name]["occurred_at"]

    def write_gone(self, session: Session) -> Iterator[tuple[str, list[Span]]]:
        """By station, what was lost just now."""
        for store, spans in self._gone:
            if lost := self._memory.streams.gone(session, store, spans):
                yield store[0], lost

    def write_readings(self, session: Session) -> None:
        """What is not there yet."""
        new = insert_new(session, Reading, list(self._readings.values()))
        self._stored.readings += len(new)
        self._stored.topics |= {f"station:{station}" for station, _, _ in new}
