"""A tiny slice of ``make bench ARGS=backlog``: it runs, counts right, and loses nothing."""

import pytest

from tests.benchmarks import backlog
from tests.support.broker import mosquitto_program
from tests.support.parts import require


@pytest.mark.mosquitto
def test_a_drained_backlog_is_at_the_hub_once_and_each_alarm_counts_once() -> None:
    require(mosquitto_program(), "Mosquitto is not installed")
    size = backlog.Size(stations=3, events=700, readings=90, processes=1, alarm_every_s=0.2)

    outcome = backlog.run("sqlite", size)

    assert outcome.missing == 0
    assert outcome.web.errors == 0
    assert outcome.counted == outcome.raised == len(outcome.latencies_s) > 0
    assert backlog.rows("sqlite", outcome)[0].n == 3 * 790 + outcome.raised
