"""A hub whose own clock is set: what waits keeps its moment, leases keep what they had left, and events are dated right."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.bridge.hub_clock import HubClock
from cloud_hub.ingest.presence import Watch
from cloud_hub.models import Event
from cloud_hub.models.station import Presence
from cloud_hub.settings import PresenceSettings
from tests.support.desk import NOW_MS, Desk, beat, birth, event, events, rows
from tests.support.hub import START, STATION, World

JUMPS = [timedelta(days=-30), timedelta(hours=1), timedelta(days=365)]


class Hands:
    """Both clocks of a machine."""

    def __init__(self) -> None:
        self.wall, self.uptime_s = START, 100.0
        self.clock = HubClock(lambda: self.wall, lambda: self.uptime_s)

    def pass_s(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.uptime_s += seconds


def test_a_clock_that_runs_was_not_set_and_one_that_drifts_neither() -> None:
    hands = Hands()
    hands.pass_s(3_600)
    hands.wall += timedelta(seconds=4)
    assert hands.clock.set_by() == timedelta()


@pytest.mark.parametrize("jump", JUMPS)
def test_by_how_much_it_was_set_is_told_once(jump: timedelta) -> None:
    hands = Hands()
    hands.pass_s(7)
    hands.wall += jump
    assert hands.clock.set_by() == jump
    hands.pass_s(7)
    assert hands.clock.set_by() == timedelta()


@pytest.mark.parametrize("jump", JUMPS)
def test_what_came_before_the_clock_was_set_keeps_its_moment(jump: timedelta) -> None:
    hands = Hands()
    came_s = hands.uptime_s
    hands.pass_s(2)
    hands.wall += jump
    assert hands.clock.at(came_s) == hands.wall - timedelta(seconds=2)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_lease_has_as_much_left_as_before(jump: timedelta) -> None:
    settings = PresenceSettings(lease_s=15)
    watch = Watch(settings, started_at=START)
    watch.connected(START)
    watch.birth(birth(1), START)
    watch.keep()
    watch.clock_was_set(jump)
    now = START + jump
    assert watch.sweep(now + timedelta(seconds=14)) == []
    (turn,) = watch.sweep(now + timedelta(seconds=16))
    assert turn.live.presence is Presence.OFFLINE


@pytest.mark.parametrize("jump", JUMPS)
def test_events_are_dated_by_the_clock_as_it_is_set_now(
    world: World, sessions: sessionmaker[Session], jump: timedelta
) -> None:
    desk = Desk(world)
    desk.store(birth(NOW_MS - 5_000))
    for number, there_and_back in enumerate((jump, -jump)):
        world.now += there_and_back + timedelta(seconds=1)
        desk.memory.boots.clock_was_set(there_and_back)
        desk.store(beat(NOW_MS - 4_000 + 1_000 * number))
    world.now += timedelta(seconds=3)
    desk.store(events(event(1)))
    (row,) = rows(sessions, Event)
    assert row.occurred_at == world.now
    assert desk.store(beat(NOW_MS + 500)).stale == 0
    assert row.station_id == STATION
