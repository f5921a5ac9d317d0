"""A short, seeded slice of each network campaign; ``make faults`` runs them at length."""

from pathlib import Path

import pytest

from tests.faults import cable, hostile, network, outages, raw, reunion
from tests.support.parts import permitted, program, require

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(300)]


def test_a_bad_line_makes_nobody_lie(tmp_path: Path) -> None:
    campaign = network.run(5, 4, tmp_path)
    assert campaign.violations == []
    assert {"1 verdict n", "2 verdict n", "4 last word n", "5 last word n"} <= campaign.figures.keys()


def test_a_pulled_cable_opens_nothing_later(tmp_path: Path) -> None:
    campaign = cable.run(2, 4, tmp_path)
    permitted(campaign.n, "no network namespaces here")
    assert campaign.violations == []
    assert campaign.figures["1 verdict n"] == 2


def test_a_broker_that_remembers_older_things_moves_no_relay(tmp_path: Path) -> None:
    require(program("mosquitto_pub"), "no mosquitto_pub; on Debian: apt-get install mosquitto-clients")
    campaign = outages.run_brokers(1, 4, tmp_path)
    assert campaign.violations == []
    assert campaign.figures["10 back online n"] == 1


def test_orders_through_a_hostile_broker_keep_every_promise(tmp_path: Path) -> None:
    campaign = hostile.run(3, 4, tmp_path)
    assert campaign.violations == []
    assert campaign.n == 3


def test_corrupt_frames_stop_neither_side(tmp_path: Path) -> None:
    assert raw.run(8, 4, tmp_path).violations == []


def test_stations_that_come_back_together_have_lost_nothing(tmp_path: Path) -> None:
    campaign = reunion.run(8, 4, tmp_path)
    assert campaign.violations == []
    assert campaign.figures["connections"] == 16
