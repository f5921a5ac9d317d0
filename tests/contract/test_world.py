"""The simulated world by itself: wires, and people who take their time. By the machine's clock, so only bounds count."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_config.profiles import HardwareProfile, load_profile
from station_agent.clock import SystemClock
from station_agent.errors import AgentError
from station_agent.simulate import world as world_module
from station_agent.simulate.trace import Trace
from station_agent.simulate.world import World

SOON_S = 5.0


@pytest.fixture
def bench_profile() -> HardwareProfile:
    return load_profile("bench-fake", beside=Path("station.toml"))


@pytest.fixture
def world(tmp_path: Path, bench_profile: HardwareProfile) -> Iterator[World]:
    trace = Trace(tmp_path / "trace", SystemClock())
    made = World(bench_profile, trace)
    yield made
    made.close()
    trace.close()


def edges(tmp_path: Path) -> list[tuple[str, int]]:
    lines = (tmp_path / "trace").read_text().splitlines()
    return [(edge["device"], edge["value"]) for edge in map(json.loads, lines)]


def test_every_wire_is_in_the_trace_from_the_start(tmp_path: Path, world: World) -> None:
    assert dict(edges(tmp_path)) == world.levels()
    assert world.levels() == {
        "relay:main": 0,
        "contact:main": 0,
        "exit:main": 0,
        "prealarm:main": 0,
        "fire": 0,
        "tamper": 0,
        "mains": 1,
        "siren": 0,
    }


def test_edges_are_traced_and_told_and_levels_that_stay_are_not(tmp_path: Path, world: World) -> None:
    told: list[bool] = []
    world.watch("contact:main", told.append)
    start = len(edges(tmp_path))
    for is_open in (True, True, False):
        world.set_contact("main", is_open=is_open)
    world.unwatch("contact:main")
    world.set_contact("main", is_open=True)
    assert told == [True, False]
    assert edges(tmp_path)[start:] == [("contact:main", 1), ("contact:main", 0), ("contact:main", 1)]


def test_the_single_wires_can_be_moved(tmp_path: Path, world: World) -> None:
    start = len(edges(tmp_path))
    world.set_fire(active=True)
    world.set_tamper(is_open=True)
    world.set_mains(present=False)
    world.set_exit("main", pressed=True)
    assert edges(tmp_path)[start:] == [("fire", 1), ("tamper", 1), ("mains", 0), ("exit:main", 1)]


def test_a_pressed_button_comes_up_again_and_energises_nothing_by_itself(
    tmp_path: Path, world: World
) -> None:
    world.press_exit("main")
    assert world.levels()["exit:main"] == 1
    assert world.wait_for("exit:main", active=False, within_s=SOON_S)
    assert ("relay:main", 1) not in edges(tmp_path)


def test_a_person_walks_through_once_the_lock_is_released(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world_module, "PASS_S", 0.1)
    world.walk_through("main")
    assert not world.wait_for("contact:main", active=True, within_s=0.2)
    begun_s = time.monotonic()
    world.drive("relay:main", active=True)
    assert world.wait_for("contact:main", active=True, within_s=SOON_S)
    assert time.monotonic() - begun_s >= world_module.REACH_S
    assert world.wait_for("contact:main", active=False, within_s=SOON_S)


def test_nobody_walks_through_a_door_that_locked_again_before_the_hand_was_on_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world_module, "REACH_S", 0.1)
    world.walk_through("main")
    world.drive("relay:main", active=True)
    world.drive("relay:main", active=False)
    assert not world.wait_for("contact:main", active=True, within_s=0.3)
    world.drive("relay:main", active=True)
    assert world.wait_for("contact:main", active=True, within_s=SOON_S)


def test_whoever_waits_too_long_goes_away(world: World) -> None:
    world.walk_through("main", patience_s=0.05)
    assert not world.wait_for("contact:main", active=True, within_s=0.2)
    world.drive("relay:main", active=True)
    assert not world.wait_for("contact:main", active=True, within_s=0.5)


def test_a_loose_wire_gives_many_edges_and_ends_where_it_was(tmp_path: Path, world: World) -> None:
    start = len(edges(tmp_path))
    world.chatter("main", edges=30)
    assert len(edges(tmp_path)) - start == 30
    assert world.levels()["contact:main"] == 0


def test_sensors_measure_what_they_are_given(world: World) -> None:
    assert world.sensor("temperature") == 21.5
    world.set_sensor("temperature", None)
    assert world.sensor("temperature") is None


def test_an_unknown_wire_or_sensor_is_named(world: World) -> None:
    with pytest.raises(AgentError, match="no 'contact:back'"):
        world.set_contact("back", is_open=True)
    with pytest.raises(AgentError, match="no sensor 'radon'"):
        world.set_sensor("radon", 1)
    with pytest.raises(AgentError, match="relay:back"):
        world.walk_through("back")
