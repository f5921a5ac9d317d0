"""Events asked for again: what comes back, what is gone for good, and what is never called gone."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_config.vocabulary import EventKind, Lane
from firmware_config.wire import Ack, Span
from station_agent.store import event_rows
from station_agent.store.store import Store
from tests.support.station_store import NOON_MS, STATION, open_store, stamp

KIND = EventKind.DOOR_OPENED


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


def put(store: Store, count: int, *, wall_ms: int = NOON_MS, synced: bool = False) -> None:
    for _ in range(count):
        store.put_event(KIND, {}, stamp(wall_ms=wall_ms, synced=synced))
    assert store.barrier(10)


def ack(store: Store, *seqs: int) -> None:
    store.acknowledge(Ack(station=STATION, install_id=store.install_id, events=list(seqs)))


def waiting(store: Store) -> list[int]:
    return [event.seq for event in store.outbox.events(Lane.ACCESS, 1000)]


def ask(store: Store, first: int, last: int) -> list[tuple[int, int]]:
    store.resend(store.install_id, first, last)
    assert store._safety.barrier(10)
    gone = store.outbox.gone()
    store.outbox.told(gone)
    return [(span.first, span.last) for span in gone]


def test_acknowledged_events_wait_again_and_are_counted(store: Store) -> None:
    put(store, 5)
    ack(store, 1, 2, 3, 4)
    assert waiting(store) == [5]
    assert (store.backlog().rows, store.event_seq, store.kept_from) == (1, 5, 1)
    assert ask(store, 2, 3) == []
    assert waiting(store) == [2, 3, 5]
    assert store.backlog().rows == 3
    assert store.outbox.take_again() == 2
    assert store.outbox.take_again() == 0


def test_what_was_pruned_is_gone_and_the_newest_is_never_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_rows, "KEPT_ROWS", 2)
    monkeypatch.setattr(event_rows, "PRUNE_EVERY", 1)
    store = open_store(tmp_path)
    put(store, 6)
    ack(store, 1, 2, 3, 5, 6)
    assert waiting(store) == [4]
    assert store.kept_from == 4
    assert ask(store, 1, 9) == [(1, 3)]
    ack(store, 4, 5, 6)
    assert ask(store, 1, 6) == [(1, 4)]
    store.close()


def test_a_week_by_synchronised_clocks_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_rows, "PRUNE_EVERY", 1)
    put(store, 1, synced=True)
    put(store, 1)
    put(store, 1, wall_ms=NOON_MS + event_rows.KEPT_MS, synced=True)
    ack(store, 1, 2)
    assert waiting(store) == [3]
    assert store.kept_from == 1
    put(store, 1, wall_ms=NOON_MS + event_rows.KEPT_MS + 1, synced=True)
    ack(store, 3)
    assert waiting(store) == [4]
    assert store.kept_from == 2, "the one whose clock meant nothing stays"


def test_numbers_that_were_never_stored_are_gone_only_below_the_newest(store: Store) -> None:
    put(store, 2)
    store.outbox._seq += 3  # as when the disk refused for too long
    put(store, 1)
    assert ask(store, 1, 100) == [(3, 5)]
    assert ask(store, 7, 100) == []


def test_what_is_still_in_memory_is_not_called_gone(store: Store) -> None:
    put(store, 2)
    held, release = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        assert release.wait(10)

    store._safety.submit(hold)
    assert held.wait(10)
    store.resend(store.install_id, 1, 4)
    store.put_event(KIND, {}, stamp())
    store.put_event(KIND, {}, stamp())
    release.set()
    assert store.barrier(10)
    assert store.outbox.gone() == []
    assert waiting(store) == [1, 2, 3, 4]


def test_a_question_for_another_store_changes_nothing(store: Store) -> None:
    put(store, 1)
    ack(store, 1)
    store.resend("0" * 32, 1, 1)
    assert waiting(store) == []
    assert store.outbox.gone() == []


def test_a_question_for_too_much_is_answered_in_part_and_truthfully(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_rows, "RESEND_ROWS", 3)
    put(store, 4)
    store.outbox._seq += 2
    put(store, 1)
    ack(store, *range(1, 8))
    assert ask(store, 1, 7) == []
    assert waiting(store) == [1, 2, 3]
    assert ask(store, 4, 7) == [(5, 6)]
    assert waiting(store) == [1, 2, 3, 4, 7]


def test_marks_and_counts_outlive_the_process(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, 4)
    ack(store, 1, 2)
    store.close()
    store = open_store(tmp_path)
    assert (store.backlog().rows, store.event_seq, store.kept_from) == (2, 4, 1)
    assert ask(store, 2, 2) == []
    assert waiting(store) == [2, 3, 4]
    store.close()


def test_gone_spans_are_told_in_messages_that_fit(store: Store) -> None:
    for _ in range(300):
        store.outbox._seq += 1
        store.put_event(KIND, {}, stamp())
    assert store.barrier(10)
    store.resend(store.install_id, 1, 600)
    assert store._safety.barrier(10)
    assert store.outbox.gone() == [Span(first=n, last=n) for n in range(1, 401, 2)]
