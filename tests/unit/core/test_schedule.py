"""Opening hours as the clock on the wall says, against a second model that looks at every minute."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_config.roster import Group, Opening, SpecialDay
from station_agent.core.schedule import always_open, at_station, current, hours_on
from tests.support.rosters import ALWAYS, DAY, NIGHT, OFFICE

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    SHANGHAI,
    BERLIN,
    *map(ZoneInfo, ["America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran"]),
]
"""With and without summer time, by an hour and by half an hour, to the north and to the south."""

GOLDEN_WEEK = {
    day: SpecialDay(day=day, kind="holiday") for day in ("2026-10-01", "2026-10-02", "2026-10-05")
} | {"2026-10-10": SpecialDay(day="2026-10-10", kind="workday", as_weekday=3)}
"""2026-10-01 is a Thursday; Saturday the 10th is worked as a Thursday."""


def wall(text: str, zone: ZoneInfo = SHANGHAI, *, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def is_open(text: str, group: Group, zone: ZoneInfo = SHANGHAI) -> bool:
    return current(wall(text, zone), group, GOLDEN_WEEK) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-06T07:59:59", False),
        ("2026-05-06T08:00", True),
        ("2026-05-06T17:59:59.999", True),
        ("2026-05-06T18:00", False),
        ("2026-05-09T12:00", False),
    ],
)
def test_an_opening_includes_its_first_minute_and_not_its_last(text: str, *, expected: bool) -> None:
    assert is_open(text, OFFICE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-06T21:59", False),
        ("2026-05-06T23:00", True),
        ("2026-05-07T05:59", True),
        ("2026-05-07T06:00", False),
    ],
)
def test_a_night_runs_past_midnight(text: str, *, expected: bool) -> None:
    assert is_open(text, NIGHT) == expected


def test_a_holiday_has_the_groups_holiday_hours() -> None:
    assert not is_open("2026-10-01T12:00", OFFICE)
    assert is_open("2026-10-01T12:00", ALWAYS)
    short = Group(id="short", weekly=OFFICE.weekly, holiday=[Opening(600, 720)])
    assert is_open("2026-10-01T11:00", short)
    assert not is_open("2026-10-01T13:00", short)


def test_a_make_up_workday_has_the_hours_of_its_weekday() -> None:
    assert is_open("2026-10-10T12:00", OFFICE)
    late_thursdays = Group(id="late", weekly=[[], [], [], [Opening(1200, 1320)], [], [], []])
    assert is_open("2026-10-10T21:00", late_thursdays)
    assert not is_open("2026-10-17T21:00", late_thursdays)


def test_a_night_that_begins_before_a_holiday_goes_on_into_it() -> None:
    night = Group(id="night", weekly=NIGHT.weekly, holiday=[])
    assert is_open("2026-10-01T05:00", night)
    assert not is_open("2026-10-01T23:00", night)
    assert not is_open("2026-10-03T05:00", night)


def test_openings_that_touch_are_one() -> None:
    halves = Group(id="halves", weekly=[[Opening(720, 1080), Opening(480, 720)]] * 7)
    found = current(wall("2026-05-06T13:00"), halves, {})
    assert found is not None
    assert found.began_at == wall("2026-05-06T08:00").astimezone(UTC)


def test_a_chain_of_openings_is_followed_back_over_midnight_but_not_for_ever() -> None:
    found = current(wall("2026-05-06T13:00"), ALWAYS, {})
    assert found is not None
    assert found.began_at < wall("2026-04-30T00:00")


def test_the_skipped_hour_of_spring_is_never_seen_and_shortens_the_opening() -> None:
    early = Group(id="early", weekly=[[Opening(120, 240)]] * 7)
    seen = [
        minute
        for minute in range(240)
        if current(at_station(1_774_738_800_000 + minute * 60_000, BERLIN), early, {}) is not None
    ]
    # 2026-03-29 00:00 in Berlin; at 02:00 it is 03:00
    assert seen == list(range(120, 180))


def test_the_repeated_hour_of_autumn_counts_both_times() -> None:
    early = Group(id="early", weekly=[[Opening(120, 180)]] * 7)
    midnight_ms = round(wall("2026-10-25T00:00", BERLIN).timestamp() * 1000)
    seen = [
        minute
        for minute in range(300)
        if current(at_station(midnight_ms + minute * 60_000, BERLIN), early, {}) is not None
    ]
    assert seen == list(range(120, 240))


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        pytest.param(ALWAYS, True, id="always"),
        pytest.param(OFFICE, False, id="office"),
        pytest.param(Group(id="g", weekly=[[DAY]] * 7, holiday=[]), False, id="closed on holidays"),
        pytest.param(Group(id="g", weekly=[[DAY]] * 7, holiday=[DAY]), True, id="open on holidays"),
        pytest.param(
            Group(id="g", weekly=[[Opening(700, 1440), Opening(0, 720)]] * 7), True, id="in two halves"
        ),
        pytest.param(
            Group(id="g", weekly=[[Opening(0, 719), Opening(720, 1440)]] * 7), False, id="but for a minute"
        ),
        pytest.param(Group(id="g", weekly=[[Opening(0, 1439)]] * 7), False, id="but for the last"),
    ],
)
def test_always_open_means_every_minute_of_any_day(group: Group, *, expected: bool) -> None:
    assert always_open(group) == expected


# Over every week, calendar and zone

OPENINGS = st.builds(
    lambda opens, length: Opening(opens, opens + length), st.integers(0, 1439), st.integers(1, 1440)
)
HOURS = st.lists(OPENINGS, max_size=3)
GROUP = st.builds(
    lambda weekly, holiday: Group(id="any", weekly=weekly, holiday=holiday),
    st.lists(HOURS, min_size=7, max_size=7),
    st.none() | HOURS,
)
INSTANT = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 (the strategy adds the zone)


def calendar_around(now: datetime, kinds: list[tuple[int, str, int]]) -> dict[str, SpecialDay]:
    days = [((now + timedelta(days=offset)).date(), kind, weekday) for offset, kind, weekday in kinds]
    return {
        day.isoformat(): SpecialDay(
            day=day.isoformat(), kind="holiday" if kind == "holiday" else "workday", as_weekday=weekday
        )
        for day, kind, weekday in days
    }


def open_by_looking(now: datetime, group: Group, calendar: dict[str, SpecialDay]) -> bool:
    """The same question asked the plain way: the wall's own date and minute, today's hours and yesterday's."""
    minute = now.hour * 60 + now.minute
    today = now.date()
    return any(
        opening.opens_min <= minute + shift < opening.closes_min
        for day, shift in ((today, 0), (today - timedelta(days=1), 1440))
        for opening in hours_on(day, group, calendar)
    )


SPECIALS = st.lists(
    st.tuples(st.integers(-2, 1), st.sampled_from(["holiday", "workday"]), st.integers(0, 6)), max_size=3
)


@settings(max_examples=400, deadline=None)
@given(moment=INSTANT, zone=st.sampled_from(ZONES), group=GROUP, specials=SPECIALS)
def test_open_is_what_the_wall_says_in_every_zone(
    moment: datetime, zone: ZoneInfo, group: Group, specials: list[tuple[int, str, int]]
) -> None:
    now = at_station(round(moment.timestamp() * 1000), zone)
    calendar = calendar_around(now, specials)
    found = current(now, group, calendar)
    assert (found is not None) == open_by_looking(now, group, calendar)
    if found is not None:
        began = found.began_at.astimezone(zone)
        local = datetime.combine(began.date(), time(began.hour, began.minute))
        # by the wall it began before now, unless summer time skipped its first minutes
        assert local - timedelta(hours=1) <= now.replace(tzinfo=None)


@settings(max_examples=100, deadline=None)
@given(moment=INSTANT, zone=st.sampled_from(ZONES), group=GROUP)
def test_an_always_open_group_is_open_whenever_one_looks(
    moment: datetime, zone: ZoneInfo, group: Group
) -> None:
    now = at_station(round(moment.timestamp() * 1000), zone)
    if always_open(group):
        assert current(now, group, {}) is not None
    assert current(now, ALWAYS, {}) is not None


@settings(max_examples=60, deadline=None)
@given(day=st.dates(date(2026, 1, 1), date(2027, 12, 31)), zone=st.sampled_from(ZONES))
def test_office_hours_last_ten_hours_whatever_the_clock_does_at_night(day: date, zone: ZoneInfo) -> None:
    start = datetime.combine(day, time(0), zone)
    first_ms = round(start.timestamp() * 1000)
    every_day = Group(id="office", weekly=[[Opening(480, 1080)]] * 7)
    minutes = sum(
        current(now, every_day, {}) is not None
        for now in (at_station(first_ms + minute * 60_000, zone) for minute in range(26 * 60))
        if now.date() == day
    )
    assert minutes == 600
