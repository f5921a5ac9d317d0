"""Bytes written in a day: scaled, windowed, told once a day, and not fooled by a counter that begins anew."""

from station_agent.core.wear import DAY_S, SAMPLE_S, SHORTEST_S, Wear

MB = 10**6


def run(wear: Wear, *, hours: float, mb_day: float, from_s: float = 0.0, from_bytes: int = 0) -> list[float]:
    """One look a minute. Hours at which it told."""
    told = []
    for minute in range(round(hours * 60) + 1):
        now_s = from_s + minute * 60
        if wear.see(from_bytes + round(mb_day * MB * minute / 1440), now_s=now_s):
            told.append(now_s / 3600)
    return told


def test_nothing_is_said_before_it_could_be_true() -> None:
    wear = Wear(limit_bytes=300 * MB)
    assert not wear.see(10**12, now_s=0.0)
    assert not wear.see(10**12 + 10**11, now_s=SHORTEST_S - 1)
    assert wear.bytes_day is None
    assert not wear.see(None, now_s=10 * SHORTEST_S)


def test_a_short_time_is_scaled_to_a_day() -> None:
    wear = Wear(limit_bytes=300 * MB)
    assert run(wear, hours=1, mb_day=120) == []
    assert wear.bytes_day == 120 * MB


def test_too_much_is_told_once_a_day() -> None:
    wear = Wear(limit_bytes=300 * MB)
    told = run(wear, hours=50, mb_day=400)
    assert [round(hour) for hour in told] == [0, 24, 48]


def test_only_the_last_day_counts() -> None:
    wear = Wear(limit_bytes=10**15)
    run(wear, hours=30, mb_day=900)
    written = round(900 * MB * 30 / 24)
    run(wear, hours=26, mb_day=100, from_s=30 * 3600, from_bytes=written)
    assert wear.bytes_day is not None
    assert abs(wear.bytes_day - 100 * MB) < 900 * MB * SAMPLE_S / DAY_S * 2


def test_a_counter_that_begins_anew_is_no_negative_number() -> None:
    wear = Wear(limit_bytes=300 * MB)
    run(wear, hours=2, mb_day=240)
    assert not wear.see(0, now_s=2.1 * 3600)
    run(wear, hours=1, mb_day=24, from_s=3 * 3600)
    assert wear.bytes_day is not None
    assert 0 <= wear.bytes_day <= 24 * MB
