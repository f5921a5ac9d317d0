"""The door core: its table, its rules over every history, and a second opinion written another way."""

from collections.abc import Iterable
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.station import DoorRules
from firmware_config.units import MAX_ENERGISED_S
from firmware_config.vocabulary import DoorState
from station_agent.core.door import (
    ATTRIBUTED,
    BURNING,
    ENERGISED,
    IGNORED,
    PULSING,
    SEEN_OPEN,
    TRANSITIONS,
    UNTRUSTED,
    WINDOW,
    Action,
    Door,
    DoorInput,
    refusal,
)
from tests.support.door_reference import Reference

A, I, S = Action, DoorInput, DoorState  # noqa: E741 (the tests read as the rules with one letter each)
RULES = DoorRules(id="main", lock="fail_safe")
TOLD = tuple(fact for fact in I if fact is not I.TIMED_OUT)
HISTORIES = st.lists(
    st.tuples(st.integers(0, 60).map(lambda n: n * 0.25), st.sampled_from(TOLD)), max_size=30
)
PULSES = st.sampled_from((None, 0.5, 3.0, 10.0, 25.0))


class Played:
    """A door driven as the control thread drives it: deadlines before facts. Keeps the whole history."""

    def __init__(self, *, contact_open: bool | None = False, fire: bool = False) -> None:
        self.now_s = 100.0
        self.door = Door(RULES, contact_open=contact_open, fire=fire, now_s=self.now_s)
        self.log: list[tuple[float, Action]] = [(self.now_s, action) for action in self.door.first_actions]

    def wait(self, seconds: float) -> "Played":
        until_s = self.now_s + seconds
        while (due_s := self.door.deadline_s) is not None and due_s <= until_s:
            self.now_s = max(self.now_s, due_s)
            self._step(I.TIMED_OUT)
        self.now_s = until_s
        return self

    def tell(self, *facts: DoorInput, pulse_s: float | None = None) -> "Played":
        for fact in facts:
            self._step(fact, pulse_s=pulse_s)
        return self

    def _step(self, fact: DoorInput, *, pulse_s: float | None = None) -> None:
        actions = self.door.step(fact, now_s=self.now_s, pulse_s=pulse_s)
        self.log += [(self.now_s, action) for action in actions]

    @property
    def actions(self) -> list[Action]:
        return [action for _, action in self.log]

    def play(self, history: Iterable[tuple[float, DoorInput]], *, pulse_s: float | None = None) -> "Played":
        for gap_s, fact in history:
            self.wait(gap_s).tell(fact, pulse_s=pulse_s)
        return self


# the table


def test_every_pair_of_state_and_input_is_decided_once() -> None:
    assert set(TRANSITIONS) | IGNORED == set(product(S, I))
    assert not set(TRANSITIONS) & IGNORED


def test_the_relay_is_switched_exactly_where_the_two_states_differ() -> None:
    for (before, _), (after, actions) in TRANSITIONS.items():
        assert (A.ENERGISE_RELAY in actions) == (before not in ENERGISED and after in ENERGISED)
        assert (A.RELEASE_RELAY in actions) == (before in ENERGISED and after not in ENERGISED)


def test_the_warning_sounds_exactly_in_prealarm() -> None:
    for (before, _), (after, actions) in TRANSITIONS.items():
        assert (A.START_PREALARM in actions) == (after is S.PREALARM)
        assert (A.STOP_PREALARM in actions) == (before is S.PREALARM)


def test_no_input_but_the_clearing_of_the_fire_leaves_the_fire_states() -> None:
    for (before, fact), (after, _) in TRANSITIONS.items():
        if before in BURNING and fact is not I.FIRE_CLEARED:
            assert after in BURNING


def test_only_the_fire_input_enters_the_fire_states_and_it_always_does() -> None:
    for (before, fact), (after, _) in TRANSITIONS.items():
        if before not in BURNING:
            assert (after in BURNING) == (fact is I.FIRE_SET)


def test_only_the_contacts_own_word_changes_what_is_known_of_it() -> None:
    for (before, fact), (after, _) in TRANSITIONS.items():
        said = {I.OPENED: (True, False), I.CLOSED: (False, False), I.CONTACT_FAULTED: (False, True)}
        known = (before in SEEN_OPEN, before in UNTRUSTED)
        assert (after in SEEN_OPEN, after in UNTRUSTED) == said.get(fact, known)


def test_every_move_of_the_door_and_every_press_of_the_button_that_matters_is_recorded() -> None:
    for (before, fact), (_, actions) in TRANSITIONS.items():
        assert (A.RECORD_OPENED in actions or A.RAISE_FORCED in actions) == (fact is I.OPENED)
        assert (A.RECORD_CLOSED in actions) == (fact is I.CLOSED)
        assert (A.RECORD_EXIT in actions) == (fact is I.EXIT_REQUESTED and before is not S.EXITING)


def test_a_faulted_contact_is_reported_where_trust_is_lost_and_where_it_returns() -> None:
    for (before, _), (after, actions) in TRANSITIONS.items():
        assert (A.RECORD_CONTACT_FAULT in actions) == (before not in UNTRUSTED and after in UNTRUSTED)
        assert (A.RECORD_CONTACT_RESTORED in actions) == (before in UNTRUSTED and after not in UNTRUSTED)


def test_the_named_sets_of_states_fit_together() -> None:
    assert not PULSING & BURNING
    assert WINDOW <= ATTRIBUTED
    assert not SEEN_OPEN & UNTRUSTED


# entering


def test_a_grant_unlocks_for_its_pulse_and_grace_follows() -> None:
    played = Played().tell(I.GRANTED)
    seen = [played.wait(gap_s).door.state for gap_s in (0, 4.75, 0.25, 0.25, 0.25)]
    assert seen == [S.UNLOCKED, S.UNLOCKED, S.GRACE, S.GRACE, S.LOCKED]
    assert played.log == [(100, A.ENERGISE_RELAY), (105, A.RELEASE_RELAY)]


def test_an_opening_ends_the_pulse_at_once_and_a_second_one_is_forced() -> None:
    played = Played().tell(I.GRANTED).wait(1).tell(I.OPENED).wait(1).tell(I.CLOSED)
    assert played.door.state is S.LOCKED
    played.wait(0.5).tell(I.OPENED)
    assert played.log == [
        (100, A.ENERGISE_RELAY),
        (101, A.RELEASE_RELAY),
        (101, A.RECORD_OPENED),
        (102, A.RECORD_CLOSED),
        (102.5, A.RAISE_FORCED),
    ]


def test_an_opening_in_the_grace_is_legal_and_a_grant_in_it_pulses_again() -> None:
    assert Played().tell(I.GRANTED).wait(5.25).tell(I.OPENED).door.state is S.OPEN
    again = Played().tell(I.GRANTED).wait(5.25).tell(I.GRANTED)
    assert again.door.state is S.UNLOCKED
    assert again.door.deadline_s == 110.25


def test_a_second_grant_never_extends_the_first() -> None:
    played = Played().tell(I.GRANTED).wait(4).tell(I.GRANTED, pulse_s=10)
    assert played.door.deadline_s == 105


def test_a_longer_pulse_is_cut_at_the_limit() -> None:
    assert Played().tell(I.GRANTED, pulse_s=60).door.deadline_s == 100 + MAX_ENERGISED_S


@pytest.mark.parametrize("state", [S.OPEN, S.PREALARM, S.HELD_OPEN, S.FORCED])
def test_a_grant_for_an_open_door_changes_nothing(state: DoorState) -> None:
    played = reach(state)
    before = len(played.log)
    played.tell(I.GRANTED, I.EXIT_REQUESTED)
    assert (played.door.state, len(played.log)) == (state, before)


# leaving


def test_the_exit_button_unlocks_and_its_shunt_outlasts_the_pulse() -> None:
    played = Played().tell(I.EXIT_REQUESTED).wait(9.75).tell(I.OPENED)
    assert played.log == [
        (100, A.ENERGISE_RELAY),
        (100, A.RECORD_EXIT),
        (105, A.RELEASE_RELAY),
        (109.75, A.RECORD_OPENED),
    ]
    assert Played().tell(I.EXIT_REQUESTED).wait(10).tell(I.OPENED).door.state is S.FORCED


def test_the_exit_button_extends_a_running_pulse_up_to_the_limit() -> None:
    played = Played().tell(I.GRANTED).wait(4).tell(I.EXIT_REQUESTED)
    assert (played.door.state, played.door.deadline_s) == (S.EXITING, 109)
    played.wait(4).tell(I.EXIT_REQUESTED)
    assert played.door.deadline_s == 110
    assert played.wait(2).door.state is S.GRACE


def test_the_exit_button_never_shortens_a_pulse() -> None:
    assert Played().tell(I.GRANTED, pulse_s=10).wait(1).tell(I.EXIT_REQUESTED).door.deadline_s == 110


def test_the_exit_button_pulses_again_in_the_grace() -> None:
    played = Played().tell(I.EXIT_REQUESTED).wait(6).tell(I.EXIT_REQUESTED)
    assert played.actions == [
        A.ENERGISE_RELAY,
        A.RECORD_EXIT,
        A.RELEASE_RELAY,
        A.ENERGISE_RELAY,
        A.RECORD_EXIT,
    ]


def test_a_grant_inside_the_shunt_does_not_cut_the_shunt_short() -> None:
    played = Played().tell(I.EXIT_REQUESTED).wait(5.25).tell(I.GRANTED, pulse_s=0.5).wait(2)
    assert (played.door.state, played.door.deadline_s) == (S.GRACE, 110)


def test_what_opens_in_the_shunt_after_a_grants_own_window_is_whoever_leaves() -> None:
    played = Played().tell(I.EXIT_REQUESTED).wait(5.25).tell(I.GRANTED, pulse_s=0.5)
    assert played.wait(0.75).door.window is I.GRANTED
    assert played.wait(0.5).door.window is I.EXIT_REQUESTED
    assert played.tell(I.OPENED).door.state is S.OPEN
    assert [entry for entry in played.log if entry[1] is A.END_GRANT] == [(106.25, A.END_GRANT)]


def test_an_opening_uses_up_the_shunt_too() -> None:
    played = (
        Played().tell(I.EXIT_REQUESTED, I.OPENED, I.CLOSED).wait(1).tell(I.GRANTED, pulse_s=0.5).wait(0.5)
    )
    assert (played.door.state, played.door.deadline_s) == (S.GRACE, 102)


def test_the_window_of_an_opening_is_remembered_until_the_closing() -> None:
    assert Played().tell(I.GRANTED, I.OPENED).wait(60).door.window is I.GRANTED
    assert Played().tell(I.EXIT_REQUESTED, I.OPENED).door.window is I.EXIT_REQUESTED
    assert Played().tell(I.EXIT_REQUESTED).wait(6).tell(I.GRANTED).door.window is I.GRANTED
    assert Played().tell(I.GRANTED, I.OPENED, I.CLOSED).door.window is None
    assert Played().tell(I.OPENED).door.window is None


# open too long, forced


def test_an_open_door_is_warned_about_and_then_reported() -> None:
    played = Played().tell(I.GRANTED, I.OPENED).wait(60)
    assert played.door.state is S.HELD_OPEN
    assert played.log[3:] == [
        (120, A.START_PREALARM),
        (130, A.STOP_PREALARM),
        (130, A.RAISE_HELD_OPEN),
    ]
    assert played.tell(I.CLOSED).log[6:] == [(160, A.RECORD_CLOSED)]


def test_closing_in_the_prealarm_stops_the_warning() -> None:
    played = Played().tell(I.GRANTED, I.OPENED).wait(25).tell(I.CLOSED).wait(60)
    assert played.actions[3:] == [A.START_PREALARM, A.STOP_PREALARM, A.RECORD_CLOSED]


def test_a_blip_of_a_locked_door_is_forced() -> None:
    played = Played().tell(I.OPENED, I.CLOSED)
    assert played.actions == [A.RAISE_FORCED, A.RECORD_CLOSED]
    assert played.door.state is S.LOCKED


def test_a_timer_that_comes_early_changes_nothing() -> None:
    played = Played().tell(I.GRANTED, I.TIMED_OUT)
    assert played.door.state is S.UNLOCKED


# fire


@pytest.mark.parametrize("state", list(S))
def test_the_fire_input_releases_the_door_from_every_state(state: DoorState) -> None:
    played = reach(state).tell(I.FIRE_SET)
    assert played.door.state in BURNING
    assert played.door.deadline_s is None
    played.wait(3600)
    assert played.door.state in BURNING


def test_openings_in_a_fire_are_recorded_and_never_forced() -> None:
    played = Played(fire=True).tell(I.OPENED, I.CLOSED, I.OPENED, I.FIRE_CLEARED)
    assert played.actions == [
        A.ENERGISE_RELAY,
        A.RECORD_OPENED,
        A.RECORD_CLOSED,
        A.RECORD_OPENED,
        A.RELEASE_RELAY,
    ]
    assert (played.door.state, played.door.deadline_s) == (S.OPEN, 120)


@given(HISTORIES, PULSES)
def test_nothing_relocks_while_the_fire_is_set(
    history: list[tuple[float, DoorInput]], pulse_s: float | None
) -> None:
    played = Played(fire=True)
    told = [(gap_s, fact) for gap_s, fact in history if fact is not I.FIRE_CLEARED]
    played.play(told, pulse_s=pulse_s).wait(3600)
    assert played.door.state in BURNING
    assert [a for a in played.actions if a in {A.ENERGISE_RELAY, A.RELEASE_RELAY}] == [A.ENERGISE_RELAY]


# an untrusted contact


def test_a_faulted_contact_still_lets_people_in_and_out() -> None:
    played = Played().tell(I.CONTACT_FAULTED, I.GRANTED).wait(5).tell(I.EXIT_REQUESTED).wait(5)
    assert played.actions == [
        A.RECORD_CONTACT_FAULT,
        A.ENERGISE_RELAY,
        A.RELEASE_RELAY,
        A.ENERGISE_RELAY,
        A.RECORD_EXIT,
        A.RELEASE_RELAY,
    ]
    assert played.door.state is S.UNSENSED


def test_the_first_word_after_a_fault_is_no_forced_opening_but_the_next_edge_is() -> None:
    played = Played().tell(I.CONTACT_FAULTED, I.OPENED)
    assert (played.door.state, played.door.deadline_s) == (S.OPEN, 120)
    played.tell(I.CLOSED, I.OPENED)
    assert played.actions == [
        A.RECORD_CONTACT_FAULT,
        A.RECORD_CONTACT_RESTORED,
        A.RECORD_OPENED,
        A.RECORD_CLOSED,
        A.RAISE_FORCED,
    ]


def test_a_pulse_goes_on_when_its_contact_comes_back_closed() -> None:
    played = Played().tell(I.GRANTED).wait(1).tell(I.CONTACT_FAULTED).wait(1).tell(I.CLOSED)
    assert (played.door.state, played.door.deadline_s) == (S.UNLOCKED, 105)


# a door held open by order


@pytest.mark.parametrize("before", [S.OPEN, S.PREALARM, S.HELD_OPEN])
def test_a_door_that_may_stand_open_warns_nobody_until_the_hold_ends(before: DoorState) -> None:
    played = reach(before).tell(I.HOLD_BEGAN).wait(86_400)
    assert (played.door.state, played.door.deadline_s) == (S.OPEN, None)
    played.tell(I.HOLD_ENDED).wait(RULES.prealarm_s)
    assert played.door.state is S.PREALARM
    assert played.wait(RULES.held_open_s - RULES.prealarm_s).door.state is S.HELD_OPEN


def test_a_door_opened_during_the_hold_has_its_whole_time_after_it() -> None:
    played = Played().tell(I.HOLD_BEGAN, I.GRANTED, I.OPENED).wait(3600).tell(I.HOLD_ENDED)
    assert played.door.deadline_s == played.now_s + RULES.prealarm_s


def test_a_hold_energises_nothing_and_an_opening_without_a_pulse_is_forced_as_ever() -> None:
    played = Played().tell(I.HOLD_BEGAN, I.OPENED)
    assert played.actions == [A.RAISE_FORCED]
    assert played.tell(I.HOLD_ENDED).door.state is S.FORCED


# starting, and what is shown


def test_a_door_found_open_is_open_with_its_timer_and_not_forced() -> None:
    played = Played(contact_open=True)
    assert (played.door.state, played.actions) == (S.OPEN, [])
    assert played.wait(60).door.state is S.HELD_OPEN


def test_a_door_starts_in_a_fire_with_the_relay_energised() -> None:
    for contact_open, state in ((False, S.FIRE_CLOSED), (True, S.FIRE_OPEN), (None, S.FIRE_UNSENSED)):
        door = Door(RULES, contact_open=contact_open, fire=True, now_s=5)
        assert (door.state, door.first_actions) == (state, (A.ENERGISE_RELAY,))


@pytest.mark.parametrize("state", list(S))
def test_the_contact_is_shown_as_it_was_last_seen(state: DoorState) -> None:
    expected = None if state in UNTRUSTED else state in SEEN_OPEN
    assert reach(state).door.contact_open is expected


def test_a_remote_order_is_refused_where_it_could_not_have_its_own_pulse() -> None:
    refused = {state: refusal(state) for state in S}
    assert {state for state, why in refused.items() if why is None} == {S.LOCKED, S.GRACE, S.UNSENSED}
    assert {state for state, why in refused.items() if why == "fire_active"} == BURNING
    assert {state for state, why in refused.items() if why == "already_unlocked"} == PULSING
    assert {state for state, why in refused.items() if why == "door_open"} == SEEN_OPEN - BURNING
    for state in (S.LOCKED, S.GRACE, S.UNSENSED):
        assert A.ENERGISE_RELAY in TRANSITIONS[state, I.GRANTED][1]


# every history


@given(contact_open=st.sampled_from((False, True, None)), facts=st.lists(st.sampled_from(I)), pulse_s=PULSES)
def test_the_relay_is_energised_exactly_in_the_energised_states(
    *, contact_open: bool | None, facts: list[DoorInput], pulse_s: float | None
) -> None:
    played = Played(contact_open=contact_open)
    for fact in facts:
        played.tell(fact, pulse_s=pulse_s)
        switched = [a for a in played.actions if a in {A.ENERGISE_RELAY, A.RELEASE_RELAY}]
        energised = bool(switched) and switched[-1] is A.ENERGISE_RELAY
        assert energised == (played.door.state in ENERGISED)
        assert energised == (played.door.energised_since_s is not None)
        assert all(a is not b for a, b in pairwise(switched))


@given(HISTORIES, PULSES)
def test_without_a_fire_no_pulse_outlasts_the_limit(
    history: list[tuple[float, DoorInput]], pulse_s: float | None
) -> None:
    played = Played().play(
        [(gap_s, fact) for gap_s, fact in history if fact is not I.FIRE_SET], pulse_s=pulse_s
    )
    played.wait(60)
    since_s: float | None = None
    for at_s, action in played.log:
        if action is A.ENERGISE_RELAY:
            since_s = at_s
        elif action is A.RELEASE_RELAY:
            assert since_s is not None
            assert at_s - since_s <= MAX_ENERGISED_S
            since_s = None
    assert since_s is None


@given(contact_open=st.sampled_from((False, True, None)), history=HISTORIES, pulse_s=PULSES)
def test_door_and_reference_agree_on_every_alarm_and_every_relay_edge(
    *, contact_open: bool | None, history: list[tuple[float, DoorInput]], pulse_s: float | None
) -> None:
    played = Played(contact_open=contact_open).play(history, pulse_s=pulse_s).wait(120)
    reference = Reference(RULES, contact_open=contact_open, now_s=100.0, pulse_s=pulse_s).play(history, 120)
    watched = {A.ENERGISE_RELAY, A.RELEASE_RELAY, A.RAISE_FORCED, A.RAISE_HELD_OPEN}
    told = [(at_s, action.value) for at_s, action in played.log if action in watched]
    assert told == reference.told


def reach(state: DoorState) -> Played:
    """A door in the given state, by the shortest history."""
    ways: dict[DoorState, tuple[tuple[float, DoorInput], ...]] = {
        S.LOCKED: (),
        S.UNLOCKED: ((0, I.GRANTED),),
        S.EXITING: ((0, I.EXIT_REQUESTED),),
        S.GRACE: ((0, I.GRANTED), (5, I.CLOSED)),
        S.OPEN: ((0, I.GRANTED), (0, I.OPENED)),
        S.PREALARM: ((0, I.GRANTED), (0, I.OPENED), (25, I.OPENED)),
        S.HELD_OPEN: ((0, I.GRANTED), (0, I.OPENED), (60, I.OPENED)),
        S.FORCED: ((0, I.OPENED),),
        S.FIRE_CLOSED: ((0, I.FIRE_SET),),
        S.FIRE_OPEN: ((0, I.FIRE_SET), (0, I.OPENED)),
        S.FIRE_UNSENSED: ((0, I.FIRE_SET), (0, I.CONTACT_FAULTED)),
        S.UNSENSED: ((0, I.CONTACT_FAULTED),),
        S.UNSENSED_UNLOCKED: ((0, I.CONTACT_FAULTED), (0, I.GRANTED)),
    }
    played = Played().play(ways[state])
    assert played.door.state is state
    return played
