"""Bytes the station's stores write to the disk themselves, by the kernel's count of this process.

``write_bytes`` of /proc/self/io counts pages as they are dirtied, so the file system's journal and the card's own
amplification come on top; on tmpfs nothing is counted.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from firmware_config.vocabulary import EventKind, Lane
from firmware_config.wire import Ack, Scalar
from station_agent.clock import Stamp
from station_agent.store.store import Store
from tests.benchmarks.report import Row

STATION: Final = "st-bench001"
DATA: Final[dict[str, Scalar]] = {"door": "main", "via": "face", "person": "p-000123", "score": 0.71}
EVENTS_A_MINUTE: Final = 10
READINGS_A_BATCH: Final = 20
"""Ten sensors twice a minute."""

MINUTES: Final = 300


def run(minutes: int) -> dict[str, float]:
    """Live through so many minutes at once: each event committed by itself, acknowledged in batches of ten."""
    with TemporaryDirectory(dir=Path.cwd()) as folder:
        store = Store(Path(folder), station=STATION, stamp=_stamp(0))
        store.barrier(30)
        before, began_s = _written(), time.perf_counter()
        for minute in range(minutes):
            _live(store, minute)
        store.close()
        written, seconds = _written() - before, time.perf_counter() - began_s
    events = minutes * EVENTS_A_MINUTE
    return {
        "events": events,
        "readings": minutes * READINGS_A_BATCH,
        "bytes_per_1000_events": round(written / events * 1000),
        "mb_per_day": round(written / minutes * 1440 / 1e6, 1),
        "seconds": round(seconds, 2),
    }


def measure() -> list[Row]:
    """For ``make bench``."""
    found = run(MINUTES)
    events = int(found["events"])
    return [
        Row("written by the stores, 1,000 events", events, f"{found['bytes_per_1000_events'] / 1e6:.1f} MB"),
        Row(
            f"written by the stores in a day, {EVENTS_A_MINUTE} events and {READINGS_A_BATCH} readings a minute",
            events,
            f"{found['mb_per_day']:.0f} MB",
        ),
    ]


def _live(store: Store, minute: int) -> None:
    for number in range(EVENTS_A_MINUTE):
        store.put_event(EventKind.ACCESS_GRANTED, DATA, _stamp(minute * 60_000 + number * 6_000))
        store.barrier(30)
    for number in range(READINGS_A_BATCH):
        store.put_reading(f"sensor{number % 10}", 20.0 + number, _stamp(minute * 60_000))
        if number % 10 == 9:
            store.telemetry.barrier(30)
    waiting = [event.seq for event in store.outbox.events(Lane.ACCESS, 100)]
    readings = [reading.seq for reading in store.telemetry.readings(100)]
    store.acknowledge(Ack(station=STATION, install_id=store.install_id, events=waiting))
    store.acknowledge(Ack(station=STATION, install_id=store.telemetry.install_id, readings=readings))


def _stamp(mono_ms: int) -> Stamp:
    return Stamp(boot_id="b" * 32, mono_ms=mono_ms, wall_ms=1_760_000_000_000 + mono_ms, trust="synced")


def _written() -> int:
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        if line.startswith("write_bytes: "):
            return int(line.partition(": ")[2])
    raise RuntimeError("/proc/self/io counts no bytes here")
