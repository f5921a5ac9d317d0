"""Sensors by the kernel's files, and the reader's turns. Time is moved by hand."""

from pathlib import Path

import pytest

from firmware_config.profiles import Sensor
from station_agent.devices.sensors import IioProbe, OnewireProbe, Probe, SensorReader
from station_agent.facts import Fact, SensorRead
from tests.support.hand_clock import HandClock


def wired(path: Path, **changes: float) -> Sensor:
    return Sensor(
        name="temperature", kind="iio", source=str(path), unit="C", low=0, high=50, scale=0.001, **changes
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("21500\n", 21.0), ("-500", -1.0), ("", None), ("error\n", None), ("nan", None), ("inf", None)],
)
def test_a_kernel_file_is_scaled_or_cannot_be_read(tmp_path: Path, text: str, value: float | None) -> None:
    path = tmp_path / "in_temp_input"
    path.write_text(text)
    assert IioProbe(wired(path, offset=-0.5)).read() == value


def test_a_file_that_is_gone_or_not_text_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "temperature"
    assert IioProbe(wired(path)).read() is None
    path.write_bytes(b"\xff\xfe")
    assert IioProbe(wired(path)).read() is None


def test_the_number_a_ds18b20_says_before_it_has_measured_is_no_temperature(tmp_path: Path) -> None:
    path = tmp_path / "temperature"
    path.write_text("85000\n")
    assert OnewireProbe(wired(path)).read() is None
    assert IioProbe(wired(path)).read() == 85.0
    path.write_text("84937\n")
    assert OnewireProbe(wired(path)).read() == pytest.approx(84.937)


class ScriptedProbe:
    """Says its values in turn."""

    def __init__(self, *values: float | None) -> None:
        self.values = list(values)

    def read(self) -> float | None:
        return self.values.pop(0)


def test_each_sensor_is_read_once_in_its_own_period() -> None:
    clock, facts = HandClock(), list[Fact]()
    sensors = [
        Sensor(name=name, kind="simulated", unit="C", low=0, high=1, period_s=period_s)
        for name, period_s in (("fast", 2), ("slow", 6))
    ]
    probes: dict[str, Probe] = {"fast": ScriptedProbe(1, 2, None, 4), "slow": ScriptedProbe(9, 8)}
    reader = SensorReader(sensors, probes, put=facts.append, clock=clock)
    waits = []
    for _ in range(4):
        waits.append(reader.read_due())
        clock.advance(waits[-1])
    assert waits == [2, 2, 2, 2]
    assert facts == [
        SensorRead("fast", 1),
        SensorRead("slow", 9),
        SensorRead("fast", 2),
        SensorRead("fast", None),
        SensorRead("fast", 4),
        SensorRead("slow", 8),
    ]


def test_a_sensor_that_is_lost_is_logged_once_and_once_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = HandClock()
    sensor = Sensor(name="co2", kind="simulated", unit="ppm", low=0, high=1, period_s=1)
    reader = SensorReader(
        [sensor], {"co2": ScriptedProbe(1, None, None, 2, 3)}, put=lambda _: None, clock=clock
    )
    caplog.set_level("INFO")
    for _ in range(5):
        clock.advance(reader.read_due())
    assert [record.message for record in caplog.records] == ["sensor lost", "sensor back"]
