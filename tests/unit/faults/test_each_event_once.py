"""The machine of events catches each deliberate fault, and nothing in the true system with the same histories."""

import pytest

from tests.faults.model.event_mutants import MUTANTS
from tests.faults.model.events import search_events

BUDGET = 40
SEED = 1
WORTH = 12


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_fault_on_the_way_of_an_event_is_caught(name: str) -> None:
    broken, mutant = MUTANTS[name]
    with mutant() as make:
        found = search_events(BUDGET, SEED, make=make)
    assert found.violation is not None, f"{name!r} was not noticed in {BUDGET} histories"
    assert found.violation.startswith(broken), found.violation


def test_each_event_arrives_once_whatever_happens() -> None:
    found = search_events(WORTH, SEED)
    assert found.violation is None, found.history
    assert found.tally["events at the hub"] > 50
    for seen in ("events given up", "events as history", "rule copies", "rule replay", "rule kill_hub"):
        assert found.tally[seen] > 0, seen
