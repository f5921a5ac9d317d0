"""When it happened, by the hub's clock, whatever the station's says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_hub.ingest.timing import is_backfill, occurred_at

RECEIVED = datetime(2025, 11, 22, 13, 30, tzinfo=UTC)
WALL_MS = int(RECEIVED.timestamp() * 1000)
NUMBERS = st.integers(0, 2**53)


def test_within_a_boot_the_monotonic_clock_dates_it_and_the_wall_clock_is_not_asked() -> None:
    found = occurred_at(
        received_at=RECEIVED,
        same_boot=True,
        sent_mono_ms=10_000,
        mono_ms=4_000,
        wall_ms=WALL_MS - 86_400_000 * 365,
    )
    assert found == RECEIVED - timedelta(seconds=6)


def test_of_an_earlier_boot_the_wall_clock_is_all_there_is() -> None:
    found = occurred_at(
        received_at=RECEIVED, same_boot=False, sent_mono_ms=10_000, mono_ms=4_000, wall_ms=WALL_MS - 90_000
    )
    assert found == RECEIVED - timedelta(seconds=90)


def test_nothing_happened_after_it_was_received() -> None:
    for same_boot in (True, False):
        found = occurred_at(
            received_at=RECEIVED, same_boot=same_boot, sent_mono_ms=1, mono_ms=9_000, wall_ms=WALL_MS + 10**12
        )
        assert found == RECEIVED


@given(same_boot=st.booleans(), sent=NUMBERS, mono=NUMBERS, wall=NUMBERS)
def test_any_numbers_give_a_time_in_the_past(*, same_boot: bool, sent: int, mono: int, wall: int) -> None:
    found = occurred_at(
        received_at=RECEIVED, same_boot=same_boot, sent_mono_ms=sent, mono_ms=mono, wall_ms=wall
    )
    assert datetime(2010, 1, 1, tzinfo=UTC) < found <= RECEIVED


@pytest.mark.parametrize(
    ("age_s", "same_boot", "late"),
    [
        pytest.param(0, True, False, id="now"),
        pytest.param(60, True, False, id="a-minute"),
        pytest.param(60.001, True, True, id="over-a-minute"),
        pytest.param(0, False, True, id="of-an-earlier-boot"),
    ],
)
def test_what_is_older_than_a_minute_or_of_an_earlier_boot_is_history(
    age_s: float, *, same_boot: bool, late: bool
) -> None:
    at = RECEIVED - timedelta(seconds=age_s)
    assert is_backfill(occurred_at=at, received_at=RECEIVED, same_boot=same_boot) is late
