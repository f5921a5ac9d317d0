"""The clocks of a station on record: what is told, what dates earlier runs, and a process that was stopped while looking."""

from collections.abc import Mapping
from pathlib import Path

from firmware_config.vocabulary import EventKind
from firmware_config.wire import Clock, Scalar
from station_agent.clock import Stamp
from station_agent.store import boots
from station_agent.timekeeper import TORN_S, Timekeeper
from tests.support.station_store import BOOT, NOON_MS, open_store, stamp


class Clocks:
    """Both clocks, moved by the test; ``torn_s`` passes between reading the one and the other."""

    def __init__(self, boot_id: str = BOOT) -> None:
        self.boot_id = boot_id
        self.now_s, self.wall_ms, self.torn_s = 10.0, NOON_MS, 0.0
        self.trust: Clock = "unsynced"

    def monotonic_s(self) -> float:
        return self.now_s

    def stamp(self) -> Stamp:
        mono_ms = int(self.now_s * 1000)
        self.now_s += self.torn_s
        self.wall_ms += int(self.torn_s * 1000)
        return Stamp(boot_id=self.boot_id, mono_ms=mono_ms, wall_ms=self.wall_ms, trust=self.trust)

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.wall_ms += int(seconds * 1000)


class Book:
    """Takes what is told."""

    def __init__(self) -> None:
        self.events: list[tuple[EventKind, dict[str, Scalar]]] = []
        self.anchors: list[Stamp] = []

    def record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        self.events.append((kind, dict(data)))

    def keep_anchor(self, stamp: Stamp) -> None:
        self.anchors.append(stamp)


def a_timekeeper() -> tuple[Timekeeper, Clocks, Book]:
    clocks, book = Clocks(), Book()
    return Timekeeper(clock=clocks, anchors=book, record=book.record), clocks, book


def test_a_clock_set_right_is_told_and_dates_the_run() -> None:
    timekeeper, clocks, book = a_timekeeper()
    timekeeper.tick()
    clocks.pass_time(1)
    clocks.wall_ms += 86_400_000
    clocks.trust = "synced"
    timekeeper.tick()
    assert book.events == [(EventKind.CLOCK_SYNCED, {"offset_s": 86_400.0, "from": "unsynced"})]
    assert book.anchors == [clocks.stamp()]


def test_it_looks_once_a_second_however_often_the_loop_turns() -> None:
    timekeeper, clocks, book = a_timekeeper()
    timekeeper.tick()
    clocks.wall_ms += 60_000
    clocks.pass_time(0.5)
    timekeeper.tick()
    assert book.events == []
    clocks.pass_time(0.5)
    timekeeper.tick()
    assert book.events == [(EventKind.CLOCK_STEPPED, {"by_s": 60.0})]


def test_a_process_stopped_between_two_clocks_believes_neither() -> None:
    timekeeper, clocks, book = a_timekeeper()
    timekeeper.tick()
    clocks.pass_time(2)
    clocks.torn_s = TORN_S + 30
    timekeeper.tick()
    clocks.torn_s = 0
    timekeeper.tick()
    assert book.events == []


def test_an_anchor_outlives_its_run_and_is_given_to_batches_of_later_ones(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.keep_anchor(stamp(1_000, synced=True))
    store.keep_anchor(stamp(9_000, synced=True))
    store.close()
    store = open_store(tmp_path)
    assert [
        (anchor.boot_id, anchor.mono_ms) for anchor in store.anchors([BOOT, "c" * 32, BOOT], but="c" * 32)
    ] == [(BOOT, 9_000)]
    assert store.anchors([BOOT], but=BOOT) == []
    store.close()


def test_only_so_many_runs_are_remembered(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(boots.KEPT + 5):
        store.keep_anchor(stamp(boot_id=f"{number:032x}", synced=True))
    store.close()
    store = open_store(tmp_path)
    assert store.anchors([f"{4:032x}"], but=BOOT) == []
    assert len(store.anchors([f"{boots.KEPT + 4:032x}"], but=BOOT)) == 1
    store.close()
