"""A station that does not take its roster, and an erasure nobody has proven, are told about and clear by themselves."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from cloud_hub.models import Alert, Erasure, RosterState, StationStatus
from cloud_hub.models.station import Presence
from cloud_hub.roster.overdue import BEHIND, UNRECEIPTED, Overdue
from tests.support.hub import STATION, World

MINUTE = timedelta(minutes=1)


class Watcher:
    """The bridge's look, by the test's clock."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.overdue = Overdue(lambda: world.now)

    def look(self) -> int:
        """How many stations had news."""
        with self.world.sessions.begin() as session:
            words = self.overdue.look(session)
            self.overdue.apply(session, words)
        return len(words)

    def after(self, length: timedelta) -> dict[str, str]:
        self.world.now += length
        self.look()
        return self.alerts()

    def alerts(self) -> dict[str, str]:
        """By kind, the state of the newest alert."""
        with self.world.sessions() as session:
            return {row.kind: row.state for row in session.scalars(select(Alert).order_by(Alert.id))}


@pytest.fixture
def watcher(world: World) -> Watcher:
    return Watcher(world)


def online(world: World, *, presence: Presence = Presence.ONLINE) -> None:
    with world.sessions.begin() as session:
        session.merge(StationStatus(station_id=STATION, presence=presence.value, presence_since=world.now))


def roster(world: World, version: int, applied: int = 0) -> None:
    """As the bridge writes it down when it issues one, or hears of one."""
    with world.sessions.begin() as session:
        state = session.get(RosterState, STATION)
        if state is None:
            state = RosterState(station_id=STATION, digest="d" * 64, people=1, version=0)
            session.add(state)
        if state.version != version:
            state.version, state.issued_at = version, world.now
        state.applied_version = applied


def test_a_station_online_for_ten_minutes_without_its_roster_is_behind(
    world: World, watcher: Watcher
) -> None:
    online(world)
    roster(world, 3, applied=2)
    assert watcher.after(BEHIND - MINUTE) == {}
    assert watcher.after(MINUTE) == {"roster.behind": "open"}
    with world.sessions() as session:
        assert session.scalars(select(Alert.data)).one() == {"roster": 3, "applied": 2}


def test_it_clears_by_itself_once_the_roster_is_applied(world: World, watcher: Watcher) -> None:
    online(world)
    roster(world, 3, applied=2)
    watcher.after(BEHIND)
    roster(world, 3, applied=3)
    assert watcher.after(MINUTE) == {"roster.behind": "closed"}


def test_ever_newer_versions_do_not_start_the_wait_anew(world: World, watcher: Watcher) -> None:
    online(world)
    for version in range(2, 8):
        roster(world, version, applied=1)
        watcher.after(2 * MINUTE)
    assert watcher.alerts() == {"roster.behind": "open"}


def test_time_offline_does_not_count(world: World, watcher: Watcher) -> None:
    online(world, presence=Presence.OFFLINE)
    roster(world, 2, applied=1)
    assert watcher.after(timedelta(days=3)) == {}
    online(world)
    assert watcher.after(BEHIND - MINUTE) == {}
    assert watcher.after(MINUTE) == {"roster.behind": "open"}


def test_going_offline_leaves_the_alert_as_it_is(world: World, watcher: Watcher) -> None:
    online(world)
    roster(world, 2, applied=1)
    watcher.after(BEHIND)
    online(world, presence=Presence.OFFLINE)
    assert watcher.after(BEHIND) == {"roster.behind": "open"}


def test_a_station_without_a_roster_to_apply_is_not_behind(world: World, watcher: Watcher) -> None:
    online(world)
    assert watcher.after(timedelta(days=1)) == {}


def erasure(world: World, request_id: str) -> None:
    with world.sessions.begin() as session:
        session.add(
            Erasure(
                request_id=request_id,
                person_id="p-000000000001",
                station_id=STATION,
                reason="asked",
                requested_at=world.now,
                requested_by="user:lin",
            )
        )


def prove(world: World, request_id: str) -> None:
    with world.sessions.begin() as session:
        session.get_one(Erasure, request_id).receipted_at = world.now


def test_an_erasure_without_a_receipt_for_a_day_is_told_about_whether_the_station_is_online_or_not(
    world: World, watcher: Watcher
) -> None:
    erasure(world, "a" * 32)
    assert watcher.after(UNRECEIPTED - MINUTE) == {}
    assert watcher.after(MINUTE) == {"erasure.unreceipted": "open"}


def test_it_clears_only_with_the_last_receipt(world: World, watcher: Watcher) -> None:
    erasure(world, "a" * 32)
    erasure(world, "b" * 32)
    watcher.after(UNRECEIPTED)
    prove(world, "a" * 32)
    assert watcher.after(MINUTE) == {"erasure.unreceipted": "open"}
    prove(world, "b" * 32)
    assert watcher.after(MINUTE) == {"erasure.unreceipted": "closed"}


def test_a_look_that_finds_nothing_new_writes_nothing(world: World, watcher: Watcher) -> None:
    online(world)
    roster(world, 2, applied=1)
    erasure(world, "a" * 32)
    world.now += UNRECEIPTED
    assert [watcher.look() for _ in range(3)] == [1, 0, 0]
