"""Short seeded slices of the campaigns on processes, files and clocks; ``make faults`` runs them in full."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.clocks import clocks, library
from tests.faults.disk import damage
from tests.faults.power import power
from tests.faults.small_disk import read_only
from tests.faults.stalls import stalls
from tests.support.broker import mosquitto_program
from tests.support.parts import permitted, program, require

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _broker() -> None:
    require(mosquitto_program(), "no Mosquitto; on Debian: apt-get install mosquitto")


def test_processes_that_stand_still_or_starve_move_no_door_late(tmp_path: Path) -> None:
    campaign = stalls(4, 1, tmp_path)
    assert campaign.violations == []
    assert campaign.n >= 4


def test_damaged_files_take_no_door_out_of_service(tmp_path: Path) -> None:
    campaign = damage(4, 1, tmp_path)
    assert campaign.violations == []
    assert campaign.n == 4


def test_a_disk_that_takes_no_writing_stops_orders_and_nothing_else(tmp_path: Path) -> None:
    permitted(
        not os.geteuid() and _runs("unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"),
        "no mounting here",
    )
    campaign = read_only(1, 1, tmp_path)
    assert campaign.violations == []
    assert campaign.n == 1


def test_a_power_cut_takes_nothing_that_was_promised(tmp_path: Path) -> None:
    require(program("strace"), "no strace; on Debian: apt-get install strace")
    permitted(_runs("strace", "-o", "/dev/null", "true"), "no tracing here")
    campaign = power(40, 1, tmp_path)
    assert campaign.violations == []
    assert campaign.n == 40
    assert campaign.figures["promises"] == 40


def _runs(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_wrong_clocks_open_no_door_and_keep_none_shut(tmp_path: Path) -> None:
    require(library(), "no libfaketime; on Debian: apt-get install faketime")
    campaign = clocks(3, 1, tmp_path)
    assert campaign.violations == []
    assert campaign.n == 3
