"""One suite over both backends: pins by gpiozero, and the simulated world. Time is moved by hand except where said."""

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_config.profiles import Sensor
from station_agent.clock import SystemClock
from station_agent.core.debounce import CHATTER_EDGES, QUIET_S
from station_agent.devices.rack import Rack
from station_agent.errors import AgentError, DeviceError
from station_agent.facts import (
    ContactChanged,
    ContactFaulted,
    ExitPressed,
    Fact,
    FireChanged,
    MainsChanged,
    SensorRead,
    TamperChanged,
)
from station_agent.simulate.world import World
from tests.support.bench import (
    ORDINARY,
    Bench,
    GpioBench,
    RememberingTrace,
    SimulatedBench,
    booted_factory,
    pass_time,
    profile,
    told,
)

BACKENDS = pytest.mark.parametrize("kind", [GpioBench, SimulatedBench], ids=["gpio", "simulated"])
RELAYS = ["relay:main", "siren", "prealarm:main"]


@pytest.fixture(params=[GpioBench, SimulatedBench], ids=["gpio", "simulated"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made: Bench = request.param()
    made.rack.start()
    assert told(made) == []
    yield made
    made.rack.close()


# relays


def test_a_relay_is_released_until_told_and_reads_back_what_it_does(bench: Bench) -> None:
    relay = bench.rack.relays["main"]
    seen = [relay.energised]
    for order in (relay.release, relay.energise, relay.energise, relay.release):
        order()
        seen.append(relay.energised)
    assert seen == [False, False, True, True, False]
    assert bench.coil("relay:main") == [False, True, False]


@pytest.mark.parametrize("wire", RELAYS)
def test_no_coil_moves_while_the_rack_is_opened_and_closed(bench: Bench, wire: str) -> None:
    bench.rack.close()
    assert bench.coil(wire) == [False]


def test_closing_releases_every_coil_and_may_be_done_twice(bench: Bench) -> None:
    siren = bench.rack.siren
    assert siren is not None
    bench.rack.relays["main"].energise()
    siren.sound()
    bench.rack.buzzers["main"].start()
    bench.rack.close()
    bench.rack.close()
    assert [bench.coil(wire) for wire in RELAYS] == [[False, True, False]] * 3
    assert not bench.rack.relays["main"].energised


def test_a_closed_relay_cannot_be_energised_but_is_always_released(bench: Bench) -> None:
    relay = bench.rack.relays["main"]
    relay.close()
    relay.release()
    with pytest.raises(DeviceError, match="relay:main"):
        relay.energise()
    assert bench.coil("relay:main") == [False]


def test_siren_and_buzzer_say_whether_they_sound(bench: Bench) -> None:
    siren, buzzer = bench.rack.siren, bench.rack.buzzers["main"]
    assert siren is not None
    siren.sound()
    buzzer.start()
    assert (siren.sounding, buzzer.sounding) == (True, True)
    siren.silence()
    buzzer.stop()
    assert (siren.sounding, buzzer.sounding) == (False, False)


# switches


def test_an_opening_is_told_once_it_has_held_and_only_once(bench: Bench) -> None:
    bench.set_wire("contact:main", active=True)
    pass_time(bench, 0.04)
    assert told(bench) == []
    assert bench.rack.contacts["main"].active is False
    pass_time(bench, 0.02)
    assert told(bench) == [ContactChanged(door="main", open=True)]
    assert bench.rack.contacts["main"].active is True
    pass_time(bench, 60)
    assert told(bench) == []


def test_a_bounce_is_nothing_and_a_blip_as_long_as_the_holding_time_is_told(bench: Bench) -> None:
    for gap_s, told_then in ((0.04, []), (0.06, [True, False])):
        bench.set_wire("contact:main", active=True)
        bench.clock.advance(gap_s)
        bench.set_wire("contact:main", active=False)
        pass_time(bench, 0.06)
        assert told(bench) == [ContactChanged(door="main", open=is_open) for is_open in told_then]


def test_a_chattering_contact_is_faulted_until_it_is_quiet(bench: Bench) -> None:
    for n in range(CHATTER_EDGES + 1):
        bench.set_wire("contact:main", active=n % 2 == 0)
    assert told(bench) == [ContactFaulted(door="main")]
    assert bench.rack.contacts["main"].active is None
    pass_time(bench, QUIET_S - 0.1)
    assert told(bench) == []
    pass_time(bench, 0.2)
    assert told(bench) == [ContactChanged(door="main", open=True)]


def test_only_the_press_of_the_exit_button_counts(bench: Bench) -> None:
    bench.set_wire("exit:main", active=True)
    pass_time(bench, 60)
    bench.set_wire("exit:main", active=False)
    pass_time(bench, 1)
    assert told(bench) == [ExitPressed(door="main")]


@pytest.mark.parametrize(
    ("wire", "moves", "facts"),
    [
        pytest.param("fire", (True, False), [FireChanged(active=True), FireChanged(active=False)], id="fire"),
        pytest.param(
            "tamper", (True, False), [TamperChanged(open=True), TamperChanged(open=False)], id="case"
        ),
        pytest.param(
            "mains", (False, True), [MainsChanged(present=False), MainsChanged(present=True)], id="mains"
        ),
    ],
)
def test_the_single_inputs_tell_their_changes(
    bench: Bench, wire: str, moves: tuple[bool, bool], facts: list[Fact]
) -> None:
    for active in moves:
        bench.set_wire(wire, active=active)
        pass_time(bench, 1)
    assert told(bench) == facts


@pytest.mark.parametrize(
    ("wire", "fact"),
    [
        ("fire", FireChanged(active=True)),
        ("tamper", TamperChanged(open=True)),
        ("mains", MainsChanged(present=False)),
    ],
)
def test_a_single_input_that_chatters_is_taken_for_the_worse(bench: Bench, wire: str, fact: Fact) -> None:
    start = wire == "mains"
    for n in range(CHATTER_EDGES + 1):
        bench.set_wire(wire, active=(n % 2 == 0) != start)
    assert told(bench) == [fact]


@BACKENDS
def test_trouble_at_start_is_told_and_the_ordinary_is_not(kind: type[GpioBench | SimulatedBench]) -> None:
    bench: Bench = kind(trouble=ORDINARY)
    assert told(bench) == []
    bench.rack.start()
    assert told(bench) == [FireChanged(active=True), TamperChanged(open=True), MainsChanged(present=False)]
    assert bench.rack.contacts["main"].active is True
    bench.rack.close()


@BACKENDS
def test_nothing_is_told_before_the_start_nor_after_the_end(kind: type[GpioBench | SimulatedBench]) -> None:
    bench: Bench = kind()
    bench.set_wire("tamper", active=True)
    bench.set_wire("tamper", active=False)
    bench.rack.start()
    assert told(bench) == []
    bench.rack.close()
    bench.set_wire("contact:main", active=True)
    assert told(bench) == []


@BACKENDS
def test_by_the_machines_clock_the_settler_tells_an_edge_by_itself(
    kind: type[GpioBench | SimulatedBench],
) -> None:
    bench = kind(clock=SystemClock())
    bench.rack.start()
    bench.set_wire("contact:main", active=True)
    assert bench.inbox.get(timeout=5) == ContactChanged(door="main", open=True)
    bench.set_wire("contact:main", active=False)
    assert bench.rack.wait_settled(5)
    assert told(bench) == [ContactChanged(door="main", open=False)]
    bench.rack.close()


# sensors


@pytest.mark.parametrize("kind", ["gpio", "simulated"])
def test_sensors_are_read_from_the_start_until_the_end(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "in_temp_input"
    file.write_text("21500")
    inbox: queue.SimpleQueue[Fact] = queue.SimpleQueue()
    here = Sensor(name="temperature", kind="simulated", unit="C", low=3, high=40, scale=0.001)
    sensors = [here]
    if kind == "gpio":
        iio = here.model_copy(update={"kind": "iio", "source": str(file)})
        sensors = [iio, iio.model_copy(update={"kind": "onewire", "name": "floor"})]
    wired = profile().model_copy(update={"sensors": sensors})
    if kind == "gpio":
        rack = Rack.gpio(wired, inbox.put, booted_factory())
    else:
        rack = Rack.simulated(wired, inbox.put, World(wired, RememberingTrace()))
    rack.start()
    read: list[Fact] = []
    while len(read) < len(sensors):
        if isinstance(fact := inbox.get(timeout=5), SensorRead):
            read.append(fact)
    assert read == [SensorRead(name=sensor.name, value=21.5) for sensor in sensors]
    rack.close()
    rack.close()


def test_a_simulated_sensor_on_real_pins_is_refused() -> None:
    sensor = Sensor(name="co2", kind="simulated", unit="ppm", low=0, high=2000)
    with pytest.raises(DeviceError, match="sensor co2"):
        Rack.gpio(profile().model_copy(update={"sensors": [sensor]}), lambda _: None, booted_factory())


# what only pins have


@pytest.mark.parametrize(
    ("name", "idle"), [("pi4-relay-a", False), ("pi5-relay-b", True)], ids=["active-high", "active-low"]
)
def test_released_is_the_idle_level_on_the_wire_from_reset_to_the_end(name: str, idle: bool) -> None:  # noqa: FBT001 (pytest passes it by name)
    bench = GpioBench(name=name)
    pin = bench.factory.pin(bench.profile.doors[0].relay.pin)
    relay = bench.rack.relays["main"]
    relay.energise()
    relay.release()
    bench.rack.close()
    assert pin.history() == [idle, not idle, idle]


def test_a_pin_that_is_taken_is_named_and_everything_opened_before_is_given_back() -> None:
    factory = booted_factory()
    first = GpioBench()
    first.rack.close()
    crowded = profile().model_copy(update={"fire": profile().tamper})
    with pytest.raises(DeviceError, match=r"tamper on BCM 25"):
        Rack.gpio(crowded, lambda _: None, factory)
    Rack.gpio(profile(), lambda _: None, factory).close()


def test_a_profile_without_pins_is_refused() -> None:
    with pytest.raises(DeviceError, match="--simulate"):
        Rack.gpio(profile("bench-fake"), lambda _: None, booted_factory())


def test_a_device_error_is_an_agent_error_and_an_os_error() -> None:
    assert issubclass(DeviceError, AgentError)
    assert issubclass(DeviceError, OSError)
