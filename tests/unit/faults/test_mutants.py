"""The model catches one deliberate fault for each invariant, and nothing in the true system with the same budget."""

import pytest

from tests.faults.model.mutants import MUTANTS
from tests.faults.model.search import search

BUDGET = 300
SEED = 4


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_fault_against_an_invariant_is_caught(name: str) -> None:
    with MUTANTS[name]() as make:
        found = search(BUDGET, SEED, make=make)
    assert found.violation is not None, f"{name} was not noticed in {BUDGET} histories"
    assert found.violation.startswith(f"{name}:")
    assert "state." in found.history


def test_the_true_system_breaks_nothing_and_the_histories_are_worth_something() -> None:
    found = search(BUDGET, SEED)
    assert found.violation is None, found.history
    assert found.tally["histories"] >= BUDGET
    for seen in ("pulses", "final OPENED", "final PULSED_NOT_OPENED", "final INTERRUPTED", "final REJECTED"):
        assert found.tally[seen] > 0, seen
