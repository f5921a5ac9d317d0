"""The pump over a real store, with a network made of a list."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.signing import Signer, Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind, Lane, Outcome
from firmware_config.wire import Ack, EventBatch, Result, TelemetryBatch, decode
from station_agent.clock import Stamp
from station_agent.link import lanes
from station_agent.link import pump as pump_module
from station_agent.link.pump import Pump
from station_agent.store.store import Store
from tests.support.station_store import BOOT, STATION, open_store, stamp

SIGNER = Signer(Ed25519PrivateKey.generate())
VERIFIER = Verifier.of(encode_public(SIGNER.public))
BOTH = (Topic.EVENT, Topic.TELEMETRY)


class HandClock:
    """Time stands still until the test moves it."""

    boot_id = BOOT

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def stamp(self) -> Stamp:
        return stamp(int(self.now_s * 1000))


def opened(payload: bytes) -> EventBatch:
    """A batch of events, as the hub reads it."""
    return decode(VERIFIER.open(payload, kind="event"), EventBatch, station=STATION)


class Wire:
    """Takes what the pump sends, while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.sent: queue.Queue[tuple[Topic, bytes, str | None]] = queue.Queue()
        self.refused = threading.Event()

    def send(self, topic: Topic, payload: bytes, correlation: str | None) -> bool:
        if self.up:
            self.sent.put((topic, payload, correlation))
        else:
            self.refused.set()
        return self.up

    def batch(self) -> list[Any]:
        """Numbers, or the outcome, of the next message."""
        topic, payload, correlation = self.sent.get(timeout=10)
        if topic is Topic.EVENT:
            return [event.seq for event in opened(payload).items]
        if topic is Topic.TELEMETRY:
            return [reading.value for reading in decode(payload, TelemetryBatch, station=STATION).items]
        body = VERIFIER.open(payload, kind="order.res")
        result = decode(body, Result)
        assert correlation == result.cmd_id
        return [result.outcome]


class Bench:
    """A pump, its store, its network and its clock."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = HandClock()
        self.wire = Wire()
        self.pump = Pump(station=STATION, store=store, clock=self.clock, signer=SIGNER, send=self.wire.send)
        self.pump.start()

    def put(self, count: int) -> None:
        for number in range(count):
            self.store.put_event(EventKind.DOOR_OPENED, {"n": number}, stamp())
        assert self.store.barrier(10)

    def put_result(self, outcome: Outcome, cmd_id: str = "c" * 32) -> None:
        self.store.put_result(
            Result(
                station=STATION,
                cmd_id=cmd_id,
                install_id=self.store.install_id,
                boot_id=BOOT,
                mono_ms=1,
                wall_ms=1,
                clock="unsynced",
                outcome=outcome,
            )
        )
        assert self.store.barrier(10)

    def ack(self, **what: Any) -> None:
        ack = Ack(station=STATION, install_id=what.pop("install_id", self.store.install_id), **what)
        self.store.acknowledge(ack)
        self.pump.acknowledged(ack)

    def later(self, seconds: float) -> None:
        self.clock.now_s += seconds
        self.pump.connected((), up=True)  # wakes it

    def quiet(self) -> None:
        """Nothing is sent, in more turns of the pump than there are lanes."""
        for _ in range(5):
            turned = threading.Event()
            self.pump._note(turned.set)
            assert turned.wait(10)
        assert self.wire.sent.empty()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    store = open_store(tmp_path)
    bench = Bench(store)
    yield bench
    bench.pump.stop()
    store.close()


def test_nothing_is_sent_before_there_is_a_connection(bench: Bench) -> None:
    bench.put(3)
    bench.quiet()
    bench.pump.connected(BOTH, up=True)
    assert bench.wire.batch() == [1, 2, 3]


def test_new_rows_are_sent_as_they_come_and_only_once(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    bench.put(1)
    assert bench.wire.batch() == [1]
    bench.put(1)
    assert bench.wire.batch() == [2]
    bench.quiet()


def test_a_result_goes_before_the_events_that_wait(bench: Bench) -> None:
    bench.put(5)
    bench.put_result(Outcome.OPENED)
    bench.pump.connected((*BOTH, Topic.RESULT), up=True)
    assert [bench.wire.batch(), bench.wire.batch()] == [[Outcome.OPENED], [1, 2, 3, 4, 5]]


def test_what_is_not_acknowledged_is_sent_again_and_the_rest_is_not(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    bench.put(3)
    assert bench.wire.batch() == [1, 2, 3]
    bench.ack(events=[2])
    bench.later(lanes.RESEND_S)
    assert bench.wire.batch() == [1, 3]
    bench.ack(events=[1, 3])
    bench.later(1000)
    bench.quiet()


def test_rows_acknowledged_for_another_file_are_still_sent_again(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    bench.put(1)
    assert bench.wire.batch() == [1]
    bench.ack(events=[1], install_id="0" * 32)
    bench.later(lanes.RESEND_S)
    assert bench.wire.batch() == [1]


def test_a_row_that_is_gone_is_not_sent_again(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    bench.put(1)
    assert bench.wire.batch() == [1]
    bench.store.acknowledge(Ack(station=STATION, install_id=bench.store.install_id, events=[1]))
    bench.later(lanes.RESEND_S)
    bench.quiet()


def test_a_new_connection_gets_everything_unacknowledged_from_the_oldest(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    bench.put(2)
    assert bench.wire.batch() == [1, 2]
    bench.quiet()
    bench.pump.connected(BOTH, up=False)
    bench.put(1)
    bench.pump.connected(BOTH, up=True)
    assert bench.wire.batch() == [1, 2, 3]


def test_a_line_that_fails_in_between_is_not_hammered(bench: Bench) -> None:
    bench.wire.up = False
    bench.pump.connected(BOTH, up=True)
    bench.put(1)
    assert bench.wire.refused.wait(10)
    bench.wire.up = True
    bench.quiet()
    bench.pump.connected(BOTH, up=True)
    assert bench.wire.batch() == [1]


def test_no_more_than_the_lanes_room_is_unacknowledged(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    bench.put(1)
    assert bench.wire.batch() == [1]
    bench.ack(events=[1])  # answered at once: the line may carry more than the first few
    for number in range(2, pump_module.EVENT_ROOM[Lane.ACCESS] + 2):
        bench.put(1)
        assert bench.wire.batch() == [number]
    bench.put(3)
    bench.quiet()
    bench.ack(events=[2])
    assert bench.wire.batch() == [10, 11, 12]


def test_a_station_back_from_an_outage_sends_no_more_than_its_rate(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    for number in range(1, int(pump_module.RATE) + 1):
        bench.put(1)
        assert bench.wire.batch() == [number]
        bench.ack(events=[number])
    bench.put(1)
    bench.quiet()
    bench.later(1 / pump_module.RATE)
    assert bench.wire.batch() == [21]


def test_a_backlog_travels_in_messages_below_the_brokers_limit(bench: Bench) -> None:
    bench.put(150)
    bench.pump.connected(BOTH, up=True)
    batches: list[list[int]] = []
    while sum(map(len, batches)) < 150:
        batches.append(bench.wire.batch())
        bench.ack(events=batches[-1])
    assert [seq for batch in batches for seq in batch] == list(range(1, 151))
    assert len(batches) > 1


def test_a_backlog_has_no_more_on_its_way_than_a_window_and_an_alarm_does_not_wait_for_it(
    bench: Bench,
) -> None:
    bench.put(150)
    bench.pump.connected(BOTH, up=True)
    first = bench.wire.batch()
    assert len(first) < 150
    bench.quiet()
    bench.store.put_event(EventKind.DOOR_FORCED, {"door": "main"}, stamp())
    assert bench.store.barrier(10)
    assert bench.wire.batch() == [151]


def test_the_final_result_follows_the_first_word(bench: Bench) -> None:
    bench.pump.connected((Topic.RESULT,), up=True)
    bench.put_result(Outcome.PULSING)
    assert bench.wire.batch() == [Outcome.PULSING]
    bench.put_result(Outcome.OPENED)
    assert bench.wire.batch() == [Outcome.OPENED]
    bench.ack(results=["c" * 32])
    bench.later(1000)
    bench.quiet()


def test_readings_have_a_lane_of_their_own(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    bench.store.put_reading("co2", 420.5, stamp())
    assert bench.store.telemetry.barrier(10)
    assert bench.wire.batch() == [420.5]
    bench.ack(readings=[1], install_id=bench.store.telemetry.install_id)
    bench.later(1000)
    bench.quiet()


def test_events_asked_for_again_are_sent_once_more_and_what_is_gone_is_told(bench: Bench) -> None:
    bench.pump.connected(BOTH, up=True)
    bench.put(3)
    assert bench.wire.batch() == [1, 2, 3]
    bench.ack(events=[1, 2])
    bench.store.outbox._seq += 2  # lost while the disk refused
    bench.put(1)
    assert bench.wire.batch() == [6]
    bench.store.resend(bench.store.install_id, 1, 99)
    payloads = [bench.wire.sent.get(timeout=10)[1] for _ in range(2)]
    batches = [opened(payload) for payload in payloads]
    told, again = sorted(batches, key=lambda batch: len(batch.items))
    assert ([(span.first, span.last) for span in told.gone], told.items) == ([(4, 5)], [])
    assert [event.seq for event in again.items] == [1, 2], "3 and 6 are still on their way"
    bench.ack(events=[1, 2, 3, 6])
    bench.later(1000)
    bench.quiet()


def test_an_alarm_goes_before_the_backlog_of_all_others_and_waits_for_no_token(bench: Bench) -> None:
    bench.put(2000)
    bench.store.put_event(EventKind.STATION_STARTED, {}, stamp())
    for _ in range(3):
        bench.store.put_event(EventKind.TAMPER_OPENED, {}, stamp())
    assert bench.store.barrier(10)
    bench.pump.connected(BOTH, up=True)
    assert bench.wire.batch() == [2002, 2003, 2004]
    left = set(range(1, 2002))
    while left:
        batch = bench.wire.batch()
        left -= set(batch)
        bench.ack(events=batch)
        bench.later(1 / pump_module.RATE)
    for number in range(2005, 2005 + int(pump_module.RATE)):
        bench.store.put_event(EventKind.TAMPER_OPENED, {}, stamp())
        assert bench.store.barrier(10)
        assert bench.wire.batch() == [number]
        bench.ack(events=[number])


def test_a_batch_carries_what_dates_the_other_runs_its_rows_come_from(bench: Bench) -> None:
    bench.store.keep_anchor(stamp(500, boot_id="a" * 32, synced=True))
    bench.store.keep_anchor(stamp(600, synced=True))
    bench.store.put_event(EventKind.DOOR_OPENED, {}, stamp(1, boot_id="a" * 32))
    bench.store.put_event(EventKind.DOOR_OPENED, {}, stamp(2))
    bench.store.put_reading("co2", 400, stamp(3, boot_id="a" * 32))
    assert bench.store.barrier(10)
    assert bench.store.telemetry.barrier(10)
    bench.pump.connected(BOTH, up=True)
    sent = [bench.wire.sent.get(timeout=10)[:2] for _ in range(2)]
    events = opened(sent[0][1])
    readings = decode(sent[1][1], TelemetryBatch, station=STATION)
    expected = [("a" * 32, 500)]
    assert [(anchor.boot_id, anchor.mono_ms) for anchor in events.anchors] == expected
    assert [(anchor.boot_id, anchor.mono_ms) for anchor in readings.anchors] == expected
