"""A disk that fills up, empties, and stops taking anything: nothing crashes, nothing rots, and what is lost is told (D9)."""

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from firmware_config.station import Storage
from firmware_config.vocabulary import EventKind, Lane
from firmware_config.wire import Event, Scalar
from station_agent.store import feed as feed_module
from station_agent.store import outbox as outbox_module
from station_agent.store.store import Store
from station_agent.store.watch import DiskWatch, make_room
from tests.support.hand_clock import HandClock
from tests.support.parts import permitted
from tests.support.station_store import STATION, open_store, stamp

AUDIT, ACCESS, ALARM = EventKind.STATION_STARTED, EventKind.DOOR_OPENED, EventKind.TAMPER_OPENED
MIB = 2**20
_LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 4 MiB."""
    permitted(os.geteuid() == 0, "mounting a tmpfs needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    permitted(
        _LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=4m") == 0,
        "this machine lets nobody mount a tmpfs",
    )
    yield folder
    _LIBC.umount2(str(folder).encode(), 2)


def remount(folder: Path, *, read_only: bool) -> None:
    flags = 32 | int(read_only)  # MS_REMOUNT, MS_RDONLY
    assert _LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", flags, b"size=4m") == 0


class House:
    """A store and its watch, whose turns the test takes."""

    def __init__(self, folder: Path, *, ballast_bytes: int = MIB, limits: Storage | None = None) -> None:
        make_room(folder)
        self.clock = HandClock()
        self.store = Store(folder, station=STATION, stamp=stamp(), limits=limits)
        self.watch = DiskWatch(
            folder,
            stores=self.store,
            ballast_bytes=ballast_bytes,
            wear_bytes_day=10**9,
            clock=self.clock,
            record=self.record,
        )
        self.store.report(record=self.record, damaged=lambda: None, lost=self.watch.lost)
        self.watch.look()

    def record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        self.store.put_event(kind, data, stamp())

    def put(self, kind: EventKind, count: int = 1) -> None:
        for _ in range(count):
            self.store.put_event(kind, {"text": "x" * 200}, stamp())

    def told(self, kind: EventKind) -> list[dict[str, Scalar]]:
        assert self.store.barrier(20)
        return [event.data for event in self.events() if event.kind is kind]

    def events(self) -> list[Event]:
        return [event for lane in Lane for event in self.store.outbox.events(lane, 100_000)]


def until(true: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline_s, what
        threading.Event().wait(0.01)


def fill(folder: Path) -> Path:
    """Take all the room there is."""
    file = folder / "hog"
    with file.open("ab", buffering=0) as hog:
        try:
            while True:
                hog.write(bytes(4096))
        except OSError:
            return file


def intend(store: Store, cmd_id: str) -> bool:
    told: list[bool] = []
    done = threading.Event()

    def on_done(ok: bool) -> None:  # noqa: FBT001 (the callback's signature)
        told.append(ok)
        done.set()

    store.commit_intent(cmd_id, "d" * 64, on_done)
    assert done.wait(10)
    return told == [True]


def test_the_reserve_is_given_back_to_a_full_disk_and_made_again(small_disk: Path) -> None:
    house = House(small_disk)
    assert (small_disk / "ballast.bin").stat().st_size == MIB
    assert house.store.health().state == "ok"
    hog = fill(small_disk)
    house.watch.look()
    assert not (small_disk / "ballast.bin").exists()
    assert house.store.health().state == "low"
    house.put(ALARM, 50)
    assert house.store.barrier(10), "the reserve was room enough"
    hog.unlink()
    house.watch.look()
    assert (small_disk / "ballast.bin").exists()
    assert house.store.health().state == "ok"
    assert house.told(EventKind.STORAGE_FULL) == []
    house.store.close()


def test_fifty_times_full_and_free_again_lose_nothing_and_damage_nothing(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RETRY_S", 0.02)
    house = House(small_disk, ballast_bytes=0)
    given = 0
    for turn in range(50):
        hog = fill(small_disk)
        for _ in range(60):
            house.put(ACCESS, 5)
            given += 5
            if not house.store.barrier(0.05) and house.store.refusing:
                break
        house.watch.look()
        assert house.store.health().state == "full", turn
        assert not house.store.takes_orders
        hog.unlink()
        house.store.write_again()
        assert house.store.barrier(20), turn
        house.watch.look()
        assert house.store.takes_orders
        if turn % 10 == 9:
            install_id = house.store.install_id
            house.store.close()
            house = House(small_disk, ballast_bytes=0)
            assert (house.store.install_id, house.store.set_aside) == (install_id, [])
    assert sum(event.kind is ACCESS for event in house.events()) == given
    assert len(house.told(EventKind.STORAGE_FULL)) == len(house.told(EventKind.STORAGE_RECOVERED)) == 50
    assert house.store.health().events_lost == 0
    house.store.close()


def test_a_start_on_a_full_disk_runs_and_takes_no_order(small_disk: Path) -> None:
    first = House(small_disk, ballast_bytes=0)
    first.put(ACCESS, 3)
    install_id = first.store.install_id
    first.store.close()
    hog = fill(small_disk)
    second = House(small_disk, ballast_bytes=0)
    assert not intend(second.store, "c" * 32)
    assert not second.store.takes_orders
    second.store.close()
    hog.unlink()
    third = House(small_disk, ballast_bytes=0)
    assert (third.store.install_id, third.store.set_aside) == (install_id, [])
    assert len(third.events()) == 3
    third.store.close()


def test_a_disk_that_turns_read_only_while_running_stops_orders_and_recovers(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RETRY_S", 0.02)
    house = House(small_disk)
    house.put(ALARM, 2)
    assert house.store.barrier(10)
    holder = house.store._safety._opened
    house.store._safety.call(lambda disk: disk.execute("PRAGMA query_only = ON").fetchall())
    house.put(ALARM, 2)
    assert not intend(house.store, "c" * 32)
    until(lambda: house.store.refusing, "the store never noticed")
    house.watch.look()
    assert not house.store.takes_orders
    assert len(house.store.outbox.events(Lane.ALARM, 10)) == 2, "what is there can still be read and sent"
    holder.connection.execute("PRAGMA query_only = OFF")
    assert house.store.barrier(20)
    house.watch.look()
    assert house.store.takes_orders
    house.store.close()


def test_a_start_on_a_read_only_disk_runs_from_memory_under_a_new_identity(small_disk: Path) -> None:
    first = House(small_disk)
    first.put(ACCESS, 3)
    install_id = first.store.install_id
    first.store.close()
    remount(small_disk, read_only=True)
    second = House(small_disk)
    assert second.store.install_id != install_id
    assert second.store.health().state == "read_only"
    assert not intend(second.store, "c" * 32)
    assert not second.store.takes_orders
    second.put(ALARM)
    assert [data["state"] for data in second.told(EventKind.STORAGE_FULL)] == ["read_only"]
    where = second.store._safety._opened.volatile
    second.store.close()
    assert where is not None
    assert not where.exists()
    remount(small_disk, read_only=False)
    third = House(small_disk)
    assert (third.store.install_id, len(third.events())) == (install_id, 3)
    third.store.close()


def test_when_too_many_wait_audit_goes_first_then_access_and_each_loss_is_told_once(tmp_path: Path) -> None:
    house = House(tmp_path, ballast_bytes=0, limits=Storage(event_rows=1000))
    house.put(ALARM, 400)
    house.put(AUDIT, 300)
    house.put(ACCESS, 300)
    assert house.store.barrier(10)
    house.put(ACCESS, 350)
    assert house.store.barrier(10)
    kinds = [event.kind for event in house.events()]
    assert (kinds.count(ALARM), kinds.count(AUDIT)) == (400, 0)
    assert house.told(EventKind.EVENTS_LOST) == []
    house.clock.advance(60)
    house.watch.look()
    told = house.told(EventKind.EVENTS_LOST)
    lost = {str(data["lane"]): data["count"] for data in told}
    assert set(lost) <= {"audit", "access"}
    assert lost["audit"] == 300
    assert house.store.health().events_lost == sum(int(str(count)) for count in lost.values())
    assert house.store.backlog().rows == len(house.events())
    house.watch.look()
    assert house.told(EventKind.EVENTS_LOST) == told
    house.store.close()


def test_memory_has_room_for_alarms_when_there_is_none_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "RETRY_S", 3600)
    monkeypatch.setattr(outbox_module, "WAITING_LIMIT", 100)
    house = House(tmp_path, ballast_bytes=0)
    house.store._safety.call(lambda disk: disk.execute("PRAGMA query_only = ON").fetchall())
    house.put(AUDIT, 70)
    house.put(ACCESS, 40)
    house.put(ALARM, 15)
    house.store._safety.call(lambda disk: disk.execute("PRAGMA query_only = OFF").fetchall())
    until(lambda: house.store.refusing, "the store never noticed")
    assert house.store.health().events_lost == 30
    house.store.write_again()
    assert house.store.barrier(10)
    kinds = [event.kind for event in house.events()]
    assert [kinds.count(kind) for kind in (AUDIT, ACCESS, ALARM)] == [60, 20, 15]
    house.clock.advance(60)
    house.watch.look()
    assert house.told(EventKind.EVENTS_LOST) == [
        {"lane": "access", "count": 20, "first": 91, "last": 110},
        {"lane": "audit", "count": 10, "first": 61, "last": 70},
    ] or house.told(EventKind.EVENTS_LOST) == [
        {"lane": "audit", "count": 10, "first": 61, "last": 70},
        {"lane": "access", "count": 20, "first": 91, "last": 110},
    ]
    assert house.store.health().events_lost == 30
    house.store.close()
    store = open_store(tmp_path)
    assert store.health().events_lost == 30
    store.close()
