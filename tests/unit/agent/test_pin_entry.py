"""Number and PIN at a door: one answer for everything wrong, back-off, duress in silence, and ways that are never shut."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_config.roster import Group, RosterPerson
from firmware_config.station import StationConfig, load_station
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent import facts
from station_agent.admission import Admission
from station_agent.attempts import Attempts
from station_agent.core.consents import Consents
from station_agent.core.door import DoorInput
from station_agent.core.lockout import Subject
from station_agent.core.pins import PinVerdict
from station_agent.core.policy import Entries
from station_agent.doorkeeper import Cause, Doorkeeper
from station_agent.pin_entry import PinEntry
from tests.support.hand_clock import HandClock
from tests.support.rosters import ALWAYS, roster
from tests.support.stations import new_hub_key, write_station

ANNA = RosterPerson(id="anna", number="1042", groups=["always"])
BERTA = RosterPerson(id="berta", number="2077", groups=["always"])
CLOSED = RosterPerson(id="clara", number="3001", groups=["never"])
GOOD, DURESS = "580273", "917264"
NEVER = Group(id="never", weekly=[[]] * 7)
PINS = {"anna": GOOD, "berta": "604182", "clara": GOOD}


class Coil:
    energised = False

    def energise(self) -> None:
        self.energised = True

    def release(self) -> None:
        self.energised = False

    def close(self) -> None:
        self.release()


class Disk:
    """Judges at once, as ``Credentials`` does after a while; what it was asked is kept."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.tallies: dict[Subject, int] = {}
        self.full = False
        self.lost_ms: int | None = None

    def check_pin(
        self,
        person: str | None,
        pin: str,
        tallies: Mapping[Subject, int],
        on_done: Callable[[PinVerdict | None], None],
    ) -> None:
        self.asked.append(person)
        self.tallies |= tallies
        if self.full:
            on_done(None)
        elif person is not None and pin == DURESS:
            on_done(PinVerdict.DURESS)
        else:
            on_done(PinVerdict.GOOD if PINS.get(person or "") == pin else PinVerdict.WRONG)

    def spend(self, *_: object, **__: object) -> None:
        raise AssertionError("no pass was shown")

    def keep_group_entries(self, entered_ms: Mapping[str, int]) -> None:
        del entered_ms


@dataclass
class Door:
    """A door, its kiosk and its book of events."""

    clock: HandClock
    coil: Coil
    keeper: Doorkeeper
    admission: Admission
    pins: PinEntry
    disk: Disk
    events: list[tuple[EventKind, dict[str, Scalar]]]

    def type(self, number: str, pin: str) -> facts.PinAnswer:
        answers: list[facts.PinAnswer] = []
        self.pins.typed(facts.PinTyped(door="main", number=number, pin=pin, done=answers.append))
        (answer,) = answers
        return answer

    def kinds(self) -> list[str]:
        return [kind.value for kind, _ in self.events]

    def relock(self) -> None:
        while self.keeper.deadline_s is not None:
            self.clock.advance(self.keeper.deadline_s - self.clock.monotonic_s())
            self.keeper.feed(DoorInput.TIMED_OUT)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> StationConfig:
    folder = tmp_path_factory.mktemp("station")
    _, public = new_hub_key(folder)
    return load_station(write_station(folder, hub_public=public)[0]).config


def door_of(config: StationConfig, *, tallies: Mapping[Subject, int] | None = None) -> Door:
    clock, coil, disk = HandClock(), Coil(), Disk()
    events: list[tuple[EventKind, dict[str, Scalar]]] = []

    def record(kind: EventKind, data: Mapping[str, Scalar]) -> None:
        events.append((kind, dict(data)))

    ledger = SimpleNamespace(
        record=record,
        passed=lambda *_: None,
        order_ended=lambda *_: None,
        forced=lambda _: None,
        closed=lambda _: None,
    )
    sounder = SimpleNamespace(start=lambda: None, stop=lambda: None)
    keeper = Doorkeeper(
        config.doors[0],
        relay=coil,
        sounder=sounder,
        ledger=ledger,
        clock=clock,
        contact_open=False,
        fire=False,
    )
    attempts = Attempts(tallies or {}, clock=clock, keep=disk.tallies.update, record=record)
    waiting: list[facts.Fact] = []
    admission = Admission(
        config,
        clock=clock,
        keepers={"main": keeper},
        roster=roster(ANNA, BERTA, CLOSED, groups=[ALWAYS, NEVER]),
        counts=disk,
        entries=Entries(),
        attempts=attempts,
        consents=Consents(),
        put=waiting.append,
        record=record,
    )
    pins: PinEntry

    def put(fact: facts.Fact) -> None:
        assert isinstance(fact, facts.PinJudged)
        pins.judged(fact)

    pins = PinEntry(admission=admission, attempts=attempts, judge=disk, put=put)
    return Door(clock, coil, keeper, admission, pins, disk, events)


@pytest.fixture
def door(config: StationConfig) -> Door:
    return door_of(config)


def test_a_right_pin_opens_and_says_by_which_way(door: Door) -> None:
    assert door.type("1042", GOOD) == facts.PinAnswer(None)
    assert door.coil.energised
    assert door.events == [
        (EventKind.ACCESS_GRANTED, {"door": "main", "via": "pin", "person": "anna", "pulsed": True})
    ]


def test_a_duress_pin_opens_exactly_alike_and_only_the_hub_hears_of_it(config: StationConfig) -> None:
    plain, forced = door_of(config), door_of(config)
    answers = plain.type("1042", GOOD), forced.type("1042", DURESS)
    assert answers[0] == answers[1]
    assert plain.coil.energised == forced.coil.energised is True
    assert plain.admission.prompts == forced.admission.prompts
    assert forced.events == [*plain.events, (EventKind.ACCESS_DURESS, {"door": "main", "person": "anna"})]


def test_duress_is_told_even_where_the_door_stays_shut(door: Door) -> None:
    assert door.type("3001", DURESS).reason == "outside_hours"
    assert door.kinds() == ["access.denied", "access.duress"]


def test_unknown_number_no_pin_and_wrong_pin_get_one_answer_and_cost_one_hash_each(door: Door) -> None:
    answers = [door.type("9999", GOOD), door.type("2077", GOOD), door.type("1042", "000000")]
    assert answers == [facts.PinAnswer("pin_wrong")] * 3
    assert door.disk.asked == [None, "berta", "anna"]
    assert not door.coil.energised


def test_the_pin_never_appears_in_what_a_fact_says_of_itself(door: Door) -> None:
    typed = facts.PinTyped(door="main", number="1042", pin=GOOD, done=lambda _: None)
    assert GOOD not in repr(typed)
    assert "duress" not in repr(facts.PinJudged(typed=typed, person="anna", verdict=PinVerdict.DURESS))
    assert door.events == []


def test_after_five_failures_the_hub_hears_once_and_the_next_attempt_waits(door: Door) -> None:
    for _ in range(5):
        assert door.type("1042", "000000").reason == "pin_wrong"
    told = [data for kind, data in door.events if kind is EventKind.ACCESS_LOCKED_OUT]
    assert told == [
        {"door": "main", "method": "pin", "reason": "locked_out", "wait_s": 30},
        {"door": "main", "method": "pin", "reason": "locked_out", "person": "anna", "wait_s": 30},
    ]
    before, asked = len(door.events), len(door.disk.asked)
    answer = door.type("1042", GOOD)
    assert (answer.reason, answer.wait_s) == ("locked_out", 30.0)
    assert (len(door.events), len(door.disk.asked)) == (before, asked)
    door.clock.advance(31)
    assert door.type("1042", GOOD).reason is None
    assert door.disk.tallies[Subject("pin", "person", "anna")] == 0


def test_counts_go_on_after_a_restart(config: StationConfig) -> None:
    kept = {Subject("pin", "person", "anna"): 50}
    door = door_of(config, tallies=kept)
    assert door.type("1042", GOOD).reason == "locked_until_forgiven"
    door.pins.chosen(facts.PinChosen("anna"))
    assert door.type("1042", GOOD).reason is None


def test_a_full_disk_opens_nothing(door: Door) -> None:
    door.disk.full = True
    assert door.type("1042", GOOD).reason == "storage_full"
    assert not door.coil.energised


def test_without_a_roster_nobody_is_asked_for_a_hash(config: StationConfig) -> None:
    door = door_of(config)
    door.admission.roster = None
    assert door.type("1042", GOOD).reason == "no_roster"
    assert door.disk.asked == []


def test_asking_for_help_is_recorded_and_answered(door: Door) -> None:
    heard: list[bool] = []
    door.admission.help_asked(facts.HelpAsked("main", lambda: heard.append(True)))
    assert heard == [True]
    assert door.events == [(EventKind.HELP_REQUESTED, {"door": "main"})]


@pytest.mark.parametrize(
    ("reason", "shut"),
    [("replay_suspected", True), ("screen_pattern", True), ("unknown_face", False), ("too_slow", False)],
)
def test_only_faces_that_look_like_an_attack_shut_the_face_way(
    door: Door, reason: str, *, shut: bool
) -> None:
    for _ in range(10):
        door.admission.face_denied("main", reason, {}, near=False)
    door.admission.face_granted("main", "anna", {})
    assert door.admission.prompts["main"] == ("locked_out" if shut else "face_not_allowed")
    assert ("access.locked_out" in door.kinds()) is shut


Step = st.one_of(
    st.tuples(st.just("pin"), st.sampled_from(["1042", "2077", "9999"]), st.sampled_from(["000000", GOOD])),
    st.tuples(st.just("face"), st.sampled_from(["replay_suspected", "unknown_face"])),
    st.tuples(st.just("pass"), st.sampled_from(["YZ1:nonsense", "YZP1.AAAA"])),
    st.tuples(st.just("wait"), st.floats(0, 400)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(Step, max_size=40))
def test_whatever_failed_before_exit_help_fire_and_orders_work_at_once(
    config: StationConfig, steps: list[tuple[str, ...]]
) -> None:
    door = door_of(config)
    for step in steps:
        match step[0]:
            case "pin":
                door.type(step[1], step[2])
            case "face":
                door.admission.face_denied("main", step[1], {}, near=False)
            case "pass":
                door.admission.pass_seen(facts.PassSeen("main", step[1]))
            case _:
                door.clock.advance(float(step[1]))
        door.relock()
    helped: list[bool] = []
    door.admission.help_asked(facts.HelpAsked("main", lambda: helped.append(True)))
    assert helped
    door.keeper.exit_pressed()
    assert door.coil.energised
    door.relock()
    assert door.keeper.grant(Cause(via="order", cmd_id="c" * 32), pulse_s=1.0)
    assert door.coil.energised
    door.relock()
    door.keeper.fire(active=True)
    assert door.coil.energised
