"""Lanes: packing below the broker's limit, acknowledgements in parts, and the pauses between tries."""

import pytest

from firmware_config.topics import Topic
from station_agent.link.connection import pause_s
from station_agent.link.lanes import (
    LARGEST_WINDOW,
    LEAST_WINDOW,
    OVERTAKEN_S,
    SIZE_TARGET,
    Flight,
    Lane,
    TokenBucket,
    Window,
    resend_s,
)


def a_lane(size: int = 1000, rows: int = 1000) -> Lane[int]:
    return Lane(
        title="access",
        topic=Topic.EVENT,
        install_id="1" * 32,
        fetch=lambda limit, after: list(range(after + 1, min(rows, after + limit) + 1)),
        fetch_these=sorted,
        number=lambda row: row,
        name=lambda row: row,
        pack=lambda rows: b"x" * size * len(rows),
        page=200,
        room=4,
    )


def test_as_many_rows_as_fit_travel_together() -> None:
    rows, payload = a_lane().cut(list(range(1, 201)))
    assert list(rows) == list(range(1, 13))
    assert len(payload) <= SIZE_TARGET


def test_a_single_large_row_travels_alone() -> None:
    rows, payload = a_lane(size=SIZE_TARGET + 1).cut([1, 2, 3])
    assert (list(rows), len(payload)) == ([1], SIZE_TARGET + 1)


def test_a_message_is_done_once_every_row_of_it_is_acknowledged() -> None:
    lane = a_lane()
    lane.flights = [
        Flight({1: 1, 2: 2}, sent_s=0.0, due_s=5.0, size=9),
        Flight({3: 3}, sent_s=0.0, due_s=4.0, size=9),
    ]
    assert lane.due_s() == 4.0
    lane.acknowledged([1, 3, 99], 0.0)
    assert [flight.waiting for flight in lane.flights] == [{2: 2}]
    lane.acknowledged([2], 0.0)
    assert lane.due_s() is None


def test_a_hub_that_is_slow_but_works_is_not_sent_everything_twice() -> None:
    lane = a_lane()
    for number in range(1, 4):
        lane.sent([number], now_s=0.0, size=9)
    lane.acknowledged([1], 9.0)
    assert [flight.due_s for flight in lane.flights] == [19.0, 19.0]
    lane.acknowledged([99], 18.0)
    assert lane.due_s() == 19.0, "a row that was not on its way is no news"
    lane.acknowledged([2], 57.0)
    assert lane.due_s() == 60.0, "patience ends a minute after it was sent"


def test_what_was_overtaken_is_lost_and_waits_no_longer() -> None:
    lane = a_lane()
    for number in range(1, 5):
        lane.sent([number], now_s=float(number), size=9)
    lane.sent_again(lane.flights[1], [2], now_s=2.0)
    lane.acknowledged([3], 5.0)
    assert [flight.due_s for flight in lane.flights] == [5.0 + OVERTAKEN_S, 5.0 + 2 * OVERTAKEN_S, 15.0]
    lane.acknowledged([99], 6.0)
    assert lane.due_s() == 5.0 + OVERTAKEN_S


def test_what_was_lost_while_the_hub_was_away_does_not_wait_out_its_pause() -> None:
    lane = a_lane()
    lane.sent([1], now_s=0.0, size=9)
    for now_s in (10.0, 30.0):
        lane.sent_again(lane.flights[0], [1], now_s)
    lane.hasten(31.0)
    assert lane.due_s() == 31.0


def test_rows_that_no_longer_fit_beside_the_others_of_their_message_wait_again() -> None:
    lane = a_lane(size=600, rows=8)
    lane.window = Window()
    lane.reset(is_open=True)
    rows, payload = lane.cut(lane.next_rows())
    lane.sent(rows, 0.0, len(payload))
    flight = lane.flights[0]
    assert list(flight.waiting) == [1, 2, 3, 4, 5, 6], "the window is as narrow as it gets"
    again, _ = lane.cut([1, 2, 3, 4, 5, 6], again=True)
    assert list(again) == [1, 2, 3, 4, 5, 6], "the window has counted them already"
    lane.sent_again(flight, [1, 2], 10.0)
    assert list(lane.next_rows()) == [3, 4, 5, 6, 7, 8]


def test_a_new_connection_begins_again_at_the_oldest_row() -> None:
    lane = a_lane()
    lane.cursor, lane.flights = 7, [Flight({7: 7}, sent_s=0.0, due_s=0.0, size=9)]
    lane.reset(is_open=True)
    assert (lane.open, lane.fresh, lane.cursor, lane.flights) == (True, True, 0, [])


def test_going_back_skips_what_is_on_its_way() -> None:
    lane = a_lane(rows=6)
    lane.sent([1, 2, 3, 4, 5, 6], now_s=0.0, size=9)
    lane.acknowledged([1, 2, 4], now_s=1.0)
    lane.rewind(2)
    assert list(lane.next_rows()) == [2, 4]
    lane.sent([2, 4], now_s=0.0, size=9)
    assert list(lane.next_rows()) == []
    assert (lane.fresh, lane.cursor) == (False, 6)


def test_a_fast_line_opens_the_window_and_a_slow_one_shuts_it_to_what_it_carries_in_a_second() -> None:
    window = Window()
    for _ in range(20):
        window.sent(1_000)
        window.arrived(1_000, took_s=0.1, again=False)
    assert (window.limit, window.flying) == (LARGEST_WINDOW, 0)
    window.arrived(12_000, took_s=2.4, again=False)
    assert window.limit == 5_000
    window.arrived(5_000, took_s=1.5, again=False)
    assert window.limit == 5_000
    window.arrived(5_000, took_s=9.0, again=False)
    assert window.limit == LEAST_WINDOW
    window.arrived(4_000, took_s=0.5, again=False)
    window.arrived(4_000, took_s=0.5, again=True)
    assert window.limit == LEAST_WINDOW
    assert window.flying == 0


def test_lanes_of_one_window_share_it_and_its_messages_are_no_larger() -> None:
    access, readings, window = a_lane(size=100), a_lane(size=100), Window()
    access.window = readings.window = window
    rows, payload = access.cut(access.next_rows())
    assert len(payload) <= LEAST_WINDOW
    assert not readings.full
    access.sent(rows, now_s=0.0, size=len(payload))
    assert (access.full, readings.full) == (True, True)
    access.acknowledged(rows, now_s=0.2)
    assert (access.full, readings.full) == (False, False)
    readings.sent([1], now_s=0.0, size=100)
    readings.reset(is_open=True)
    assert window.flying == 0


def test_what_may_not_wait_goes_into_bounded_debt() -> None:
    bucket = TokenBucket(rate=20, burst=3)
    assert bucket.wait_s(100.0) == 0
    for _ in range(100):
        bucket.take()
    assert bucket.wait_s(100.0) == pytest.approx(4 / 20)


def test_the_wait_for_an_acknowledgement_doubles_up_to_a_minute() -> None:
    assert [resend_s(tries) for tries in range(1, 7)] == [10, 20, 40, 60, 60, 60]


def test_the_bucket_lets_a_burst_through_and_then_its_rate() -> None:
    bucket = TokenBucket(rate=20, burst=3)
    for _ in range(3):
        assert bucket.wait_s(100.0) == 0
        bucket.take()
    assert bucket.wait_s(100.0) == pytest.approx(0.05)
    assert bucket.wait_s(100.05) == pytest.approx(0)
    assert bucket.wait_s(1000.0) == 0
    for _ in range(3):
        bucket.take()
    assert bucket.wait_s(1000.0) > 0, "an hour of silence saves no more than one burst"


def test_reconnecting_waits_by_full_jitter_up_to_thirty_seconds() -> None:
    assert [pause_s(attempt, lambda: 1.0) for attempt in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert pause_s(3, lambda: 0.0) == 0
    assert pause_s(10_000, lambda: 0.5) == 15
