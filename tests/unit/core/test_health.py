"""Sensors: lost and back, out of range and in."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.profiles import Sensor
from firmware_config.vocabulary import EventKind
from station_agent.core.health import Health

SENSOR = Sensor(name="temperature", kind="simulated", unit="C", low=0, high=100, period_s=10)
LOST, RESTORED = EventKind.SENSOR_LOST, EventKind.SENSOR_RESTORED
OUT, IN = EventKind.SENSOR_OUT_OF_RANGE, EventKind.SENSOR_IN_RANGE


def play(*values: float | None) -> tuple[Health, list[EventKind]]:
    health = Health(SENSOR, now_s=0)
    kinds: list[EventKind] = []
    for n, value in enumerate(values, start=1):
        kinds += [change.kind for change in health.read(value, now_s=n * 10)]
    return health, kinds


@pytest.mark.parametrize(
    ("values", "kinds", "verdict"),
    [
        pytest.param((20, 21, 22), [], "ok", id="well"),
        pytest.param((20, 101, 20), [], "ok", id="one reading outside is no change"),
        pytest.param((101, 101), [OUT], "out_of_range", id="two readings outside are"),
        pytest.param((-1, -1), [OUT], "out_of_range", id="below counts as well as above"),
        pytest.param((0, 100, 0), [], "ok", id="the limits belong to the range"),
        pytest.param((101, 101, 99, 99), [OUT], "out_of_range", id="just inside is not in range again"),
        pytest.param((101, 101, 97, 97), [OUT, IN], "ok", id="inside by the hysteresis is"),
        pytest.param((None, 20, None, 20), [], "ok", id="a reading that fails now and then"),
        pytest.param((None, None, 20, 20), [LOST, RESTORED], "ok", id="lost and back"),
        pytest.param((float("nan"), float("inf")), [LOST], "lost", id="not a number is no reading"),
        pytest.param((101, 101, None, None), [OUT, LOST], "lost", id="lost while out of range"),
        pytest.param(
            (101, 101, None, None, 101, 101), [OUT, LOST, RESTORED], "out_of_range", id="and back, still out"
        ),
        pytest.param((101, None, 101), [OUT], "out_of_range", id="a failed reading contradicts nothing"),
    ],
)
def test_changes_count_once_they_have_held(
    values: tuple[float | None, ...], kinds: list[EventKind], verdict: str
) -> None:
    health, told = play(*values)
    assert (told, health.verdict) == (kinds, verdict)


def test_a_change_names_sensor_value_and_range() -> None:
    health = Health(SENSOR, now_s=0)
    health.read(120.5, now_s=1)
    (change,) = health.read(121.5, now_s=11)
    assert change.data == {"sensor": "temperature", "value": 121.5, "unit": "C", "low": 0, "high": 100}


def test_a_reader_that_hangs_is_a_lost_sensor() -> None:
    health = Health(SENSOR, now_s=0)
    health.read(20, now_s=10)
    assert health.time_out(now_s=59) == ()
    assert [change.kind for change in health.time_out(now_s=60)] == [LOST]
    assert health.value is None
    assert health.time_out(now_s=120) == ()


@given(st.lists(st.sampled_from((None, -5.0, 0.5, 50.0, 99.0, 105.0)), max_size=40))
def test_begin_and_end_of_each_trouble_alternate(values: list[float | None]) -> None:
    _, told = play(*values)
    for begun, ended in ((LOST, RESTORED), (OUT, IN)):
        pair = [kind for kind in told if kind in {begun, ended}]
        assert not pair or pair[0] is begun
        assert all(a is not b for a, b in pairwise(pair))
