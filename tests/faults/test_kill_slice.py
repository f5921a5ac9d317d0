"""A dozen deaths of agents, bridge, web and broker while people use the doors; ``make faults`` does a thousand."""

from pathlib import Path

import pytest

from tests.faults.processes import kills
from tests.support.broker import mosquitto_program
from tests.support.parts import require


@pytest.mark.mosquitto
@pytest.mark.timeout(300)
def test_a_dozen_deaths_lose_nothing_and_move_no_door_twice(tmp_path: Path) -> None:
    require(mosquitto_program(), "no Mosquitto; on Debian: apt-get install mosquitto")
    campaign = kills(12, 1, tmp_path)
    assert campaign.violations == []
    assert campaign.n >= 12
    died_in = {word.partition(".")[0] for word in str(campaign.figures["places"]).split(", ")}
    assert {"agent", "bridge"} <= died_in, campaign.figures
    assert campaign.figures["most pulses of an order"] == 1
