"""The way there and back: real link, real Mosquitto, real bridge and database, and a network that lies about itself."""

import contextlib
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from cloud_hub.db import utc_now
from cloud_hub.ingest import gaps
from cloud_hub.models import Alert, Event, EventStream
from firmware_config import wire
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind
from station_agent import facts
from station_agent.clock import Stamp
from station_agent.link import connection, echo, lanes
from station_agent.link.access import Access
from station_agent.link.connection import Connection
from station_agent.store.store import Store
from tests.support.bridge import Field
from tests.support.lifeline import Lifeline
from tests.support.station import wait_for

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.parametrize(("make_broker", "database_url"), [("mosquitto", "sqlite")], indirect=True),
]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds instead of minutes; every proportion stays."""
    monkeypatch.setattr(echo, "ECHO_AFTER_S", 2.0)
    monkeypatch.setattr(echo, "ASK_AGAIN_S", 1.0)
    monkeypatch.setattr(echo, "FIRST_PAUSE_S", 2.0)
    monkeypatch.setattr(gaps, "SETTLED", timedelta(seconds=1))


@pytest.fixture
def lifeline(field: Field, tmp_path: Path, quick: None) -> Lifeline:
    del quick
    made = Lifeline(field, tmp_path / "station")
    made.start()
    return made


def kinds(field: Field) -> list[str]:
    with field.sessions() as session:
        return list(session.scalars(select(Event.kind).order_by(Event.id)))


def rebuilt(field: Field) -> list[str]:
    with field.sessions() as session:
        query = select(Event.data).where(Event.kind == EventKind.LINK_REBUILT.value).order_by(Event.id)
        return [str(data["connection"]) for data in session.scalars(query)]


def test_a_data_connection_that_hears_nothing_is_built_anew_alone(field: Field, lifeline: Lifeline) -> None:
    lifeline.happen(EventKind.DOOR_OPENED)
    lifeline.await_delivered()
    lifeline.deafen("data", "/down/ack")
    lifeline.happen(EventKind.DOOR_CLOSED)
    wait_for(lambda: rebuilt(field) == ["data"], within_s=60, what="a new data connection")
    lifeline.await_delivered()
    assert field.status(lifeline.name).conn_no == 1, "the command connection was left alone"
    assert kinds(field).count("door.closed") == 1


def test_a_command_connection_that_hears_nothing_is_built_anew_and_orders_arrive(
    field: Field, lifeline: Lifeline
) -> None:
    lifeline.deafen("command", "/down/req", "/down/go")
    wait_for(lambda: field.status(lifeline.name).conn_no == 2, within_s=60, what="a new command connection")
    field.await_presence(lifeline.name, "online")
    lifeline.await_delivered()
    assert rebuilt(field) == ["command"]
    field.unlock()
    assert isinstance(lifeline.inbox.get(timeout=20), facts.OrderArrived)


def test_a_hub_that_is_away_for_long_is_no_reason_to_build_anything_anew(
    field: Field, lifeline: Lifeline
) -> None:
    """Mosquitto says of a message that nobody receives it, and that is enough to tell a dead hub from a dead line."""
    field.stop_bridge()
    before = lifeline.link._echo.number
    wait_for(lambda: lifeline.link._echo.number >= before + 12, within_s=90, what="twelve questions")
    field.start_bridge()
    field.await_presence(lifeline.name, "online")
    lifeline.happen(EventKind.DOOR_OPENED)
    lifeline.await_delivered()
    assert rebuilt(field) == []
    assert field.status(lifeline.name).conn_no == 1


def test_what_went_out_while_no_hub_listened_is_sent_again_as_soon_as_one_does(
    field: Field, lifeline: Lifeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifeline.await_delivered()
    monkeypatch.setattr(lanes, "RESEND_S", 1_000.0)
    monkeypatch.setattr(lanes, "LONGEST_RESEND_S", 1_000.0)
    field.stop_bridge()
    lifeline.happen(EventKind.DOOR_OPENED)

    def on_its_way() -> bool:
        return any(lane.flights for lane in lifeline.link._pump._lanes)

    wait_for(on_its_way, what="an event that nobody received")
    field.start_bridge()
    lifeline.await_delivered()
    assert kinds(field).count("door.opened") == 1


def test_a_hub_restored_from_a_backup_gets_its_events_back_and_tells_nobody_twice(
    field: Field, lifeline: Lifeline
) -> None:
    lifeline.happen(*[EventKind.DOOR_OPENED] * 10)
    lifeline.await_delivered()
    field.stop_bridge()
    database = Path(str(field.sessions.kw["bind"].url.database))
    backup = database.with_suffix(".backup")
    with contextlib.closing(sqlite3.connect(database)) as line:
        line.execute("VACUUM INTO ?", (str(backup),))
    field.start_bridge()
    field.await_presence(lifeline.name, "online")
    lifeline.happen(*[EventKind.DOOR_CLOSED] * 20, EventKind.DOOR_FORCED)
    lifeline.await_delivered()
    assert [alert.kind for alert in field.all(Alert)] == ["door.forced"]
    field.stop_bridge()
    field.sessions.kw["bind"].dispose()
    for name in ("-wal", "-shm"):
        Path(f"{database}{name}").unlink(missing_ok=True)
    shutil.copy(backup, database)
    assert field.count(Event) == 10
    field.start_bridge()
    wait_for(lambda: field.count(Event) == 31, within_s=60, what="the lost events")
    events = field.all(Event)
    assert sorted(event.seq for event in events) == list(range(1, 32))
    assert all(event.backfilled for event in events if event.seq > 10)
    assert field.all(Alert) == []
    lifeline.await_delivered()
    assert [(stream.missing, stream.lost_count) for stream in field.all(EventStream)] == [([], 0)]


def test_a_boot_thirty_days_slow_is_dated_right_once_its_clock_was_set(field: Field) -> None:
    """D10 over a real broker, bridge and database; the order inside the boot is kept, whatever order they come in."""
    station = field.station()
    now_ms = station.now()["wall_ms"]
    early, month_ms = "e" * 32, 30 * 86_400_000
    anchor = wire.Anchor(boot_id=early, mono_ms=7_200_000, wall_ms=now_ms - 3_600_000)
    items = [
        wire.Event(
            seq=seq, kind=EventKind.DOOR_OPENED, boot_id=early, mono_ms=seq * 600_000,
            wall_ms=now_ms - month_ms + seq * 600_000, clock="unsynced", data={},
        )
        for seq in range(1, 12)
    ]  # fmt: skip
    for part in (items[6:], items[:6]):
        batch = wire.EventBatch(
            station=station.id, install_id=station.install_id, boot_id=station.boot_id,
            sent_mono_ms=station.mono_ms(), items=part, anchors=[anchor],
        )  # fmt: skip
        station.say(Topic.EVENT, batch)
    wait_for(lambda: field.count(Event) == 11, what="the events")
    rows = sorted(field.all(Event), key=lambda row: row.occurred_at)
    assert [row.seq for row in rows] == list(range(1, 12))
    assert {row.dated for row in rows} == {"anchored"}
    truth = utc_now() - timedelta(milliseconds=3_600_000 + 7_200_000 - 600_000)
    assert abs(rows[0].occurred_at - truth) <= timedelta(seconds=2 + 5)


def test_what_a_station_kept_over_a_restart_is_dated_by_the_moment_its_clock_was_set(
    field: Field, tmp_path: Path, quick: None
) -> None:
    """The real store of a boot that began thirty days slow and never reached the hub, sent by the next boot."""
    del quick
    lifeline = Lifeline(field, tmp_path / "station")
    now_ms, early = lifeline.clock.stamp().wall_ms, "e" * 32
    slow_ms = now_ms - 30 * 86_400_000

    def stamp(mono_ms: int, wall_ms: int, trust: wire.Clock) -> Stamp:
        return Stamp(boot_id=early, mono_ms=mono_ms, wall_ms=wall_ms, trust=trust)

    first = stamp(0, slow_ms, "unsynced")
    with contextlib.closing(
        Store(tmp_path / "station" / "data", station=lifeline.name, stamp=first)
    ) as store:
        for number in range(1, 9):
            at = stamp(number * 60_000, slow_ms + number * 60_000, "unsynced")
            store.put_event((EventKind.DOOR_OPENED, EventKind.TAMPER_OPENED)[number % 2], {"n": number}, at)
        store.keep_anchor(stamp(600_000, now_ms - 7_200_000, "synced"))
        store.put_event(EventKind.CLOCK_SYNCED, {"n": 10}, stamp(600_000, now_ms - 7_200_000, "synced"))
        assert store.barrier(10)
    lifeline.start()
    wait_for(lambda: field.count(Event) >= 9, what="the events")
    rows = [row for row in field.all(Event) if "n" in row.data]
    truth_at = datetime.fromtimestamp((now_ms - 7_200_000 - 600_000) / 1_000, UTC)
    for row in rows:
        error = abs(row.occurred_at - truth_at - timedelta(minutes=row.data["n"]))
        assert error <= timedelta(seconds=2)
    assert {(row.dated, row.backfilled) for row in rows} == {("anchored", True)}
    assert [row.data["n"] for row in sorted(rows, key=lambda row: row.occurred_at)] == [*range(1, 9), 10]
    assert field.all(Alert) == [], "history raises nothing"


@pytest.fixture
def bouncer() -> Iterator[tuple[int, list[int]]]:
    """A broker that lets everybody in and throws them out at once: DISCONNECT 0x8E, session taken over."""
    server = socket.create_server(("127.0.0.1", 0))
    kicked: list[int] = []

    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            with line:
                line.recv(65_536)
                line.sendall(b"\x20\x03\x00\x00\x00")
                subscribe = line.recv(65_536)
                kicked.append(1)
                if subscribe:
                    line.sendall(b"\x90\x04" + subscribe[2:4] + b"\x00\x01" + b"\xe0\x02\x8e\x00")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1], kicked
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(10)


def test_who_is_kicked_at_once_waits_longer_each_time(
    bouncer: tuple[int, list[int]], monkeypatch: pytest.MonkeyPatch, field: Field
) -> None:
    del field
    port, kicked = bouncer
    attempts: list[int] = []

    def pause(attempt: int, _chance: object) -> float:
        attempts.append(attempt)
        return 0.01

    monkeypatch.setattr(connection, "pause_s", pause)
    line = Connection(
        client_id="st-test0001-data",
        access=Access(host="127.0.0.1", port=port, keepalive_s=20, username=None, password=None, tls=None),
        station="st-test0001",
        topics=(Topic.ACK,),
        went=lambda _up: None,
        arrived=lambda _raw: None,
    )
    line.start()
    wait_for(lambda: len(attempts) >= 6, what="six kicks")
    line.stop()
    assert attempts[:6] == [0, 1, 2, 3, 4, 5], "a connection that was kicked was never a stable one"
    assert len(kicked) >= 6
