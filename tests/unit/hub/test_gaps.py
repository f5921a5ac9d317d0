"""Which events are missing, and when they are asked for: rules 1 to 4 of ``cloud_hub.ingest.gaps``."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cloud_hub.ingest import gaps
from cloud_hub.ingest.gaps import Asked, Span, Stream, came, gone, question, told
from firmware_config.vocabulary import Lane

START = datetime(2025, 11, 22, 13, 30, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def some(stream: Stream, *numbers: int, lane: Lane = Lane.ACCESS, at: datetime = START) -> Stream:
    return came(stream, [(number, lane) for number in numbers], at)


def missing(stream: Stream) -> list[Span]:
    return [(gap.first, gap.last) for gap in stream.gaps]


def test_what_comes_in_order_leaves_no_gap() -> None:
    stream = some(some(Stream(), 1, 2, 3), 4, 5)
    assert (stream.high, missing(stream)) == (5, [])


def test_a_number_that_was_left_out_is_missing_until_it_comes() -> None:
    stream = some(some(Stream(), 1, 2), 6, 9)
    assert missing(stream) == [(3, 5), (7, 8)]
    assert missing(some(stream, 4, 8)) == [(3, 3), (5, 5), (7, 7)]
    assert missing(some(stream, 3, 4, 5, 7, 8)) == []


def test_what_the_station_has_and_nothing_waits_of_is_missing() -> None:
    stream = some(Stream(), 1, 2)
    assert missing(told(stream, event_seq=9, waiting=3, at=START)) == []
    assert missing(told(stream, event_seq=9, waiting=0, at=START)) == [(3, 9)]
    waits = told(stream, event_seq=9, waiting=3, at=START)
    assert missing(told(waits, event_seq=9, waiting=0, at=START)) == [(3, 9)]


def test_a_gap_is_asked_for_once_nothing_waits_and_no_message_can_be_on_its_way() -> None:
    stream = told(some(Stream(), 1, 5), event_seq=5, waiting=0, at=START)
    assert question(stream, None, waiting=0, now=after(9)) is None
    asked = question(stream, None, waiting=0, now=after(10))
    assert asked is not None
    assert asked.span == (2, 4)


def test_while_something_waits_a_gap_is_asked_for_only_when_every_lane_has_passed_it() -> None:
    stream = told(some(Stream(), 1, 5), event_seq=99, waiting=50, at=START)
    assert question(stream, None, waiting=50, now=after(3_600)) is None
    for lane in (Lane.ALARM, Lane.AUDIT):
        stream = some(stream, 7 + lane, lane=lane)
    asked = question(stream, None, waiting=50, now=after(3_600))
    assert asked is not None
    assert asked.span == (2, 4), "the access lane has not passed 6"
    stream = some(stream, 20, lane=Lane.ACCESS, at=after(1))
    asked = question(stream, None, waiting=50, now=after(60))
    assert asked is not None
    assert asked.span == (2, 6)


def test_what_no_signed_word_of_the_station_covers_is_not_asked_for() -> None:
    stream = some(Stream(), 1, 2**52)
    assert question(stream, None, waiting=0, now=after(600)) is None
    stream = told(stream, event_seq=3, waiting=0, at=START)
    asked = question(stream, None, waiting=0, now=after(600))
    assert asked is not None
    assert asked.span == (2, 3)


def test_questions_are_bounded_and_come_less_often_while_nothing_comes() -> None:
    stream = told(Stream(), event_seq=100_000, waiting=0, at=START)
    asked: Asked | None = None
    times = []
    for second in range(10, 600):
        new = question(stream, asked, waiting=0, now=after(second))
        if new is not None:
            times.append(second)
            asked = new
            assert asked.span == (1, gaps.MOST_ASKED)
    assert times == [10, 70, 190, 430]
    stream = some(stream, *range(1, 101))
    asked = question(stream, asked, waiting=0, now=after(600))
    assert asked is not None
    assert asked.span == (101, 1_100), "something came, so the next question does not wait"


def test_one_question_covers_many_small_gaps() -> None:
    stream = told(some(Stream(), *range(2, 2_000, 2)), event_seq=1_998, waiting=0, at=START)
    asked = question(stream, None, waiting=0, now=after(60))
    assert asked is not None
    assert asked.span[1] - asked.span[0] < gaps.MOST_ASKED
    assert len(stream.gaps) <= gaps.MOST_GAPS


def test_what_the_station_says_is_gone_is_lost_unless_it_was_never_missing() -> None:
    stream = some(Stream(), 1, 2, 6)
    stream, lost = gone(stream, [(1, 4), (90, 99)])
    assert lost == [(3, 4)]
    assert (missing(stream), stream.lost, stream.lost_count) == ([(5, 5)], ((3, 4),), 2)
    again, none = gone(stream, [(3, 4)])
    assert (again, none) == (stream, [])


def test_what_was_given_up_and_comes_after_all_is_lost_no_more() -> None:
    stream, _ = gone(some(Stream(), 1, 6), [(2, 5)])
    stream = some(stream, 3)
    assert (stream.lost, stream.lost_count) == (((2, 2), (4, 5)), 3)


def test_where_gaps_were_joined_what_is_stored_is_not_lost() -> None:
    stream, lost = gone(some(Stream(), 1, 9), [(2, 8)], here=[4, 5])
    assert lost == [(2, 3), (6, 8)]
    assert stream.lost_count == 5


@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 60), max_size=12), st.sampled_from(Lane), st.integers(0, 60)),
        max_size=30,
    )
)
def test_in_any_order_what_is_missing_is_what_did_not_come(story: list[tuple[list[int], Lane, int]]) -> None:
    stream, here, top = Stream(), set[int](), 0
    for numbers, lane, event_seq in story:
        stream = came(stream, [(number, lane) for number in numbers], START)
        here |= set(numbers)
        top = max([top, *numbers])
        if event_seq > top:
            stream = told(stream, event_seq=event_seq, waiting=0, at=START)
            top = event_seq
        assert {n for low, high in missing(stream) for n in range(low, high + 1)} == set(
            range(1, top + 1)
        ) - here
        assert stream.missing == len(set(range(1, top + 1)) - here)


@given(st.sets(st.integers(1, 3_000), max_size=900))
def test_too_many_gaps_are_joined_and_never_forgotten(numbers: set[int]) -> None:
    stream = some(Stream(), *numbers)
    assert len(stream.gaps) <= gaps.MOST_GAPS
    lacking = set(range(1, stream.high)) - numbers
    assert lacking <= {n for low, high in missing(stream) for n in range(low, high + 1)}
    assert replace(stream, gaps=()).missing == 0
