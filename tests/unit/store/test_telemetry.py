"""Readings: batched, thinned instead of cut off, counted when lost."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_config.wire import Ack
from station_agent.store.schema import TELEMETRY
from station_agent.store.store import Store
from station_agent.store.telemetry import Telemetry
from station_agent.store.writer import Writer
from tests.support.station_store import STATION, open_store, stamp


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


def test_readings_come_out_in_order_with_their_stamp(store: Store) -> None:
    store.put_reading("temperature", 21.5, stamp(1))
    store.put_reading("co2", 400, stamp(2, synced=True))
    assert store.telemetry.barrier(10)
    assert [
        (item.seq, item.name, item.value, item.mono_ms, item.clock) for item in store.telemetry.readings(10)
    ] == [(1, "temperature", 21.5, 1, "unsynced"), (2, "co2", 400.0, 2, "synced")]


def test_an_acknowledged_reading_goes_and_its_number_with_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(3):
        store.put_reading("co2", number, stamp(number))
    assert store.telemetry.barrier(10)
    own, other = store.telemetry.install_id, store.install_id
    store.acknowledge(Ack(station=STATION, install_id=other, readings=[3]))
    store.acknowledge(Ack(station=STATION, install_id=own, readings=[1, 2]))
    assert [item.seq for item in store.telemetry.readings(10)] == [3]
    store.acknowledge(Ack(station=STATION, install_id=own, readings=[3]))
    store.close()
    store = open_store(tmp_path)
    assert store.telemetry.install_id == own
    store.put_reading("co2", 9, stamp(9))
    assert store.telemetry.barrier(10)
    assert [item.seq for item in store.telemetry.readings(10)] == [4]
    store.close()


def test_the_two_files_have_different_installs(store: Store) -> None:
    assert store.telemetry.install_id != store.install_id


def test_a_reading_without_a_number_is_counted_and_dropped(store: Store) -> None:
    for value in (math.nan, math.inf, -math.inf):
        store.put_reading("co2", value, stamp())
    assert store.telemetry.barrier(10)
    assert store.telemetry.readings(10) == []
    assert store.telemetry.dropped == 3


def test_a_full_lane_is_thinned_at_its_old_end_for_every_sensor(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "telemetry.db", TELEMETRY)
    lane = Telemetry(writer, install_id="1" * 32, on_rows=lambda: None, row_limit=16)
    for number in range(1, 18):
        lane.put_reading(("co2", "temperature")[number % 2], number, stamp(number))
        assert lane.barrier(10)
    assert [item.seq for item in lane.readings(100)] == [1, 2, 5, 6, *range(9, 18)]
    assert lane.dropped == 4
    lane.close()
    writer.close()


def test_a_lane_with_more_sensors_than_rows_loses_the_oldest(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "telemetry.db", TELEMETRY)
    lane = Telemetry(writer, install_id="1" * 32, on_rows=lambda: None, row_limit=4)
    for number in range(1, 8):
        lane.put_reading(f"sensor{number}", number, stamp(number))
        assert lane.barrier(10)
    assert [item.seq for item in lane.readings(100)] == [4, 5, 6, 7]
    assert lane.dropped == 3
    lane.close()
    writer.close()
