"""The estimate of people inside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.wire import OccupancyStatus
from station_agent.core.occupancy import Occupancy, Passage


def status(estimate: int, low: int, high: int) -> OccupancyStatus:
    return OccupancyStatus(estimate=estimate, low=low, high=high, capacity=4)


def test_people_who_come_and_go_are_counted_for_sure() -> None:
    room = Occupancy(capacity=4)
    assert [room.opened(passage) for passage in (Passage.ENTERED, Passage.ENTERED, Passage.LEFT)] == [
        True
    ] * 3
    assert room.status == status(1, 1, 1)
    assert room.confidence == 1.0


def test_an_opening_nobody_accounts_for_widens_the_range_only() -> None:
    room = Occupancy(capacity=4, estimate=2, low=2, high=2)
    room.opened(Passage.UNKNOWN)
    assert room.status == status(2, 1, 3)
    assert room.confidence == 0.5


def test_somebody_leaving_an_empty_room_does_not_make_it_negative() -> None:
    room = Occupancy(capacity=4)
    assert not room.opened(Passage.LEFT)
    assert room.status == status(0, 0, 0)


def test_a_look_inside_settles_it() -> None:
    room = Occupancy(capacity=4, estimate=3, low=0, high=9)
    assert room.confidence == 0.0
    assert room.emptied()
    assert room.status == status(0, 0, 0)
    assert not room.emptied()


def test_one_more_than_the_capacity_is_over_it() -> None:
    room = Occupancy(capacity=4, estimate=4, low=4, high=4)
    assert not room.over_capacity
    room.opened(Passage.ENTERED)
    assert room.over_capacity


def test_start_values_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="low <= estimate <= high"):
        Occupancy(capacity=4, estimate=1, low=2, high=3)


@given(st.lists(st.sampled_from(Passage), max_size=50))
def test_the_estimate_stays_in_its_range_and_the_range_above_zero(passages: list[Passage]) -> None:
    room = Occupancy(capacity=4)
    for passage in passages:
        before = room.status
        assert room.opened(passage) == (room.status != before)
        assert 0 <= room.status.low <= room.status.estimate <= room.status.high
        assert 0.0 <= room.confidence <= 1.0
