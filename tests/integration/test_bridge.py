"""The bridge as a whole: a real broker, a real database, and a station that follows a script."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cloud_hub.bell import BRIDGE, WEB, Bell, Ringer
from cloud_hub.db import utc_now
from cloud_hub.models import (
    Alert,
    Door,
    Event,
    ProcessStatus,
    Reading,
    Sensor,
    Station,
)
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind
from firmware_config.wire import encode
from tests.support.bridge import BACKENDS, STATIONS, Field, MakeField
from tests.support.station import wait_for

pytestmark = BACKENDS


def test_a_birth_brings_the_station_its_doors_and_its_sensors_to_the_pages(field: Field) -> None:
    bell = Bell(field.hub.data_dir / "bells", WEB)
    station = field.station()
    status = field.status(station.id)
    assert (status.boot_id, status.conn_no, status.install_id) == (station.boot_id, 1, station.install_id)
    assert (status.engine, status.cameras, status.rejected) == (
        "opencv test",
        {"front": "ok"},
        {"bad_signature": 1},
    )
    assert [(door.id, door.state, door.lock_kind) for door in field.all(Door)] == [
        ("main", "locked", "fail_secure")
    ]
    assert [(sensor.name, sensor.unit, sensor.high) for sensor in field.all(Sensor)] == [("room", "°C", 38.0)]
    rung: set[str] = set()

    def heard() -> bool:
        rung.update(bell.wait(0.1) or [])
        return {"stations", f"station:{station.id}"} <= rung

    wait_for(heard, what="the bell")
    bell.close()


def test_events_are_stored_once_and_acknowledged_each_time(field: Field) -> None:
    station = field.station()
    events = [station.event_of(seq, EventKind.ACCESS_GRANTED, {"door": "main"}) for seq in range(1, 6)]
    station.send_events(*events)
    station.send_events(*events[2:])
    wait_for(lambda: sorted(station.acknowledged("events")) == [1, 2, 3, 3, 4, 4, 5, 5])
    assert sorted(event.seq for event in field.all(Event)) == [1, 2, 3, 4, 5]
    assert not any(event.backfilled for event in field.all(Event))


def test_readings_are_stored_once_and_the_sensor_shows_the_last(field: Field) -> None:
    station = field.station()
    station.send_readings(20.5, 21.5)
    station.send_readings(20.5, 21.5)
    wait_for(lambda: sorted(station.acknowledged("readings")) == [1, 1, 2, 2])
    assert sorted(reading.value for reading in field.all(Reading)) == [20.5, 21.5]
    assert [sensor.value for sensor in field.all(Sensor)] == [21.5]


def test_what_cannot_be_read_is_counted_and_holds_up_nothing(field: Field) -> None:
    station = field.station()
    stranger = field.station(STATIONS[1], known=False, online=False)
    stranger.connect()
    before = field.count(Event)
    station.publish(Topic.EVENT, b"{not json")
    station.publish(Topic.EVENT, b"[" * 60_000)
    station.publish(Topic.EVENT, b"x" * 70_000)
    station.publish(Topic.RESULT, encode(station.birth_of()))
    station.publish(Topic.BIRTH, stranger.seal(station.birth_of()))
    stranger.send_events(stranger.event_of(1, EventKind.ACCESS_GRANTED))
    station.send_events(station.event_of(1, EventKind.DOOR_OPENED, {"door": "main"}))
    wait_for(lambda: station.acknowledged("events") == [1])
    assert field.count(Event) == before + 1
    assert stranger.acks == []


def test_text_that_a_database_refuses_costs_only_its_own_message(field: Field) -> None:
    """PostgreSQL takes no NUL in a text; SQLite does. Neither may stop the neighbours."""
    station = field.station()
    station.cameras = {"front": "\x00"}
    station.heartbeat()
    station.send_events(station.event_of(1, EventKind.DOOR_OPENED, {"note": "a\x00b", "door": "main"}))
    station.send_events(station.event_of(2, EventKind.DOOR_CLOSED, {"door": "main"}))
    wait_for(lambda: 2 in station.acknowledged("events"))
    assert 2 in {event.seq for event in field.all(Event)}


def test_a_forced_door_raises_one_alert_and_a_repeat_counts(field: Field) -> None:
    station = field.station()
    forced = [station.event_of(seq, EventKind.DOOR_FORCED, {"door": "main"}) for seq in (1, 2)]
    station.send_events(*forced)
    station.send_events(*forced)
    wait_for(lambda: len(station.acknowledged("events")) == 4)
    (alert,) = field.all(Alert)
    assert (alert.kind, alert.severity, alert.state, alert.count) == ("door.forced", "critical", "open", 2)


def test_history_that_arrives_late_raises_nothing(field: Field) -> None:
    station = field.station()
    station.send_events(station.event_of(1, EventKind.DOOR_FORCED, {"door": "main"}, age_ms=120_000))
    wait_for(lambda: station.acknowledged("events") == [1])
    (event,) = field.all(Event)
    assert event.backfilled
    assert timedelta(seconds=119) < utc_now() - event.occurred_at < timedelta(seconds=130)
    assert field.all(Alert) == []


def test_a_death_notice_of_an_older_connection_is_ignored(field: Field) -> None:
    station = field.station()
    old_will = station.seal(station.birth_of(online=False))
    station.die()
    field.await_presence(station.id, "offline")
    station.connect()
    field.await_presence(station.id, "online")
    station.publish(Topic.BIRTH, old_will)
    station.send_events(station.event_of(1, EventKind.STATION_STARTED))
    wait_for(lambda: station.acknowledged("events") == [1])
    assert field.status(station.id).presence == "online"


def test_a_heartbeat_of_an_unknown_session_asks_for_a_birth(field: Field) -> None:
    station = field.station(online=False)
    station.on_ask = lambda ask: (
        station._later(Topic.BIRTH, station.birth_of()) if ask.what == "rebirth" else None
    )
    station.connect(born=False)
    station.heartbeat()
    field.await_presence(station.id, "online")
    assert [ask.what for ask in station.asks] == ["rebirth"]


def test_a_silent_station_is_told_about_and_the_alert_ends_with_the_silence(make_field: MakeField) -> None:
    field = make_field(silent_alert_s=1, start_grace_s=0)
    station = field.station()
    station.die()
    field.await_presence(station.id, "offline")
    wait_for(
        lambda: [(alert.kind, alert.state) for alert in field.all(Alert)] == [("station.silent", "open")]
    )
    station.connect()
    wait_for(lambda: [alert.state for alert in field.all(Alert)] == ["closed"])


def test_a_retired_station_is_no_longer_heard_and_nobody_misses_it(make_field: MakeField) -> None:
    field = make_field(silent_alert_s=1, start_grace_s=0, lease_s=2)
    retired, other = field.station(), field.station(STATIONS[1])
    with field.sessions.begin() as session:
        session.get_one(Station, retired.id).retired_at = utc_now()
    ringer = Ringer(field.hub.data_dir / "bells")
    ringer.ring(BRIDGE, "stations")
    ringer.close()
    wait_for(lambda: {alert.station_id for alert in field.all(Alert)} == {other.id})
    retired.send_events(retired.event_of(1, EventKind.STATION_STARTED))
    other.send_events(other.event_of(1, EventKind.STATION_STARTED))
    wait_for(lambda: other.acknowledged("events") == [1])
    assert [event.station_id for event in field.all(Event)] == [other.id]
    assert {alert.station_id for alert in field.all(Alert)} == {other.id}


def test_a_lease_that_runs_out_is_offline_without_any_will(make_field: MakeField) -> None:
    field = make_field(lease_s=2)
    station = field.station()
    field.await_presence(station.id, "offline")
    station.heartbeat()
    field.await_presence(station.id, "online")


def test_the_broker_goes_and_comes_and_nothing_is_lost(field: Field) -> None:
    station = field.station()
    field.broker.stop()
    assert field.bridge is not None
    wait_for(lambda: field.bridge is not None and field.bridge.link.connected_at is None)
    field.bridge.sign_of_life()
    assert [process.ready for process in field.all(ProcessStatus)] == [False]
    field.broker.start()
    assert field.bridge.link.wait_connected(15)
    station.die()
    station.connect()
    station.send_events(station.event_of(1, EventKind.STATION_STARTED))
    wait_for(lambda: station.acknowledged("events") == [1])
    assert field.count(Event) == 1
    assert field.all(Alert) == []


def test_nothing_is_acknowledged_while_the_database_is_busy_and_all_of_it_later(field: Field) -> None:
    station = field.station()
    engine = field.sessions.kw["bind"]
    with engine.connect() as holder:
        if engine.dialect.name == "postgresql":
            holder.exec_driver_sql("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
        else:  # the transaction itself holds the only write lock
            holder.exec_driver_sql("SELECT 1")
        for seq in range(1, 21):
            station.send_events(station.event_of(seq, EventKind.ACCESS_DENIED))
        assert station.acknowledged("events") == []
        holder.rollback()
    wait_for(lambda: sorted(station.acknowledged("events")) == list(range(1, 21)), within_s=30)
    assert field.count(Event) == 20


def test_a_database_that_fails_costs_time_and_no_event(field: Field, request: pytest.FixtureRequest) -> None:
    """PostgreSQL throws everybody out and lets nobody in; SQLite's table is gone for a while."""
    station = field.station()
    break_it, mend_it = breakers(field, request)
    break_it()
    for seq in range(1, 6):
        station.send_events(station.event_of(seq, EventKind.ACCESS_DENIED))
    assert field.bridge is not None
    wait_for(lambda: field.bridge is not None and not field.bridge.storing, within_s=15)
    assert station.acknowledged("events") == []
    mend_it()
    wait_for(lambda: sorted(station.acknowledged("events")) == [1, 2, 3, 4, 5], within_s=30)
    assert sorted(event.seq for event in field.all(Event)) == [1, 2, 3, 4, 5]


def breakers(field: Field, request: pytest.FixtureRequest) -> tuple[Callable[[], None], Callable[[], None]]:
    """How to take the database away, and how to give it back."""
    engine = field.sessions.kw["bind"]
    if engine.dialect.name == "postgresql":
        server, name = request.getfixturevalue("postgres_server"), engine.url.database

        def shut() -> None:
            server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
            server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )

        return shut, lambda: server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    def rename(old: str, new: str) -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")

    return lambda: rename("event", "event_away"), lambda: rename("event_away", "event")
