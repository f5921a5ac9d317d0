"""The lgpio driver as the agent sets it up. The driver itself needs a Pi; here its calls are recorded."""

import sys
from collections.abc import Iterator

import pytest
from gpiozero.pins.local import LocalPiFactory

from firmware_config.profiles import RelayOutput
from station_agent.devices.board import Board
from station_agent.devices.relay import GpioRelay
from station_agent.errors import DeviceError
from tests.support.recorded_lgpio import RecordedLgpio

PI_4B = 0xC03111
ACTIVE_LOW = RelayOutput(pin=5, active_high=False)
ACTIVE_HIGH = RelayOutput(pin=17)


@pytest.fixture
def lgpio(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedLgpio]:
    driver = RecordedLgpio()
    monkeypatch.setitem(sys.modules, "lgpio", driver)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    monkeypatch.setattr(LocalPiFactory, "_get_revision", lambda _: PI_4B)
    yield driver
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)


@pytest.mark.parametrize(
    ("wiring", "idle"), [(ACTIVE_LOW, 1), (ACTIVE_HIGH, 0)], ids=["active-low", "active-high"]
)
def test_a_relay_is_claimed_at_its_idle_level_in_one_call(
    lgpio: RecordedLgpio, wiring: RelayOutput, idle: int
) -> None:
    board = Board()
    relay = GpioRelay(wiring, name="relay:main", board=board)
    assert lgpio.calls == [("open", 0), ("input", wiring.pin), ("output", wiring.pin, idle)]
    relay.energise()
    assert relay.energised
    relay.close()
    board.close()
    assert lgpio.calls[3:] == [("write", wiring.pin, 1 - idle), ("write", wiring.pin, idle), ("close", 7)]
    assert lgpio.modes[wiring.pin] != 0, "a released relay stays driven at its idle level"


def test_a_driver_that_fails_is_a_device_error_that_names_the_wire(lgpio: RecordedLgpio) -> None:
    board = Board()
    relay = GpioRelay(ACTIVE_HIGH, name="relay:main", board=board)
    lgpio.broken = True
    with pytest.raises(DeviceError, match="relay:main: GPIO not allocated"):
        relay.energise()
    with pytest.raises(DeviceError, match="relay:main"):
        relay.close()
    relay.close()
    assert not relay.energised


def test_a_computer_that_is_no_pi_is_refused(lgpio: RecordedLgpio, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: LocalPiFactory) -> int:
        raise OSError("no Pi revision")

    monkeypatch.setattr(LocalPiFactory, "_get_revision", unknown)
    with pytest.raises(DeviceError, match="GPIO: no Pi revision"):
        Board()
    assert lgpio.calls == []


def test_a_missing_driver_is_named_and_no_other_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    with pytest.raises(DeviceError, match="lgpio package is missing"):
        Board()
