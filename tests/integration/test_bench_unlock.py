"""A tiny slice of ``make bench ARGS=unlock``: it runs, and every order it counts is one that opened a door."""

import pytest

from tests.benchmarks import unlock
from tests.support.broker import mosquitto_program
from tests.support.parts import require


@pytest.mark.mosquitto
def test_every_click_is_counted_once_with_its_edge_and_its_end() -> None:
    require(mosquitto_program(), "Mosquitto is not installed")

    clicks = unlock.run("sqlite", orders=4, stations=1, warm_up=1)

    assert len(clicks) == 4
    for click in clicks:
        assert click.state == "OPENED"
        assert click.reference_ms > 0
        assert 0 < click.edge_ms < click.final_ms
        assert set(click.hops_ms) == set(unlock.STATES)
    assert [row.n for row in unlock.rows("sqlite", clicks)] == [4] * 7
