"""The outbox beside a dict; what it forgets, what it never forgets, and what a full disk does to it."""

import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from firmware_config.vocabulary import EventKind, Lane
from firmware_config.wire import Ack, Scalar
from station_agent.store import feed as feed_module
from station_agent.store import outbox as outbox_module
from station_agent.store.outbox import Backlog
from station_agent.store.store import Store
from tests.support.station_store import STATION, open_store, stamp

KIND = EventKind.DOOR_OPENED


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


def put(store: Store, number: int) -> None:
    store.put_event(KIND, {"n": number}, stamp(number))


def ack(store: Store, *seqs: int, install_id: str | None = None) -> None:
    store.acknowledge(Ack(station=STATION, install_id=install_id or store.install_id, events=list(seqs)))


def waiting(store: Store) -> list[tuple[int, object]]:
    assert store.barrier(10)
    return [(event.seq, event.data["n"]) for event in store.outbox.events(Lane.ACCESS, 1000)]


class OutboxBesideDict(RuleBasedStateMachine):
    """Whatever is put, acknowledged, repeated, or cut off by an end of the process: outbox and dict agree."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(Path(self.folder.name))
        self.model: dict[int, int] = {}
        self.given = 0

    @rule(number=st.integers(0, 9))
    def put(self, number: int) -> None:
        self.given += 1
        self.model[self.given] = number
        put(self.store, number)

    @rule(seqs=st.lists(st.integers(1, 12), max_size=5))
    def acknowledge(self, seqs: list[int]) -> None:
        assert self.store.barrier(10)
        ack(self.store, *seqs)
        for seq in seqs:
            self.model.pop(seq, None)

    @rule()
    def acknowledge_for_another_store(self) -> None:
        ack(self.store, *self.model, install_id="0" * 32)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = open_store(Path(self.folder.name))

    @invariant()
    def agrees(self) -> None:
        assert waiting(self.store) == sorted(self.model.items())
        assert self.store.backlog().rows == len(self.model)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


TestOutboxBesideDict = OutboxBesideDict.TestCase
TestOutboxBesideDict.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_a_number_is_never_used_again_even_when_all_rows_are_gone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    put(store, 1)
    put(store, 2)
    assert store.barrier(10)
    ack(store, 1, 2)
    install_id = store.install_id
    store.close()
    store = open_store(tmp_path)
    put(store, 3)
    assert waiting(store) == [(3, 3)]
    assert store.install_id == install_id
    store.close()


def test_pages_follow_each_other_without_gap_or_overlap(store: Store) -> None:
    for number in range(1, 8):
        put(store, number)
    assert store.barrier(10)
    pages, after = [], 0
    while page := store.outbox.events(Lane.ACCESS, 3, after=after):
        pages.append([event.seq for event in page])
        after = page[-1].seq
    assert pages == [[1, 2, 3], [4, 5, 6], [7]]
    assert [event.seq for event in store.outbox.events_of([4, 3, 99])] == [3, 4]


def test_an_event_keeps_its_stamp_and_data(store: Store) -> None:
    data: dict[str, Scalar] = {"text": "门", "number": 1.5, "flag": True, "none": None}
    store.put_event(EventKind.ACCESS_GRANTED, data, stamp(42, synced=True))
    assert store.barrier(10)
    (event,) = store.outbox.events(Lane.ACCESS, 1)
    assert (event.kind, event.data, event.mono_ms, event.clock) == (
        EventKind.ACCESS_GRANTED,
        data,
        42,
        "synced",
    )


def test_data_too_large_for_a_message_is_replaced_by_its_size(store: Store) -> None:
    store.put_event(KIND, {"text": "x" * 5000}, stamp())
    assert store.barrier(10)
    assert store.outbox.events(Lane.ACCESS, 1)[0].data == {"too_large_bytes": 5011}


def test_the_backlog_tells_number_and_age(store: Store) -> None:
    assert store.backlog() == Backlog(rows=0, oldest=None)
    assert store.backlog().age_s(stamp(5000)) == 0
    put(store, 1000)
    put(store, 2000)
    assert store.barrier(10)
    backlog = store.backlog()
    assert (backlog.rows, backlog.age_s(stamp(61_000))) == (2, 60)
    assert backlog.age_s(stamp(5, boot_id="c" * 32, wall_ms=stamp(31_000).wall_ms)) == 30
    assert backlog.age_s(stamp(5, boot_id="c" * 32, wall_ms=0)) == 0


def test_listeners_hear_of_rows_only_after_their_commit(store: Store) -> None:
    heard: list[list[tuple[int, object]]] = []
    done = threading.Event()

    def listen() -> None:
        other = sqlite3.connect(store._safety.path)
        heard.append(other.execute("SELECT seq, kind FROM event").fetchall())
        other.close()
        done.set()

    store.listen(listen)
    put(store, 1)
    assert done.wait(10)
    assert heard == [[(1, "door.opened")]]


def limit_pages(store: Store, pages: int) -> None:
    """A file that may not grow answers SQLITE_FULL exactly as a full disk does."""
    store._safety.call(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}").fetchall())


def test_a_full_disk_loses_no_event_that_memory_can_hold(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RETRY_S", 0.01)
    limit_pages(store, 1)
    for number in range(1, 301):
        put(store, number)
    assert not store.barrier(0.05)
    limit_pages(store, 100_000)
    assert waiting(store) == [(number, number) for number in range(1, 301)]
    assert store.outbox.lost == 0


def test_more_than_memory_can_hold_is_counted_and_leaves_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RETRY_S", 0.01)
    monkeypatch.setattr(outbox_module, "WAITING_LIMIT", 5)
    store = open_store(tmp_path)
    limit_pages(store, 1)
    for _ in range(8):
        store.put_event(KIND, {"n": "x" * 2000}, stamp())
        store.barrier(0.02)
    assert store.outbox.lost >= 1
    limit_pages(store, 100_000)
    assert store.barrier(10)
    put(store, 9)
    seqs = [seq for seq, _ in waiting(store)]
    assert len(seqs) == 9 - store.outbox.lost < 9
    assert seqs[-1] == 9
    store.close()


def test_what_still_waits_at_the_end_is_written(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    limit_pages(store, 1)
    for number in range(1, 301):
        put(store, number)
    assert not store.barrier(0.05)
    limit_pages(store, 100_000)
    store.close()
    store = open_store(tmp_path)
    assert len(waiting(store)) == 300
    store.close()


def test_what_the_disk_refuses_to_the_end_is_said_to_be_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path)
    limit_pages(store, 1)
    for number in range(1, 301):
        put(store, number)
    assert not store.barrier(0.05)
    store.close()
    assert "store_feed_lost" in caplog.messages


def test_an_event_after_the_end_is_reported_and_raises_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(tmp_path)
    store.close()
    put(store, 1)
    assert "store_closed_too_early" in caplog.messages
