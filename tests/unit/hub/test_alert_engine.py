"""Alerts as rows: one per key that is not closed, whoever raises it."""

import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.access import audit
from cloud_hub.alerts import engine
from cloud_hub.alerts.engine import Change
from cloud_hub.alerts.rules import Clear, Effect, Raise
from cloud_hub.alerts.services import acknowledge
from cloud_hub.errors import Conflict, NotFound
from cloud_hub.models import Alert, AuditEntry
from cloud_hub.models.alert import Severity
from tests.support.hub import OPERATOR, START, STATION, World

FORCED = Raise("door.forced", Severity.CRITICAL, "main", latching=True, data={"door": "main"})
HELD = Raise("door.held_open", Severity.MAJOR, "main")
REFUSED = Raise("order.refused", Severity.MINOR, "bad_signature", latching=True, holds=False)
CLOSED = (Clear("door.forced", "main"), Clear("door.held_open", "main"))


def apply(world: World, *effects: Effect) -> list[Change]:
    with world.sessions.begin() as session:
        return engine.apply(session, STATION, effects, at=world.now)


def alerts(sessions: sessionmaker[Session]) -> list[Alert]:
    with sessions() as session:
        return list(session.scalars(select(Alert).order_by(Alert.id)))


def press(world: World, alert: Alert) -> Alert:
    with world.sessions.begin() as session:
        return acknowledge(session, alert_id=alert.id, actor=OPERATOR, now=world.now)


def test_the_first_raise_is_new_and_a_repeat_counts(world: World) -> None:
    assert apply(world, FORCED) == [Change("door.forced", new=True)]
    world.forward(seconds=5)
    assert apply(world, FORCED) == [Change("door.forced", new=False)]
    (alert,) = alerts(world.sessions)
    assert (alert.state, alert.active, alert.count) == ("open", True, 2)
    assert (alert.raised_at, alert.repeated_at) == (START, START + timedelta(seconds=5))


def test_what_a_heartbeat_says_again_counts_nothing(world: World) -> None:
    again = Raise(HELD.kind, HELD.severity, HELD.source, counts=False)
    assert apply(world, HELD, again, again) == [Change("door.held_open", new=True)]
    assert alerts(world.sessions)[0].count == 1


def test_a_station_that_comes_and_goes_is_one_incident_and_later_it_is_another(world: World) -> None:
    silent = Raise("station.silent", Severity.MAJOR, counts=False, resumes=True)
    back = Clear("station.silent")
    assert apply(world, silent) == [Change("station.silent", new=True)]
    for minutes in (1, 4, 4):
        apply(world, back)
        world.forward(minutes=minutes)
        assert apply(world, silent) == [Change("station.silent", new=False)]
    (alert,) = alerts(world.sessions)
    assert (alert.state, alert.active, alert.count, alert.closed_at) == ("open", True, 4, None)
    press(world, alert)
    apply(world, back)
    world.forward(minutes=1)
    apply(world, silent)
    assert [alert.state for alert in alerts(world.sessions)] == ["acknowledged"]
    apply(world, back)
    world.forward(minutes=6)
    assert apply(world, silent) == [Change("station.silent", new=True)]
    assert len(alerts(world.sessions)) == 2


def test_an_alert_that_does_not_latch_closes_with_its_condition(world: World) -> None:
    apply(world, HELD)
    world.forward(seconds=9)
    assert apply(world, *CLOSED) == [Change("door.held_open", new=False)]
    (alert,) = alerts(world.sessions)
    assert (alert.state, alert.active, alert.cleared_at, alert.closed_at) == (
        "closed",
        False,
        world.now,
        world.now,
    )


def test_a_latching_alert_stays_until_somebody_acknowledges_it(world: World) -> None:
    apply(world, FORCED)
    apply(world, *CLOSED)
    (alert,) = alerts(world.sessions)
    assert (alert.state, alert.active, alert.closed_at) == ("open", False, None)
    assert press(world, alert).state == "closed"


def test_an_acknowledged_alert_closes_when_its_condition_ends(world: World) -> None:
    apply(world, FORCED)
    (alert,) = alerts(world.sessions)
    assert press(world, alert).state == "acknowledged"
    apply(world, *CLOSED)
    (alert,) = alerts(world.sessions)
    assert (alert.state, alert.acknowledged_by) == ("closed", OPERATOR)


def test_an_end_that_was_overtaken_by_the_next_beginning_ends_nothing(world: World) -> None:
    """Alarms go up before older events of the other lanes."""
    closed = (Clear("door.forced", "main", ordered=True), Clear("door.held_open", "main", ordered=True))
    world.forward(seconds=10)
    apply(world, FORCED, HELD)
    world.forward(seconds=-5)
    assert apply(world, *closed) == []
    assert [alert.active for alert in alerts(world.sessions)] == [True, True]
    world.forward(seconds=6)
    apply(world, *closed)
    assert [(alert.state, alert.active) for alert in alerts(world.sessions)] == [
        ("open", False), ("closed", False),
    ]  # fmt: skip


def test_a_beginning_that_was_overtaken_by_its_end_is_counted_and_begins_nothing(world: World) -> None:
    apply(world, FORCED)
    world.forward(seconds=20)
    cleared_at = world.now
    apply(world, *CLOSED)
    world.forward(seconds=-10)
    apply(world, FORCED)
    (alert,) = alerts(world.sessions)
    assert (alert.active, alert.count, alert.cleared_at) == (False, 2, cleared_at)
    assert alert.repeated_at == world.now


def test_what_the_hub_itself_sees_ends_whatever_its_clock_did(world: World) -> None:
    silent = Raise("station.silent", Severity.MAJOR, counts=False)
    apply(world, silent)
    world.forward(hours=-1)
    apply(world, Clear("station.silent"))
    assert [alert.state for alert in alerts(world.sessions)] == ["closed"]


def test_what_renews_shows_the_newest_word(world: World) -> None:
    for lost in (3, 5):
        apply(
            world,
            Raise(
                "events.lost", Severity.MAJOR, holds=False, latching=True, renews=True, data={"lost": lost}
            ),
        )
    (alert,) = alerts(world.sessions)
    assert (alert.count, alert.data) == (2, {"lost": 5})


def test_the_next_incident_after_a_closed_one_is_a_new_alert(world: World) -> None:
    apply(world, HELD)
    apply(world, *CLOSED)
    assert apply(world, HELD) == [Change("door.held_open", new=True)]
    assert [alert.state for alert in alerts(world.sessions)] == ["closed", "open"]


def test_a_latched_alert_whose_condition_comes_back_counts_on(world: World) -> None:
    apply(world, FORCED)
    apply(world, *CLOSED)
    apply(world, FORCED)
    (alert,) = alerts(world.sessions)
    assert (alert.active, alert.count, alert.cleared_at) == (True, 2, None)


def test_a_moment_waits_for_its_acknowledgement_alone(world: World) -> None:
    apply(world, REFUSED, REFUSED)
    (alert,) = alerts(world.sessions)
    assert (alert.state, alert.active, alert.count) == ("open", False, 2)
    assert press(world, alert).state == "closed"


def test_clearing_what_nobody_raised_is_no_change(world: World) -> None:
    assert apply(world, *CLOSED) == []


def test_acknowledging_twice_is_harmless_and_audited_once(world: World) -> None:
    apply(world, FORCED)
    (alert,) = alerts(world.sessions)
    press(world, alert)
    assert press(world, alert).state == "acknowledged"
    with world.sessions() as session:
        query = select(func.count()).where(AuditEntry.action == "alert:acknowledge:done")
        assert session.scalar(query) == 1
        assert audit.verify(session).ok


def test_an_alert_that_closed_by_itself_cannot_be_acknowledged(world: World) -> None:
    apply(world, HELD)
    apply(world, *CLOSED)
    with pytest.raises(Conflict):
        press(world, alerts(world.sessions)[0])


def test_an_alert_that_does_not_exist_is_not_found(world: World) -> None:
    with world.sessions.begin() as session, pytest.raises(NotFound):
        acknowledge(session, alert_id=999, actor=OPERATOR, now=world.now)


def test_the_database_itself_refuses_a_second_open_alert_of_one_key(world: World) -> None:
    apply(world, FORCED)
    twin = Alert(
        key=f"{STATION}:door.forced:main", station_id=STATION, kind="door.forced", severity="critical",
        state="acknowledged", active=True, latching=True, count=1, raised_at=START, repeated_at=START, data={},
    )  # fmt: skip
    with pytest.raises(IntegrityError), world.sessions.begin() as session:
        session.add(twin)


def test_equal_facts_of_two_writers_at_once_make_one_alert(world: World) -> None:
    barrier = threading.Barrier(4)
    faults: list[BaseException] = []

    def run() -> None:
        barrier.wait(10)
        try:
            for _ in range(5):
                apply(world, FORCED)
        except Exception as error:  # noqa: BLE001 (shown by the assertion)
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    assert [alert.count for alert in alerts(world.sessions)] == [20]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(st.sampled_from(["forced", "held", "refused", "closed", "acknowledge"]), max_size=12))
def test_any_history_leaves_at_most_one_alert_per_key_that_is_not_closed(
    world: World, story: list[str]
) -> None:
    deeds: dict[str, tuple[Effect, ...]] = {
        "forced": (FORCED,),
        "held": (HELD,),
        "refused": (REFUSED,),
        "closed": CLOSED,
    }
    for what in story:
        if what == "acknowledge":
            for alert in alerts(world.sessions):
                if alert.state == "open":
                    press(world, alert)
        else:
            apply(world, *deeds[what])
        rows = alerts(world.sessions)
        keys = [alert.key for alert in rows if alert.state != "closed"]
        assert len(keys) == len(set(keys))
        assert all(alert.closed_at is not None for alert in rows if alert.state == "closed")
        assert not any(alert.active for alert in rows if alert.state == "closed")
