"""What cannot wait goes before what can; neither stands still; and acknowledgements keep the order of arrival."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cloud_hub.bridge.in_order import InOrder
from cloud_hub.bridge.inbox import PATIENT_BYTES, Inbox, can_wait
from cloud_hub.ingest.decoding import Arrival
from firmware_config.signing import Signer
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind, Lane, lane_of
from firmware_config.wire import Event, EventBatch, kind_of

NOW = datetime(2025, 11, 22, tzinfo=UTC)
STATION = "st-test0001"
SIGNER = Signer(Ed25519PrivateKey.generate())
BACKLOG = [EventKind.ACCESS_GRANTED] * 40
ALARM = [EventKind.DOOR_FORCED]


def arrival(topic: Topic, payload: bytes = b"{}", *, mid: int = 1) -> Arrival:
    return Arrival(topic.of(STATION), payload, retain=False, mid=mid, qos=1, connection=1, came_s=0.0)


def events(kinds: Sequence[EventKind], *, mid: int = 1) -> Arrival:
    items = [
        Event(
            seq=number, kind=kind, boot_id="b" * 32, mono_ms=1, wall_ms=1, clock="synced", data={"kind": "x"}
        )
        for number, kind in enumerate(kinds, start=1)
    ]
    batch = EventBatch(station=STATION, install_id="a" * 32, boot_id="b" * 32, sent_mono_ms=1, items=items)
    return arrival(Topic.EVENT, SIGNER.seal(kind_of(batch), batch), mid=mid)


@pytest.mark.parametrize("kind", EventKind)
def test_only_events_of_the_alarm_lane_cannot_wait(kind: EventKind) -> None:
    assert can_wait(events([kind])) is (lane_of(kind) is not Lane.ALARM)


@pytest.mark.parametrize("topic", [topic for topic in Topic if topic.up])
def test_of_what_is_no_event_only_readings_can_wait(topic: Topic) -> None:
    assert can_wait(arrival(topic)) is (topic in {Topic.TELEMETRY, Topic.EVENT})


@pytest.mark.parametrize("payload", [b"", b'\\"kind\\":\\"', b'\\"kind\\":\\"door.forced', b"\xff" * 60])
def test_a_payload_that_is_no_batch_harms_nothing(payload: bytes) -> None:
    can_wait(arrival(Topic.EVENT, payload))


def test_an_alarm_goes_before_a_backlog_that_came_first_and_without_it() -> None:
    inbox = Inbox()
    for mid in range(1, 50):
        inbox.put(events(BACKLOG, mid=mid), urgent=True)
    inbox.put(events(ALARM, mid=50), urgent=True)

    first, second = inbox.take(0), inbox.take(0)

    assert [message.mid for message in first] == [50]
    assert [message.mid for message in second] == list(range(1, 50))


def test_every_second_batch_takes_of_the_backlog_however_many_alarms_come() -> None:
    inbox, taken = Inbox(), []
    for mid in range(1, 4):
        inbox.put(arrival(Topic.TELEMETRY, bytes(PATIENT_BYTES), mid=mid), urgent=False)
    for mid in range(100, 106):
        inbox.put(events(ALARM, mid=mid), urgent=True)
        taken.append([message.mid for message in inbox.take(0)])

    assert taken == [[100], [101, 1], [102], [103, 2], [104], [105, 3]]


def test_one_batch_holds_no_more_of_the_backlog_than_a_short_transaction_takes() -> None:
    inbox = Inbox()
    for mid in range(1, 10):
        inbox.put(arrival(Topic.TELEMETRY, bytes(PATIENT_BYTES // 2), mid=mid), urgent=False)

    assert [message.mid for message in inbox.take(0)] == [1, 2]


@given(st.permutations(range(8)), st.integers(1, 8))
def test_acknowledgements_come_out_in_the_order_of_arrival(done: list[int], size: int) -> None:
    order, given_back = InOrder(), []
    for number in range(8):
        order.came(number)
    for start in range(0, 8, size):
        given_back += order.done(done[start : start + size])
        finished = set(done[: start + size])
        assert given_back == [n for n in range(8) if set(range(n + 1)) <= finished]


def test_a_number_that_came_twice_is_given_back_twice() -> None:
    order = InOrder()
    order.came(7)
    order.came(7)

    assert order.done([7, 7]) == [7, 7]
