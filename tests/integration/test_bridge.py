"""The bridge as a whole: a real broker, a real database, and a station that follows a script."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.access import audit
from cloud_hub.bell import BRIDGE, WEB, Bell, Ringer
from cloud_hub.bridge.service import Bridge
from cloud_hub.commands.services import request_unlock
from cloud_hub.db import make_engine, make_sessions, utc_now
from cloud_hub.errors import OutcomeUnknown
from cloud_hub.models import (
    Alert,
    AuditEntry,
    Command,
    CommandStep,
    Door,
    Event,
    ProcessStatus,
    Reading,
    Sensor,
    Station,
    StationStatus,
    User,
)
from cloud_hub.settings import Hub
from cloud_hub.stations.services import register
from firmware_config.signing import Signer, encode_public
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind, Outcome
from firmware_config.wire import Ask, Go, Order, encode
from tests.support.broker import Broker, MakeBroker
from tests.support.hub import make_hub
from tests.support.station import ScriptedStation, wait_for

pytestmark = pytest.mark.parametrize(
    ("make_broker", "database_url"),
    [
        pytest.param("iotcore", "sqlite", id="iotcore-sqlite"),
        pytest.param(
            "mosquitto",
            "postgres",
            id="mosquitto-postgres",
            marks=[pytest.mark.mosquitto, pytest.mark.postgres],
        ),
    ],
    indirect=True,
)
"""Every broker and every database once; which goes with which makes no difference to the bridge."""

STATIONS = ("st-test0001", "st-test0002")
USERS = {"hub": "hub-secret", **dict.fromkeys(STATIONS, "station-secret")}


@dataclass
class Field:
    """A hub with a running bridge, a broker, and stations that can be asked for."""

    hub: Hub
    signer: Signer
    broker: Broker
    sessions: sessionmaker[Session]
    stack: ExitStack
    bridge: Bridge | None = None

    def start_bridge(self) -> None:
        self.bridge = Bridge(self.hub)
        self.bridge.start()
        assert self.bridge.link.wait_connected(10)

    def stop_bridge(self) -> None:
        bridge, self.bridge = self.bridge, None
        if bridge is not None:
            bridge.stop()

    def station(self, name: str = STATIONS[0], *, known: bool = True, online: bool = True) -> ScriptedStation:
        """A scripted station, registered and seen online unless told otherwise."""
        station = ScriptedStation(name, port=self.broker.port, hub_public=encode_public(self.signer.public))
        self.stack.callback(station.die)
        if known:
            with self.sessions.begin() as session:
                register(
                    session,
                    station_id=name,
                    name="测试驿站",
                    region="",
                    time_zone="Asia/Shanghai",
                    public_key=station.public,
                    actor="test",
                    now=utc_now(),
                )
        if online:
            station.connect()
            self.await_presence(name, "online")
            wait_for(lambda: self.status(name).people is not None, what="heartbeat")
        return station

    def await_presence(self, station: str, presence: str, *, within_s: float = 10.0) -> None:
        wait_for(
            lambda: self.status(station).presence == presence, within_s=within_s, what=f"{station} {presence}"
        )

    def status(self, station: str) -> StationStatus:
        with self.sessions() as session:
            return session.get_one(StationStatus, station)

    def all(self, table: type[Any]) -> list[Any]:
        with self.sessions() as session:
            return list(session.scalars(select(table)))

    def count(self, table: type[Any]) -> int:
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def unlock(self, *, confirm_unknown: bool = False, ring: bool = True) -> str:
        """Order the door of the first station open, as the console does."""
        with self.sessions.begin() as session:
            if session.scalar(select(User)) is None:
                session.add(
                    User(
                        username="lin", password_hash="-", role="operator", language=None,
                        created_at=utc_now(), disabled_at=None,
                    )
                )  # fmt: skip
            command = request_unlock(
                session,
                station_id=STATIONS[0],
                door_id="main",
                reason="delivery",
                actor="user:lin",
                pulse_ms=3_000,
                now=utc_now(),
                confirm_unknown=confirm_unknown,
            )
        if ring:
            ringer = Ringer(self.hub.data_dir / "bells")
            ringer.ring(BRIDGE)
            ringer.close()
        return command.id

    def command(self, command_id: str) -> Command:
        with self.sessions() as session:
            return session.get_one(Command, command_id)

    def await_state(self, command_id: str, state: str, *, within_s: float = 10.0) -> Command:
        def look() -> Command | None:
            command = self.command(command_id)
            return command if command.state == state else None

        found = wait_for(look, within_s=within_s, what=f"state {state}")
        assert found is not None
        return found

    def hops(self, command_id: str) -> list[str]:
        with self.sessions() as session:
            query = (
                select(CommandStep.state).where(CommandStep.command_id == command_id).order_by(CommandStep.id)
            )
            return list(session.scalars(query))

    def hurry(self, command_id: str, *, by_s: float) -> None:
        """Let an order's timer run out sooner."""
        with self.sessions.begin() as session:
            command = session.get_one(Command, command_id)
            command.due_at -= timedelta(seconds=by_s)


MakeField = Callable[..., Field]


@pytest.fixture
def make_field(make_broker: MakeBroker, database_url: str, tmp_path: Path) -> Iterator[MakeField]:
    with ExitStack() as stack:

        def make(*, bridge: bool = True, **presence: float) -> Field:
            broker = make_broker(USERS)
            hub, signer = make_hub(
                tmp_path / "hub", broker_port=broker.port, database_url=database_url, **presence
            )
            engine = make_engine(hub.database_url)
            stack.callback(engine.dispose)
            field = Field(hub, signer, broker, make_sessions(engine), stack)
            stack.callback(field.stop_bridge)
            if bridge:
                field.start_bridge()
            return field

        yield make


@pytest.fixture
def field(make_field: MakeField) -> Field:
    return make_field()


def opens(station: ScriptedStation) -> Callable[[Go], None]:
    """The script of a door that opens."""

    def play(go: Go) -> None:
        station.result(go.cmd_id, Outcome.PULSING, energised_mono_ms=1_000, relay_readback=True)
        station.result(
            go.cmd_id, Outcome.OPENED, energised_mono_ms=1_000, opened_mono_ms=1_800, released_mono_ms=1_900
        )

    return play


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


def test_the_door_opens_and_the_story_is_complete(field: Field) -> None:
    station = field.station()
    station.on_go = opens(station)
    command_id = field.unlock()
    command = field.await_state(command_id, "OPENED")
    assert command.final
    assert command.evidence["opened_mono_ms"] == 1_800
    assert field.hops(command_id) == ["REQUESTED", "SENT", "CHALLENGED", "AUTHORISED", "PULSING", "OPENED"]
    actions = [entry.action for entry in field.all(AuditEntry) if entry.target == command_id]
    assert actions == ["door:unlock:authorised", "door:unlock:opened"]
    wait_for(lambda: station.acknowledged("results") == [command_id])
    with field.sessions() as session:
        assert audit.verify(session).ok


def test_the_go_repeats_every_field_of_the_order(field: Field) -> None:
    station = field.station()
    station.on_go = opens(station)
    field.await_state(field.unlock(), "OPENED")
    (order,), (go,) = station.orders, station.gos
    assert (go.cmd_id, go.door, go.verb, go.pulse_ms, go.issued_ms) == (
        order.cmd_id, "main", "unlock", 3_000, order.issued_ms,
    )  # fmt: skip


def test_a_lost_bell_costs_time_and_nothing_else(field: Field) -> None:
    station = field.station()
    station.on_go = opens(station)
    field.await_state(field.unlock(ring=False), "OPENED", within_s=5)


def test_a_station_that_died_is_refused_at_once(field: Field) -> None:
    station = field.station()
    station.die()
    field.await_presence(station.id, "offline")
    command_id = field.unlock()
    command = field.await_state(command_id, "DEVICE_OFFLINE", within_s=3.5)
    assert command.ended_at is not None
    assert command.ended_at - command.requested_at < timedelta(seconds=3.5)
    assert station.orders == []


def test_an_old_heartbeat_counts_as_offline(field: Field) -> None:
    station = field.station()
    with field.sessions.begin() as session:
        session.get_one(StationStatus, station.id).heartbeat_at = utc_now() - timedelta(seconds=16)
    command = field.await_state(field.unlock(), "DEVICE_OFFLINE", within_s=3.5)
    assert command.code == "heartbeat_old"


def test_no_challenge_in_time_is_no_challenge_while_heartbeats_are_not_due(field: Field) -> None:
    station = field.station()
    station.on_order = lambda _order: None
    command_id = field.unlock()
    command = field.await_state(command_id, "NO_CHALLENGE", within_s=5)
    assert command.ended_at is not None
    assert command.ended_at - command.requested_at < timedelta(seconds=3.5)
    assert field.hops(command_id) == ["REQUESTED", "SENT", "NO_CHALLENGE"]


def test_no_challenge_and_missed_heartbeats_are_device_offline_in_time(field: Field) -> None:
    station = field.station(online=False)
    station.interval_s = 0.5
    station.connect()
    wait_for(lambda: field.status(station.id).interval_s == 0.5)
    station.on_order = lambda _order: None
    command = field.await_state(field.unlock(), "DEVICE_OFFLINE", within_s=5)
    assert command.code == "heartbeat_missed"
    assert command.ended_at is not None
    assert command.ended_at - command.requested_at < timedelta(seconds=3.5)


def test_a_broker_that_says_nobody_listens_saves_the_wait(
    field: Field, request: pytest.FixtureRequest
) -> None:
    """Only Mosquitto says so, and nothing depends on it: elsewhere the timer gives the verdict."""
    station = field.station(online=False)
    station.connect(deaf=True)
    field.await_presence(station.id, "online")
    command_id = field.unlock()
    wait_for(lambda: field.command(command_id).final, within_s=3.5)
    command = field.command(command_id)
    if "mosquitto" in request.node.callspec.id:
        assert (command.state, command.code) == ("DEVICE_OFFLINE", "no_subscriber")
        assert command.ended_at is not None
        assert command.ended_at - command.requested_at < timedelta(seconds=2)
    else:
        assert command.state == "NO_CHALLENGE"


def test_rights_lost_between_request_and_go_stop_the_order(field: Field) -> None:
    station = field.station()

    def revoke_then_answer(order: Order) -> None:
        with field.sessions.begin() as session:
            session.query(User).update({User.disabled_at: utc_now()})
        station.challenge(order)

    station.on_order = revoke_then_answer
    command_id = field.unlock()
    command = field.await_state(command_id, "REJECTED")
    assert command.code == "not_authorised"
    assert station.gos == []
    assert "AUTHORISED" not in field.hops(command_id)


def test_a_challenge_that_somebody_else_signed_is_ignored(field: Field) -> None:
    station = field.station()
    honest = station.signer

    def forge_then_answer(order: Order) -> None:
        station.signer = field.signer
        station.challenge(order)
        station.signer = honest
        station.challenge(order)

    station.on_order = forge_then_answer
    station.on_go = opens(station)
    field.await_state(field.unlock(), "OPENED")
    assert len(station.gos) == 1


def test_no_word_after_go_is_unknown_and_a_later_result_resolves_it(field: Field) -> None:
    station = field.station()
    command_id = field.unlock()
    field.await_state(command_id, "AUTHORISED")
    field.hurry(command_id, by_s=8)
    assert not field.await_state(command_id, "UNKNOWN").final
    with pytest.raises(OutcomeUnknown):
        field.unlock()
    station.result(command_id, Outcome.OPENED, opened_mono_ms=5)
    field.await_state(command_id, "OPENED")


def test_a_confirmed_new_order_goes_out_while_the_last_is_unknown(field: Field) -> None:
    station = field.station()
    first = field.unlock()
    field.await_state(first, "AUTHORISED")
    field.hurry(first, by_s=8)
    field.await_state(first, "UNKNOWN")
    station.on_go = opens(station)
    field.await_state(field.unlock(confirm_unknown=True), "OPENED")
    assert field.command(first).state == "UNKNOWN"


def test_an_unknown_order_is_asked_about_and_one_never_begun_is_expired(field: Field) -> None:
    station = field.station()
    command_id = field.unlock()
    field.await_state(command_id, "AUTHORISED")
    field.hurry(command_id, by_s=8)
    field.await_state(command_id, "UNKNOWN")
    station.on_ask = station.reply
    station.heartbeat()
    command = field.await_state(command_id, "EXPIRED")
    assert command.code == "never_begun"
    assert [ask.what for ask in station.asks] == ["result"]


def test_a_new_store_makes_an_unknown_order_unknown_for_ever(field: Field) -> None:
    station = field.station()
    command_id = field.unlock()
    field.await_state(command_id, "AUTHORISED")
    field.hurry(command_id, by_s=8)
    field.await_state(command_id, "UNKNOWN")
    station.die()
    station.install_id, station.boot_id, station.conn_no = "e" * 32, "f" * 32, 0
    station.connect()
    assert field.await_state(command_id, "UNKNOWN_FINAL").final
    wait_for(lambda: "order.unknown_final" in {alert.kind for alert in field.all(Alert)})
    assert "station:store:replaced" in {entry.action for entry in field.all(AuditEntry)}


def test_an_order_of_the_last_run_is_never_carried_on(make_field: MakeField) -> None:
    field = make_field()
    station = field.station()
    station.on_order = lambda _order: None
    field.stop_bridge()
    command_id = field.unlock()
    field.hurry(command_id, by_s=3)
    field.start_bridge()
    command = field.await_state(command_id, "NO_CHALLENGE", within_s=10)
    assert command.code == "not_carried"
    assert station.orders == []


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
    field.await_presence(station.id, "offline", within_s=6)
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


def test_a_question_never_moves_an_order(field: Field) -> None:
    """A reply to something never asked, about an order under way, is not believed."""
    station = field.station()
    command_id = field.unlock()
    field.await_state(command_id, "AUTHORISED")
    station.reply(Ask(station=station.id, what="result", cmd_id=command_id))
    station.send_events(station.event_of(1, EventKind.STATION_STARTED))
    wait_for(lambda: station.acknowledged("events") == [1])
    assert field.command(command_id).state == "AUTHORISED"
