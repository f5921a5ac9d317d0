"""The checker of recorded histories: a good one passes, and each kind of violation is found, by its own rule alone."""

from dataclasses import replace

import pytest

from tests.faults.checker import check
from tests.faults.history import Audited, Died, Edge, History, Order, Placed, Put, Row, Shown, Step, Stood

ID = "c1"
ST = "st-rig0001"


def good() -> History:
    """One order: challenged, authorised, pulsed, opened; shown at each moment as it was."""
    return History(
        edges=[
            Edge(0.0, ST, "relay:d1", 0),
            Edge(10.30, ST, "relay:d1", 1),
            Edge(10.80, ST, "contact:d1", 1),
            Edge(10.80, ST, "relay:d1", 0),
            Edge(12.00, ST, "contact:d1", 0),
        ],
        steps=[
            Step(10.0, ID, "REQUESTED"),
            Step(10.1, ID, "CHALLENGED"),
            Step(10.2, ID, "AUTHORISED"),
            Step(10.9, ID, "OPENED"),
        ],
        audit=[Audited(10.2, "door:unlock:authorised", ID), Audited(10.9, "door:unlock:opened", ID)],
        shown=[
            Shown(10.00, 10.05, ID, "REQUESTED", final=False),
            Shown(10.21, 10.40, ID, "CHALLENGED", final=False),
            Shown(10.35, 10.45, ID, "PULSING", final=False),
            Shown(11.00, 11.10, ID, "OPENED", final=True),
        ],
        placed=[Placed(10.01, ID)],
        puts=[Put(10.8, ST, "d1", kept=True)],
        rows=[
            Row(9.0, ST, "i", 1, "station.started", "None"),
            Row(10.8, ST, "i", 2, "door.opened", "d1"),
        ],
        orders=[Order(ID, ST, "d1", 1.0, "OPENED", final=True)],
    )


def rules(history: History) -> set[str]:
    return {violation.rule for violation in check(history)}


def ended_as(state: str, *, final: bool = True) -> History:
    """The good history, with another end on record and on the screen."""
    history = good()
    history.orders = [replace(history.orders[0], state=state, final=final)]
    history.shown = [Shown(13.0, 13.1, ID, state, final=final)]
    return history


def test_a_good_history_passes() -> None:
    assert check(good()) == []


def test_an_empty_history_passes() -> None:
    assert check(History()) == []


def test_i1_a_second_pulse_is_found() -> None:
    history = good()
    history.edges += [Edge(12.5, ST, "relay:d1", 1), Edge(12.6, ST, "relay:d1", 0)]
    assert rules(history) == {"I1"}


def test_i2_a_late_pulse_is_found() -> None:
    history = good()
    history.edges[1] = Edge(13.5, ST, "relay:d1", 1)
    history.edges[2:] = [Edge(13.8, ST, "contact:d1", 1), Edge(13.8, ST, "relay:d1", 0)]
    history.shown = []
    assert rules(history) == {"I2"}


def test_i3_a_pulse_that_nobody_authorised_is_found() -> None:
    history = good()
    history.edges += [Edge(20.0, ST, "relay:d2", 1), Edge(21.0, ST, "relay:d2", 0)]
    assert rules(history) == {"I3"}


@pytest.mark.parametrize("entries", [0, 2])
def test_i3_an_authorised_row_has_exactly_one_audit_entry(entries: int) -> None:
    history = good()
    history.audit = [Audited(10.2, "door:unlock:authorised", ID)] * entries
    assert rules(history) == {"I3"}


def test_i3_an_audit_entry_without_its_row_is_found() -> None:
    history = good()
    history.audit.append(Audited(30.0, "door:unlock:authorised", "c2"))
    assert rules(history) == {"I3"}


@pytest.mark.parametrize("state", ["DEVICE_OFFLINE", "NO_CHALLENGE", "REJECTED", "EXPIRED"])
def test_i4_never_pulsed_is_a_lie_about_a_relay_that_moved(state: str) -> None:
    assert rules(ended_as(state)) == {"I4"}


def test_i4_not_opened_is_a_lie_about_a_door_that_opened() -> None:
    assert rules(ended_as("PULSED_NOT_OPENED")) == {"I4"}


def test_i4_a_fault_of_the_relay_is_a_lie_about_one_that_followed() -> None:
    assert rules(ended_as("ACTUATOR_FAULT")) == {"I4"}


def test_i4_opened_is_a_lie_about_a_door_that_stayed_shut() -> None:
    history = good()
    history.edges = [edge for edge in history.edges if not edge.wire.startswith("contact:")]
    history.puts, history.rows = [], []
    assert rules(history) == {"I4"}


def test_i4_pulsing_before_the_relay_moves_is_a_lie() -> None:
    history = good()
    history.shown.append(Shown(10.22, 10.25, ID, "PULSING", final=False))
    assert rules(history) == {"I4"}


def test_i4_still_challenged_after_the_relay_moved_is_a_lie() -> None:
    history = good()
    history.shown.append(Shown(11.0, 11.1, ID, "CHALLENGED", final=False))
    assert rules(history) == {"I4"}


def test_i4_a_final_state_that_changes_is_found() -> None:
    history = good()
    history.shown.append(Shown(12.0, 12.1, ID, "INTERRUPTED", final=True))
    assert rules(history) == {"I4"}


def test_i4_interrupted_and_unknown_contradict_nothing() -> None:
    assert check(ended_as("INTERRUPTED")) == []
    history = ended_as("UNKNOWN", final=False)
    history.settled = False
    assert check(history) == []


def test_i4_nobody_can_know_only_after_the_store_was_lost() -> None:
    assert rules(ended_as("UNKNOWN_FINAL")) == {"I4"}
    history = ended_as("UNKNOWN_FINAL")
    history.stores_lost = frozenset({ST})
    assert check(history) == []


def test_i5_an_order_that_never_ends_is_found() -> None:
    assert rules(ended_as("UNKNOWN", final=False)) == {"I5"}


def test_i6_a_long_pulse_is_found() -> None:
    history = good()
    history.edges[3] = Edge(30.0, ST, "relay:d1", 0)
    assert rules(history) == {"I6"}


def test_i6_a_relay_still_energised_is_found() -> None:
    history = good()
    del history.edges[3]
    assert rules(history) == {"I6"}


def test_i6_the_time_after_the_agents_death_is_the_hardwares() -> None:
    history = good()
    history.edges[3] = Edge(30.0, ST, "relay:d1", 0)
    history.deaths = [Died(11.0, ST)]
    assert check(history) == []


def test_i6_time_in_which_the_agent_stood_still_is_the_hardwares_and_no_other() -> None:
    history = good()
    history.edges[3] = Edge(30.0, ST, "relay:d1", 0)
    history.stood = [Stood(10.5, 29.9, ST)]
    assert check(history) == []
    history.stood = [Stood(5.0, 14.0, ST)]
    assert rules(history) == {"I6"}
    history.stood = [Stood(10.5, 29.9, "bridge")]
    assert rules(history) == {"I6"}


def test_an_acknowledged_order_that_is_gone_is_found() -> None:
    history = good()
    history.placed.append(Placed(20.0, "c9"))
    assert rules(history) == {"lost"}


def test_an_order_that_was_shown_and_is_gone_is_found() -> None:
    history = good()
    history.shown.append(Shown(20.0, 20.1, "c9", "REQUESTED", final=False))
    assert rules(history) == {"lost"}


def test_a_promised_event_that_never_came_is_found() -> None:
    history = good()
    history.rows = history.rows[:1]
    assert rules(history) == {"lost"}


def test_an_event_that_came_twice_is_found() -> None:
    history = good()
    history.rows.append(Row(10.8, ST, "i", 3, "door.opened", "d1"))
    assert rules(history) == {"once"}


def test_a_number_twice_is_found() -> None:
    history = good()
    history.rows.append(replace(history.rows[0], kind="mains.lost"))
    assert rules(history) == {"once"}


def test_a_gap_in_the_numbers_is_found() -> None:
    history = good()
    history.rows[1] = replace(history.rows[1], seq=3)
    assert rules(history) == {"lost"}


def test_an_event_that_nobody_was_promised_may_be_missing() -> None:
    history = good()
    history.puts = [replace(history.puts[0], kept=False)]
    history.rows = history.rows[:1]
    assert check(history) == []
