"""The wall clock against CLOCK_BOOTTIME: what is a synchronisation, what is a step, and what dates a run."""

from hypothesis import given
from hypothesis import strategies as st

from firmware_config.vocabulary import EventKind
from firmware_config.wire import Clock
from station_agent.core.timekeeping import STEP_MS, Look, Timekeeping

MONTH_MS = 30 * 24 * 3_600_000


class Machine:
    """Looks once a second; ``wall_ms`` is moved by the test."""

    def __init__(self, wall_ms: int = 1_760_000_000_000, trust: Clock = "unsynced") -> None:
        self.timekeeping = Timekeeping()
        self.mono_ms, self.wall_ms, self.trust = 5_000, wall_ms, trust

    def look(self, *, step_ms: int = 0, trust: Clock | None = None) -> Look:
        self.mono_ms += 1_000
        self.wall_ms += 1_000 + step_ms
        self.trust = trust or self.trust
        return self.timekeeping.look(mono_ms=self.mono_ms, wall_ms=self.wall_ms, trust=self.trust)


def told(look: Look) -> list[tuple[EventKind, dict[str, object]]]:
    return [(change.kind, dict(change.data)) for change in look.changes]


def test_a_clock_that_runs_evenly_says_nothing() -> None:
    machine = Machine()
    assert [machine.look() for _ in range(10)] == [Look()] * 10


def test_a_clock_that_is_right_from_the_start_dates_the_run_once() -> None:
    machine = Machine(trust="synced")
    assert machine.look() == Look(anchor=True)
    assert [machine.look() for _ in range(5)] == [Look()] * 5


def test_synchronising_tells_how_far_the_clock_moved_and_dates_the_run() -> None:
    machine = Machine()
    machine.look()
    look = machine.look(step_ms=MONTH_MS, trust="synced")
    assert told(look) == [(EventKind.CLOCK_SYNCED, {"offset_s": MONTH_MS / 1000, "from": "unsynced"})]
    assert look.anchor


def test_a_clock_stepped_first_and_declared_right_later_tells_both() -> None:
    machine = Machine(trust="restored")
    machine.look()
    assert told(machine.look(step_ms=-5_000)) == [(EventKind.CLOCK_STEPPED, {"by_s": -5.0})]
    look = machine.look(trust="synced")
    assert told(look) == [(EventKind.CLOCK_SYNCED, {"offset_s": -5.0, "from": "restored"})]
    assert look.anchor


def test_a_step_of_a_synchronised_clock_dates_the_run_anew() -> None:
    machine = Machine(trust="synced")
    machine.look()
    look = machine.look(step_ms=3_000)
    assert told(look) == [(EventKind.CLOCK_STEPPED, {"by_s": 3.0})]
    assert look.anchor


def test_losing_synchronisation_and_finding_it_again_counts_from_the_loss() -> None:
    machine = Machine(trust="synced")
    machine.look()
    machine.look(trust="unsynced")
    assert told(machine.look(step_ms=-1_500, trust="synced")) == [
        (EventKind.CLOCK_SYNCED, {"offset_s": -1.5, "from": "unsynced"})
    ]


@given(st.lists(st.integers(-STEP_MS, STEP_MS), max_size=30))
def test_slewing_is_never_called_a_step(steps: list[int]) -> None:
    machine = Machine()
    machine.look()
    assert all(machine.look(step_ms=step).changes == () for step in steps)


@given(st.lists(st.one_of(st.just(0), st.integers(-MONTH_MS, MONTH_MS)), max_size=30))
def test_every_step_beyond_the_limit_is_told_with_its_size(steps: list[int]) -> None:
    machine = Machine()
    machine.look()
    found = [look.changes[0].data["by_s"] for step in steps if (look := machine.look(step_ms=step)).changes]
    assert found == [round(step / 1000, 3) for step in steps if abs(step) > STEP_MS]
