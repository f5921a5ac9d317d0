from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from cloud_hub.demo.keeper import DARK_S, LONGEST_PAUSE_S, Keeper

if TYPE_CHECKING:
    from cloud_hub.demo.processes import Child


@dataclass
class FakeChild:
    """A program without a process."""

    name: str
    starts: int = 0
    alive: bool = False
    order: list[str] = field(default_factory=list)

    @property
    def pid(self) -> int | None:
        return 4242 if self.alive else None

    @property
    def returncode(self) -> int | None:
        return None if self.alive else -9

    def start(self) -> None:
        self.starts += 1
        self.alive = True

    def kill(self) -> None:
        self.alive = False

    def interrupt(self) -> None:
        self.order.append(self.name)

    def wait(self) -> None:
        self.alive = False


class Bench:
    """A keeper whose time stands still until told, and which looks when told."""

    def __init__(self, tmp_path: Path) -> None:
        self.now_s = 1000.0
        self.said: list[str] = []
        self.held = False
        self.keeper = Keeper(self.said.append, clock=lambda: self.now_s, held=lambda _: self.held)
        self.web = FakeChild("web")
        self.station = FakeChild("st-demo0001")
        self.keeper.start(cast("Child", self.web))
        self.keeper.start(cast("Child", self.station), store=tmp_path)

    def later(self, seconds: float) -> None:
        self.now_s += seconds
        self.keeper.look()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_service_comes_back_at_once(bench: Bench) -> None:
    bench.later(60)
    bench.web.alive = False
    bench.later(0.1)
    assert (bench.web.starts, bench.keeper.deaths("web")) == (2, 1)
    assert bench.said == ["web died (signal 9); starting it again"]


def test_a_service_that_dies_at_once_is_given_longer_and_longer_pauses(bench: Bench) -> None:
    for _ in range(600):
        bench.web.alive = False
        bench.later(0.1)
    assert bench.web.starts < 25
    bench.web.alive = False
    bench.later(0.1)
    bench.later(LONGEST_PAUSE_S)
    assert bench.web.alive


def test_a_station_that_died_stays_dark_long_enough_for_its_alarm(bench: Bench) -> None:
    bench.later(60)
    bench.station.alive = False
    bench.later(0.1)
    bench.later(DARK_S - 1)
    assert (bench.station.alive, bench.keeper.power("st-demo0001")) == (False, "dark")
    bench.later(1.1)
    assert bench.station.alive


def test_a_station_that_somebody_else_runs_is_left_to_them(bench: Bench) -> None:
    bench.station.alive = False
    bench.held = True
    for _ in range(20):
        bench.later(10)
    assert (bench.station.starts, bench.keeper.power("st-demo0001")) == (1, "elsewhere")
    bench.held = False
    bench.later(DARK_S - 1)
    assert bench.station.starts == 1
    bench.later(2)
    assert bench.station.starts == 2


def test_a_station_without_power_waits_for_the_visitor(bench: Bench) -> None:
    bench.keeper.cut("st-demo0001")
    bench.later(10 * DARK_S)
    assert (bench.station.alive, bench.keeper.power("st-demo0001")) == (False, "cut")
    bench.keeper.restore("st-demo0001")
    assert (bench.station.alive, bench.keeper.power("st-demo0001")) == (True, "on")
    assert bench.keeper.deaths("st-demo0001") == 0


def test_restoring_the_power_of_a_running_station_starts_nothing(bench: Bench) -> None:
    bench.keeper.restore("st-demo0001")
    assert bench.station.starts == 1


def test_stations_stop_before_the_services_they_report_to(bench: Bench) -> None:
    bench.web.order = bench.station.order
    bench.keeper.close()
    assert bench.station.order[0] == "st-demo0001"
    assert not bench.web.alive
    bench.later(DARK_S * 2)
    assert bench.web.starts == 1
