"""When it happened, by the hub's clock, whatever the station's says: rules 1 to 4 of ``cloud_hub.ingest.timing``."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_hub.ingest import timing
from cloud_hub.ingest.timing import Relation, earlier, how, is_backfill, live
from cloud_hub.models.event import Dated
from firmware_config import wire
from firmware_config.vocabulary import EventKind

RECEIVED = datetime(2025, 11, 22, 13, 30, tzinfo=UTC)
WALL_MS = int(RECEIVED.timestamp() * 1000)
NUMBERS = st.integers(0, 2**53)
DAY_MS = 86_400_000


def after(ms: float) -> datetime:
    return RECEIVED + timedelta(milliseconds=ms)


def item(mono_ms: int, wall_ms: int = WALL_MS, clock: wire.Clock = "unsynced") -> wire.Event:
    return wire.Event(
        seq=1, kind=EventKind.DOOR_OPENED, boot_id="a" * 32, mono_ms=mono_ms, wall_ms=wall_ms, clock=clock, data={}
    )  # fmt: skip


def test_the_boot_that_sends_is_dated_by_its_monotonic_clock() -> None:
    relation = live(10_000, RECEIVED, signed=True)
    assert relation.date(4_000, received_at=RECEIVED) == RECEIVED - timedelta(seconds=6)
    assert how(relation, same_boot=True) is Dated.LIVE


def test_a_batch_that_was_long_on_its_way_is_dated_by_what_came_before_it() -> None:
    relation = live(10_000, RECEIVED, signed=True)
    late = after(45_000)
    relation.observe(20_000, late, signed=False)
    assert relation.date(15_000, received_at=late) == after(5_000)


def test_a_message_that_was_faster_than_the_first_corrects_it() -> None:
    relation = live(10_000, after(800), signed=True)
    relation.observe(20_000, after(10_000), signed=True)
    assert relation.date(19_000, received_at=after(10_000)) == after(9_000)


def test_a_station_that_was_offline_for_days_is_corrected_by_its_first_message() -> None:
    """Its oscillator runs 20 ppm slow: over three days five seconds."""
    relation = live(0, RECEIVED, signed=True)
    relation.observe(5_000, after(5_000), signed=True)
    three_days = 3 * DAY_MS
    relation.observe(three_days, after(three_days * 1.00002), signed=True)
    middle = relation.date(three_days // 2, received_at=after(three_days * 1.00002))
    assert abs(middle - after(three_days // 2 * 1.00002)) < timedelta(milliseconds=10)


def test_an_earlier_boot_is_dated_by_what_the_hub_learnt_of_it_then() -> None:
    learnt = live(10_000, RECEIVED, signed=True)
    later = after(DAY_MS)
    relation = earlier(learnt, None, [item(12_000, wall_ms=0)], received_at=later)
    assert relation.date(12_000, received_at=later) == after(2_000)
    assert how(relation, same_boot=False) is Dated.ANCHORED


def test_a_clock_thirty_days_slow_is_put_right_by_a_later_sync() -> None:
    """D10: boot at -30 d, synchronised an hour later, reported by the next boot."""
    anchor = wire.Anchor(boot_id="a" * 32, mono_ms=3_600_000, wall_ms=WALL_MS)
    slow = item(60_000, wall_ms=WALL_MS - 30 * DAY_MS)
    later = after(2 * DAY_MS)
    relation = earlier(None, anchor, [slow], received_at=later)
    assert abs(relation.date(60_000, received_at=later) - after(60_000 - 3_600_000)) <= timedelta(seconds=2)
    assert how(relation, same_boot=False) is Dated.ANCHORED


def test_without_an_anchor_a_synchronised_clock_counts_and_any_other_is_an_estimate() -> None:
    synced = earlier(None, None, [item(1_000), item(500, WALL_MS - 7_000, "synced")], received_at=RECEIVED)
    assert synced.date(1_500, received_at=RECEIVED) == after(-6_000)
    assert how(synced, same_boot=False) is Dated.STATION_CLOCK
    guess = earlier(None, None, [item(1_000, WALL_MS - 90_000)], received_at=RECEIVED)
    assert guess.date(1_000, received_at=RECEIVED) == after(-90_000)
    assert how(guess, same_boot=False) is Dated.ESTIMATED


def test_better_evidence_takes_the_place_of_an_estimate_and_worse_of_nothing() -> None:
    guess = earlier(None, None, [item(1_000, 0)], received_at=RECEIVED)
    synced = earlier(guess, None, [item(2_000, WALL_MS, "synced")], received_at=RECEIVED)
    assert synced.source is Dated.STATION_CLOCK
    assert earlier(synced, None, [item(9_000, 5, "synced")], received_at=RECEIVED) is synced
    anchor = wire.Anchor(boot_id="a" * 32, mono_ms=1, wall_ms=WALL_MS)
    anchored = earlier(synced, anchor, [item(9_000)], received_at=RECEIVED)
    assert anchored.source is Dated.ANCHORED
    assert earlier(anchored, wire.Anchor(boot_id="a" * 32, mono_ms=1, wall_ms=5), [item(1)], received_at=RECEIVED) is (
        anchored
    )  # fmt: skip


def test_the_hubs_clock_was_set_and_what_it_says_now_counts() -> None:
    relation = live(0, RECEIVED, signed=True)
    relation.date(0, received_at=RECEIVED)
    back = after(-3_600_000)
    relation.observe(5_000, back, signed=True)
    assert relation.date(5_000, received_at=back) == back
    for n in range(14):  # and forward, once a minute has shown that it is no delay
        relation.observe(10_000 + 5_000 * n, after(7_200_000 + 5_000 * n), signed=True)
    assert relation.date(75_000, received_at=after(7_265_000)) == after(7_265_000)


def test_what_is_not_signed_moves_a_relation_by_little() -> None:
    relation = live(10_000, RECEIVED, signed=True)
    for mono_ms in (2**53, 9 * DAY_MS):
        relation.observe(mono_ms, RECEIVED, signed=False)
    assert relation.date(10_000, received_at=RECEIVED) == RECEIVED


def test_a_signed_word_takes_the_place_of_a_forged_first_one() -> None:
    relation = live(9 * DAY_MS, RECEIVED, signed=False)
    relation.observe(9 * DAY_MS + 1, after(-DAY_MS), signed=True)
    assert relation.date(9 * DAY_MS + 1, received_at=RECEIVED) == after(-DAY_MS)


@given(
    drift_ppm=st.integers(-100, 100),
    story=st.lists(
        st.tuples(st.integers(1, 2 * DAY_MS), st.integers(0, 30_000), st.booleans()), min_size=1, max_size=40
    ),
    restarts=st.sets(st.integers(0, 39)),
)
def test_within_a_boot_what_happened_later_is_never_dated_earlier(
    drift_ppm: int, story: list[tuple[int, int, bool]], restarts: set[int]
) -> None:
    """Any delays, any drift, any pauses, and a hub that forgets all but what it wrote down."""
    mono_ms, received_at = 0, RECEIVED
    relation: Relation | None = None
    dated: list[tuple[int, datetime]] = []
    for number, (pause_ms, delay_ms, signed) in enumerate(story):
        mono_ms += pause_ms
        true_ms = mono_ms + mono_ms * drift_ppm // 1_000_000
        received_at = max(received_at, after(true_ms + delay_ms))
        if relation is None:
            relation = live(mono_ms, received_at, signed=signed)
        else:
            if number in restarts:
                relation = Relation(relation.source, relation.knots, signed=relation.signed, changed=False)
            relation.observe(mono_ms, received_at, signed=signed)
        for happened_ms in {mono_ms, max(0, mono_ms - pause_ms // 2), max(0, mono_ms - 3 * pause_ms)}:
            at = relation.date(happened_ms, received_at=received_at)
            assert at <= received_at
            dated.append((happened_ms, at))
    dated.sort()
    assert [at for _, at in dated] == sorted(at for _, at in dated)


@given(
    drift_ppm=st.integers(-50, 50),
    delays_ms=st.lists(st.integers(0, 900), min_size=20, max_size=200),
    offline_ms=st.integers(0, 3 * DAY_MS),
)
def test_a_live_boot_is_dated_within_two_seconds(
    drift_ppm: int, delays_ms: list[int], offline_ms: int
) -> None:
    """Heartbeats every 5 s, an outage, heartbeats again: whatever happened meanwhile is right."""

    def true(mono_ms: int) -> datetime:
        return after(mono_ms + mono_ms * drift_ppm / 1_000_000)

    relation = live(0, after(delays_ms[0]), signed=True)
    mono_ms = 0
    for number, delay_ms in enumerate(delays_ms):
        mono_ms += 5_000 + (offline_ms if number == len(delays_ms) // 2 else 0)
        relation.observe(mono_ms, true(mono_ms) + timedelta(milliseconds=delay_ms), signed=True)
        for happened_ms in (mono_ms - 4_000, mono_ms - offline_ms // 2):
            at = relation.date(
                max(0, happened_ms), received_at=true(mono_ms) + timedelta(milliseconds=delay_ms)
            )
            assert abs(at - true(max(0, happened_ms))) <= timedelta(seconds=2)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from(["unsynced", "restored", "synced"])), min_size=1))
def test_any_numbers_of_an_earlier_boot_keep_their_order_and_lie_in_the_past(
    numbers: list[tuple[int, int, wire.Clock]],
) -> None:
    relation = earlier(None, None, [item(*each) for each in numbers], received_at=RECEIVED)
    found = [relation.date(mono_ms, received_at=RECEIVED) for mono_ms, _, _ in sorted(numbers)]
    assert found == sorted(found)
    assert all(datetime(2010, 1, 1, tzinfo=UTC) < at <= RECEIVED for at in found)


@given(first=NUMBERS, second=NUMBERS, third=NUMBERS, signed=st.booleans())
def test_any_numbers_of_a_live_boot_give_a_time_in_the_past(
    *, first: int, second: int, third: int, signed: bool
) -> None:
    relation = live(first, RECEIVED, signed=signed)
    relation.observe(second, RECEIVED, signed=signed)
    assert datetime(2010, 1, 1, tzinfo=UTC) < relation.date(third, received_at=RECEIVED) <= RECEIVED


def test_a_relation_never_grows_beyond_its_bound() -> None:
    relation = live(0, RECEIVED, signed=True)
    for n in range(1, 200):
        at = after(n * 600_000 * 1.01)
        relation.observe(n * 600_000, at, signed=True)
        relation.date(n * 600_000, received_at=at)
    assert len(relation.knots) <= timing.MOST_KNOTS


@pytest.mark.parametrize(
    ("age_ms", "same_boot", "late"),
    [
        pytest.param(0, True, False, id="now"),
        pytest.param(60_000, True, False, id="a-minute"),
        pytest.param(60_001, True, True, id="over-a-minute"),
        pytest.param(0, False, True, id="of-an-earlier-boot"),
    ],
)
def test_what_is_older_than_a_minute_or_of_an_earlier_boot_is_history(
    age_ms: int, *, same_boot: bool, late: bool
) -> None:
    assert is_backfill(sent_mono_ms=100_000, mono_ms=100_000 - age_ms, same_boot=same_boot) is late
