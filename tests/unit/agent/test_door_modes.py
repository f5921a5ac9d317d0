"""Orders for a door's mode with the real store, judge, keeper and admission: in force once on disk, kept over restarts."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_config.passes import Pass
from firmware_config.station import StationConfig, load_station
from firmware_config.vocabulary import DoorMode, DoorState, Outcome
from firmware_config.wire import Go, Verb
from station_agent import facts
from station_agent.core.modes import TOUCH_S
from station_agent.core.policy import Grant
from station_agent.doorkeeper import Cause
from station_agent.orders import TELL_AGAIN_S
from tests.support.mode_site import STATION, UNSYNC, Life, Site
from tests.support.stations import new_hub_key, write_station


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> StationConfig:
    folder = tmp_path_factory.mktemp("station")
    _, public = new_hub_key(folder)
    return load_station(write_station(folder, hub_public=public)[0]).config


@pytest.fixture
def life(tmp_path: Path, config: StationConfig) -> Iterator[Life]:
    life = Life(tmp_path, config)
    yield life
    life.sites[-1].store.close()


@pytest.fixture
def site(life: Life) -> Site:
    return life.start()


def test_a_lock_down_refuses_every_way_in_and_every_unlock_and_no_way_out(site: Site) -> None:
    answer = site.give("lock_down")
    assert (answer.outcome, answer.code) == (Outcome.APPLIED, None)
    assert answer.evidence.mode_until_mono_ms == answer.mono_ms + 600_000
    assert site.keeper.status().mode is DoorMode.LOCK_DOWN
    site.admission.face_granted("main", "anna", {})
    assert site.admission.pin_good("main", "anna") == "locked_down"
    assert site.touch() == "locked_down"
    assert [data["reason"] for data in site.kinds("access.denied")] == ["locked_down"] * 2
    unlock = site.give("unlock", 2)
    assert (unlock.outcome, unlock.code) == (Outcome.REJECTED, "locked_down")
    held = site.give("hold_open", 3)
    assert (held.outcome, held.code) == (Outcome.REJECTED, "locked_down")
    assert site.coil.pulses == 0
    site.keeper.exit_pressed()
    assert site.coil.energised
    site.keeper.contact(is_open=True)
    site.later(120)
    assert len(site.kinds("door.held_open")) == 1
    assert site.admission.prompts["main"] == "locked_down"


def test_the_last_gate_asks_nobody(site: Site) -> None:
    site.give("lock_down")
    assert not site.keeper.grant(Cause(via="pin", person="anna"), pulse_s=5.0)
    assert site.coil.pulses == 0


def test_fire_frees_the_door_in_a_lock_down_and_nobody_is_invited_in_then(site: Site) -> None:
    site.give("lock_down")
    site.keeper.fire(active=True)
    assert site.coil.energised
    assert site.give("end_lock_down", 2).outcome is Outcome.APPLIED
    held = site.give("hold_open", 3)
    assert (held.outcome, held.code) == (Outcome.REJECTED, "fire_active")
    assert site.give("lock_down", 4).outcome is Outcome.APPLIED
    assert site.coil.energised
    site.keeper.fire(active=False)
    assert (site.coil.energised, site.coil.pulses, site.keeper.mode) == (False, 1, DoorMode.LOCK_DOWN)


def test_a_lock_down_ends_by_order_or_by_itself_and_each_turn_is_told(site: Site) -> None:
    site.give("lock_down", 1, duration_s=30)
    site.later(31)
    assert site.keeper.mode is DoorMode.NORMAL
    site.give("lock_down", 2)
    site.give("end_lock_down", 3)
    assert site.give("end_lock_down", 4).code == "rate_limited"
    told = [(data["mode"], data["cause"], data.get("cmd_id"), data.get("duration_s")) for data in site.kinds("door.mode_changed")]  # fmt: skip
    assert told == [
        ("lock_down", "ordered", f"{1:032x}", 30),
        ("normal", "expired", None, None),
        ("lock_down", "ordered", f"{2:032x}", 600),
        ("normal", "ended", f"{3:032x}", None),
    ]
    assert site.store.recall_modes() == []


@pytest.mark.parametrize("verb", ["end_hold_open", "end_lock_down"])
def test_what_is_not_in_force_cannot_be_ended(site: Site, verb: Verb) -> None:
    answer = site.give(verb)
    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "not_in_force")


def test_held_open_anybody_gets_one_pulse_by_one_touch(site: Site) -> None:
    assert site.touch() == "not_held_open"
    site.give("hold_open")
    assert not site.coil.energised
    assert site.touch() is None
    assert site.touch() is None  # unlocked already
    assert site.coil.pulses == 1
    assert site.kinds("access.granted") == [{"door": "main", "via": "held_open", "pulsed": True}]
    site.keeper.contact(is_open=True)
    site.keeper.contact(is_open=False)
    assert site.touch() == "wait_a_moment"
    site.later(TOUCH_S)
    assert site.touch() is None
    assert site.coil.pulses == 2
    assert site.kinds("passed") == [{"door": "main", "via": "held_open"}]
    site.keeper.fire(active=True)
    assert site.touch() == "fire_active"


def test_held_open_a_door_may_stand_open_and_is_warned_about_from_the_end_on(site: Site) -> None:
    site.give("hold_open", duration_s=300)
    site.touch()
    site.keeper.contact(is_open=True)
    site.later(299)
    assert (site.keeper.state, site.kinds("door.prealarm"), site.buzz.pulses) == (DoorState.OPEN, [], 0)
    site.later(2)
    assert site.keeper.mode is DoorMode.NORMAL
    assert site.kinds("door.held_open") == []
    site.later(30)
    assert (len(site.kinds("door.prealarm")), len(site.kinds("door.held_open"))) == (1, 1)


def test_a_lock_down_takes_the_place_of_a_hold_and_of_nothing_that_is_under_way(site: Site) -> None:
    site.give("hold_open")
    site.touch()
    assert site.coil.energised
    assert site.give("lock_down", 2).outcome is Outcome.APPLIED
    assert site.coil.energised, "a pulse that was granted runs out by itself"
    site.later(20)
    assert not site.coil.energised
    assert site.touch() == "locked_down"


def test_an_unlock_that_pulses_keeps_its_answer_through_a_lock_down(site: Site) -> None:
    assert site.give("unlock", 1).outcome is Outcome.PULSING
    assert site.give("lock_down", 2).outcome is Outcome.APPLIED
    site.keeper.contact(is_open=True)
    assert site.answers(f"{1:032x}")[-1].outcome is Outcome.OPENED


def test_a_disk_that_comes_to_it_too_late_writes_that_down_and_no_mode(site: Site) -> None:
    answer = site.give("lock_down", slow_s=3.5)
    assert (answer.outcome, answer.code) == (Outcome.EXPIRED, "intent_late")
    assert (site.keeper.mode, site.store.recall_modes(), site.kinds("door.mode_changed")) == (
        DoorMode.NORMAL,
        [],
        [],
    )


def test_a_full_disk_changes_nothing_and_says_so(site: Site, life: Life) -> None:
    def full(connection: sqlite3.Connection, *, on: bool) -> None:
        trigger = "CREATE TRIGGER full BEFORE INSERT ON door_mode BEGIN SELECT RAISE(ABORT, 'full'); END"
        connection.execute(trigger if on else "DROP TRIGGER full")

    site.store._safety.call(lambda connection: full(connection, on=True))
    answer = site.give("lock_down")
    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "storage_full")
    assert site.keeper.mode is DoorMode.NORMAL
    site.store._safety.call(lambda connection: full(connection, on=False))
    again = life.start()
    assert (again.keeper.mode, again.answers(answer.cmd_id)[-1].code) == (DoorMode.NORMAL, "storage_full")


@pytest.mark.parametrize("verb", ["lock_down", "hold_open"])
def test_a_killed_agent_goes_on_with_the_mode_and_remembers_the_answer(life: Life, verb: Verb) -> None:
    first = life.start()
    answer = first.give(verb)
    life.clock.advance(100)
    again = life.start()
    assert again.keeper.mode.value == verb
    assert again.keeper.mode_until_mono_ms == answer.evidence.mode_until_mono_ms
    (told,) = again.kinds("door.mode_changed")
    assert (told["cause"], told["cmd_id"], told["duration_s"]) == ("restart", answer.cmd_id, 500)
    order = again.an_order(verb, 1)
    again.orders.arrived(facts.OrderArrived(order))
    assert again.challenges == []
    assert again.answers(answer.cmd_id) == [answer]
    again.later(501)
    assert again.keeper.mode is DoorMode.NORMAL


def test_a_crash_after_the_commit_and_before_anybody_heard_of_it_leaves_the_mode_in_force(life: Life) -> None:
    first = life.start()
    order = first.an_order("lock_down", 1)
    first.orders.arrived(facts.OrderArrived(order))
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    first.orders.go(
        facts.GoArrived(Go(**fields, boot_id=first.clock.boot_id, nonce=first.challenges[-1].nonce))
    )
    assert first.store.barrier(10)
    assert first.keeper.mode is DoorMode.NORMAL
    again = life.start()
    assert again.keeper.mode is DoorMode.LOCK_DOWN
    assert [answer.outcome for answer in again.answers(order.cmd_id)] == [Outcome.APPLIED]


def test_a_pass_that_was_being_counted_as_the_lock_down_came_opens_nothing(site: Site) -> None:
    body = Pass(
        v=1, id=b"12345678", kid=b"12345678", holder="anna", scope=[STATION], not_before=0, not_after=0, uses=1
    )  # fmt: skip
    site.give("lock_down")
    spent = facts.PassSpent(door="main", body=body, grant=Grant(extended=False), verdict=True)
    site.admission.pass_spent(spent)
    assert [data["reason"] for data in site.kinds("access.denied")] == ["locked_down"]
    assert site.coil.pulses == 0


@pytest.mark.parametrize(("verb", "mode"), [("lock_down", "lock_down"), ("hold_open", "normal")])
def test_of_a_damaged_file_a_lock_down_is_saved_and_a_hold_is_not(life: Life, verb: Verb, mode: str) -> None:
    first = life.start()
    first.give(verb)
    first.store.close()
    file = sqlite3.connect(life.folder / "safety.db")
    with file:
        file.execute("UPDATE result SET body = replace(body, 'applied', 'opened')")
    file.close()
    life.sites.clear()
    again = life.start()
    assert again.store.install_id != first.store.install_id
    assert again.keeper.mode.value == mode


def test_after_a_power_cut_without_time_a_lock_down_stays_and_a_hold_ends(life: Life) -> None:
    for verb, cmd, mode in (("lock_down", 1, DoorMode.LOCK_DOWN), ("hold_open", 3, DoorMode.NORMAL)):
        first = life.start()
        assert first.give(verb, cmd).outcome is Outcome.APPLIED  # type: ignore[arg-type]
        first.later(130)
        first.store._safety.call(lambda connection: connection.execute(UNSYNC))
        life.machine += "0"
        again = life.start()
        assert again.keeper.mode is mode
        if mode is DoorMode.LOCK_DOWN:
            assert again.modes.deadline_s is not None
            left_ms = (again.keeper.mode_until_mono_ms or 0) - life.clock.stamp().mono_ms
            assert 470_000 <= left_ms <= 480_000, "what was left when it was last written"
            assert again.give("end_lock_down", 2).outcome is Outcome.APPLIED
        else:
            assert [data["cause"] for data in again.kinds("door.mode_changed")] == ["restart"]
            assert again.store.recall_modes() == []


def test_an_end_that_comes_while_a_newer_order_is_written_does_not_undo_it(life: Life) -> None:
    site = life.start()
    site.give("lock_down", 1, duration_s=10)
    site.clock.advance(9)
    order = site.an_order("lock_down", 2)
    site.orders.arrived(facts.OrderArrived(order))
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    go = Go(**fields, boot_id=site.clock.boot_id, nonce=site.challenges[-1].nonce)
    site.orders.go(facts.GoArrived(go))
    site.clock.advance(1.5)
    site.modes.tick()
    assert site.keeper.status().mode is DoorMode.NORMAL
    site.hear()
    assert site.keeper.status().mode is DoorMode.LOCK_DOWN
    assert site.store.barrier(10)
    assert [term.cmd_id for term in site.store.recall_modes()] == [order.cmd_id]


def test_one_id_with_two_bodies_is_told_once_in_ten_seconds(site: Site) -> None:
    site.orders.arrived(facts.OrderArrived(site.an_order("lock_down", 1)))
    other = site.an_order("lock_down", 1, duration_s=1)
    for _ in range(3):
        site.orders.arrived(facts.OrderArrived(other))
    assert [data["reason"] for data in site.kinds("order.refused")] == ["conflict"]
    assert site.answers(other.cmd_id)[-1].code == "conflict"
    site.clock.advance(TELL_AGAIN_S)
    site.orders.arrived(facts.OrderArrived(other))
    assert len(site.kinds("order.refused")) == 2
    assert site.refusals == ["conflict"] * 4


def test_a_go_that_answers_no_challenge_of_this_run_moves_nothing_and_is_counted_and_told(life: Life) -> None:
    first = life.start()
    order = first.an_order("unlock", 1)
    first.orders.arrived(facts.OrderArrived(order))
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    go = Go(**fields, boot_id=first.clock.boot_id, nonce=first.challenges[-1].nonce)
    again = life.start()
    for _ in range(3):
        again.orders.go(facts.GoArrived(go))
    assert again.refusals == ["unknown_order"] * 3
    assert [dict(data) for data in again.kinds("order.refused")] == [
        {"reason": "unknown_order", "cmd_id": order.cmd_id}
    ]
    assert (again.coil.pulses, again.answers(order.cmd_id)) == (0, [])


def test_a_repeat_is_no_conflict_whatever_its_order_has_come_to(site: Site) -> None:
    order = site.an_order("unlock", 1)
    for _ in range(2):
        assert site.give("unlock", 1).outcome is Outcome.PULSING
    site.keeper.contact(is_open=True)
    site.orders.arrived(facts.OrderArrived(order))
    assert site.kinds("order.refused") == []


def test_a_superseded_order_has_its_answer_on_disk_and_keeps_its_body(life: Life) -> None:
    site = life.start()
    older = site.an_order("unlock", 1)
    site.orders.arrived(facts.OrderArrived(older))
    site.orders.arrived(facts.OrderArrived(site.an_order("unlock", 2)))
    assert site.answers(older.cmd_id)[-1].code == "superseded"
    again = life.start()
    again.orders.arrived(facts.OrderArrived(again.an_order("unlock", 1, pulse_ms=700)))
    assert [data["cmd_id"] for data in again.kinds("order.refused")] == [older.cmd_id]


def test_a_disk_that_takes_nothing_refuses_an_order_at_its_first_step_and_says_so_at_once(site: Site) -> None:
    site.store.disk_seen("full", free_bytes=0)
    site.orders.arrived(facts.OrderArrived(order=site.an_order("unlock", 1)))
    assert site.challenges == []
    assert [(result.outcome, result.code) for result in site.sent] == [(Outcome.REJECTED, "storage_full")]
