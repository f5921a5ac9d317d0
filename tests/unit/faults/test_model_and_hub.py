"""The model's hub does, step by step, as the real one does over a real database; and a difference is noticed."""

from functools import partial

from cloud_hub.models.command import CommandState as S
from tests.faults.model.differential import TwinHub
from tests.faults.model.hub import Row
from tests.faults.model.search import search, search_twin
from tests.faults.model.world import World


def test_model_and_hub_agree_after_every_step() -> None:
    found = search_twin(15, 3)
    assert found.violation is None, found.history
    assert found.tally["steps compared"] > 500
    assert found.tally["pulses"] > 0


class Hopeful(TwinHub):
    """Its model takes silence after GO for "never began"; the real hub does not."""

    def give_up(self, row: Row) -> None:
        self._end(row, S.NO_CHALLENGE, "silent")


def test_a_model_that_differs_is_noticed() -> None:
    found = search(60, 3, make=partial(World, hub=Hopeful))
    assert found.violation is not None
    assert found.violation.startswith("twin:")
