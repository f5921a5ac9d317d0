"""Deliberate faults on the way of an event: a machine that does not notice them proves nothing."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from cloud_hub.bridge.writer import Writer
from cloud_hub.ingest import timing
from cloud_hub.ingest.decoding import Arrival
from cloud_hub.ingest.rows import insert_new
from firmware_config.topics import Topic
from firmware_config.wire import Ack, EventBatch, decode
from station_agent.store import event_rows
from tests.faults.model.event_hub import EventHub
from tests.faults.model.event_station import STATION, EventStation
from tests.faults.model.events import EventWorld

Make = Callable[[], EventWorld]


class _Hasty(Writer):
    """Acknowledges, then commits."""

    def handle(self, arrivals: Sequence[Arrival]) -> None:
        for message in self._open(arrivals):
            if isinstance(message.body, EventBatch) and message.body.items:
                seqs = [event.seq for event in message.body.items]
                ack = Ack(station=STATION, install_id=message.body.install_id, events=seqs)
                self._acknowledge(ack)
        super().handle(arrivals)


class _HastyHub(EventHub):
    made = _Hasty


class _Trusting(EventStation):
    """Deletes what the broker has."""

    def sent(self, topic: Topic, payload: bytes) -> None:
        super().sent(topic, payload)
        if topic is Topic.EVENT:
            batch = decode(self._own.open(payload, kind="event"), EventBatch, station=STATION)
            seqs = [(event.seq,) for event in batch.items]
            self.store._safety.call(partial(_delete, seqs=seqs))


def _delete(connection: sqlite3.Connection, *, seqs: Sequence[tuple[int]]) -> None:
    connection.executemany("DELETE FROM event WHERE seq = ?", seqs)


@contextmanager
def numbers_begin_again() -> Iterator[Make]:
    """After a start, numbers go on behind what waits, not behind what ever was."""

    def newest(connection: sqlite3.Connection) -> int:
        (seq,) = connection.execute("SELECT max(seq) FROM event WHERE waiting").fetchone()
        return int(seq or 0)

    with patch.object(event_rows, "newest", newest):
        yield EventWorld


@contextmanager
def repeats_are_news() -> Iterator[Make]:
    """What was stored before counts as new."""

    def insert(session: Any, table: Any, rows: Sequence[dict[str, Any]]) -> Any:
        insert_new(session, table, rows)
        return {(row["station_id"], row["install_id"], row["seq"]) for row in rows}

    with patch("cloud_hub.ingest.delivery.insert_new", insert):
        yield EventWorld


@contextmanager
def history_is_news() -> Iterator[Make]:
    """However late it comes."""
    with patch.object(timing, "is_backfill", lambda **_: False):
        yield EventWorld


@contextmanager
def _with(**parts: Any) -> Iterator[Make]:
    yield partial(EventWorld, **parts)


MUTANTS: Final[Mapping[str, tuple[str, Callable[[], AbstractContextManager[Make]]]]] = {
    "acknowledged before the commit": ("E2", partial(_with, hub=_HastyHub)),
    "deleted when the broker has it": ("E", partial(_with, station=_Trusting)),
    "numbers begin again": ("E1", numbers_begin_again),
    "repeats are news": ("E4", repeats_are_news),
    "history is news": ("E4", history_is_news),
}
"""What each breaks."""
