"""One batch and one transaction: what is stored, raised, acknowledged and shown."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.ingest.decoding import Arrival, StationKeys, open_arrival, topic_label
from cloud_hub.ingest.handlers import Batch
from cloud_hub.models import Alert, AuditEntry, Door, Event, Reading, Sensor, Station, StationStatus
from cloud_hub.roster.services import revision, touch
from firmware_config import wire
from firmware_config.signing import Refused, Signer, Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.vocabulary import DoorState, EventKind
from tests.support.desk import NOW_MS, Desk, beat, birth, door, event, events, readings, rows
from tests.support.hub import INSTALL, START, STATION, World


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def alerts(sessions: sessionmaker[Session]) -> list[tuple[str, str, int]]:
    return [(alert.kind, alert.state, alert.count) for alert in rows(sessions, Alert)]


def test_liveness_off_is_a_notice_that_stands_once_and_ends_by_itself(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    desk.store(birth(engine="opencv/0123"))
    desk.store(birth(2, conn_no=2, engine="opencv/0123"))
    assert alerts(sessions) == [("liveness.off", "open", 1)]
    desk.store(birth(3, conn_no=3, engine="opencv/0123", liveness="both"))
    assert alerts(sessions) == [("liveness.off", "closed", 1)]
    desk.store(birth(4, conn_no=4, engine="opencv/0123"), birth(5, conn_no=5))  # entry by face is off by then
    assert [state for _, state, _ in alerts(sessions)] == ["closed", "closed"]


def test_events_are_counted_once_within_and_across_batches(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    first = desk.store(events(event(1), event(2)), events(event(2), event(3)))
    again = desk.store(events(event(3), event(4)))
    assert (first.events, first.duplicates) == (3, 1)
    assert (again.events, again.duplicates) == (1, 1)
    assert sorted(row.seq for row in rows(sessions, Event)) == [1, 2, 3, 4]


def test_all_that_came_is_acknowledged_by_store(desk: Desk) -> None:
    stored = desk.store(events(event(1)), events(event(1), install_id="2" * 32), readings((7, 20.0)))
    found = {install: (receipt.events, receipt.readings) for (_, install), receipt in stored.receipts.items()}
    assert found == {INSTALL: ([1], [7]), "2" * 32: ([1], [])}


def test_the_same_number_of_another_store_is_another_event(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    desk.store(events(event(1)), events(event(1), install_id="2" * 32))
    assert len(rows(sessions, Event)) == 2


def test_an_event_is_dated_by_the_hub(desk: Desk, sessions: sessionmaker[Session]) -> None:
    desk.store(events(event(1, mono_ms=NOW_MS - 5_000, wall_ms=0, clock="unsynced")))
    (row,) = rows(sessions, Event)
    assert row.occurred_at == desk.world.now - timedelta(seconds=5)
    assert (row.clock, row.backfilled) == ("unsynced", False)


@pytest.mark.parametrize(
    "late",
    [
        pytest.param({"mono_ms": NOW_MS - 61_000}, id="old"),
        pytest.param({"boot_id": "f" * 32}, id="of-an-earlier-boot"),
    ],
)
def test_history_neither_raises_nor_clears(
    desk: Desk, sessions: sessionmaker[Session], late: dict[str, Any]
) -> None:
    desk.store(events(event(1, EventKind.DOOR_FORCED, **late)))
    assert alerts(sessions) == []
    desk.store(events(event(2, EventKind.DOOR_HELD_OPEN)))
    desk.store(events(event(3, EventKind.DOOR_CLOSED, **late)))
    assert alerts(sessions) == [("door.held_open", "open", 1)]


def test_a_resent_event_raises_no_second_time(desk: Desk, sessions: sessionmaker[Session]) -> None:
    forced = events(event(1, EventKind.DOOR_FORCED))
    assert desk.store(forced).raised == ["door.forced"]
    assert desk.store(forced).raised == []
    assert alerts(sessions) == [("door.forced", "open", 1)]


def test_raise_and_clear_in_one_batch_keep_their_order(desk: Desk, sessions: sessionmaker[Session]) -> None:
    desk.store(
        events(
            event(1, EventKind.DOOR_HELD_OPEN),
            event(2, EventKind.DOOR_CLOSED),
            event(3, EventKind.DOOR_HELD_OPEN),
        )
    )
    assert alerts(sessions) == [("door.held_open", "closed", 1), ("door.held_open", "open", 1)]


def test_a_birth_announces_doors_and_sensors_and_drops_the_others(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    desk.store(birth())
    back = wire.DoorStatus(id="back", state=DoorState.LOCKED, relay=False, contact_open=False)
    desk.store(birth(2, doors=[back], lock_kinds={"back": "fail_safe"}, sensors=[]))
    assert [(row.id, row.lock_kind) for row in rows(sessions, Door)] == [("back", "fail_safe")]
    assert rows(sessions, Sensor) == []


def test_the_birth_of_a_boot_that_another_has_followed_is_never_believed_again(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    old = birth(1, boot_id="a" * 32, install_id="1" * 32)
    desk.store(old)
    desk.store(birth(2, boot_id="b" * 32, install_id="2" * 32))
    assert desk.store(old).stale == 1
    (status,) = rows(sessions, StationStatus)
    assert (status.boot_id, status.install_id) == ("b" * 32, "2" * 32)
    replaced = [row for row in rows(sessions, AuditEntry) if row.action == "station:store:replaced"]
    assert len(replaced) == 1


def test_a_new_boots_birth_is_believed_although_its_first_transaction_failed(
    desk: Desk, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.store(birth(1, boot_id="a" * 32))
    new = birth(2, boot_id="b" * 32)
    monkeypatch.setattr(Batch, "_write_alerts", _fail)
    with pytest.raises(OSError, match="disk"):
        desk.store(new)
    desk.memory.drop()
    monkeypatch.undo()
    assert desk.store(new).stale == 0
    (status,) = rows(sessions, StationStatus)
    assert status.boot_id == "b" * 32


def _fail(_batch: Batch) -> None:
    raise OSError("the disk does not answer")


def test_readings_are_stored_once_and_the_newest_is_shown(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    desk.store(birth(), readings((1, 20.0), (2, 21.0)))
    desk.store(readings((2, 21.0)))
    desk.store(readings((3, 99.0), mono_ms=NOW_MS - 70_000))
    assert sorted(row.value for row in rows(sessions, Reading)) == [20.0, 21.0, 99.0]
    assert [row.value for row in rows(sessions, Sensor)] == [21.0]


def test_what_two_heartbeats_agree_on_mends_alerts_that_history_left(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    """The door was closed while the station was away: its event came too late to clear anything."""
    desk.store(birth(), events(event(1, EventKind.DOOR_HELD_OPEN)))
    desk.store(beat(2))
    assert alerts(sessions) == [("door.held_open", "open", 1)]
    desk.store(beat(3))
    assert alerts(sessions) == [("door.held_open", "closed", 1)]


def test_what_two_heartbeats_agree_on_is_raised_without_counting(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    lost = {"front": "lost"}
    desk.store(birth(), beat(2, cameras=lost))
    assert alerts(sessions) == []
    for mono_ms in range(3, 8):
        desk.store(beat(mono_ms, cameras=lost))
    assert alerts(sessions) == [("camera.lost", "open", 1)]
    desk.store(beat(8), beat(9))
    assert alerts(sessions) == [("camera.lost", "closed", 1)]


def test_a_page_is_woken_only_by_what_it_would_show(desk: Desk) -> None:
    first = desk.store(birth(), beat(2))
    same = desk.store(beat(3))
    other = desk.store(beat(4, doors=[door(DoorState.OPEN, contact_open=True)]))
    assert first.topics >= {"stations", f"station:{STATION}"}
    assert same.topics == set()
    assert other.topics == {f"station:{STATION}"}


def test_huge_numbers_are_no_fault_of_the_database(desk: Desk, sessions: sessionmaker[Session]) -> None:
    huge = 2**53
    crowd = wire.OccupancyStatus(estimate=huge, low=huge, high=huge, capacity=huge)
    desk.store(
        birth(mono_ms=huge, conn_no=huge, capacity=huge),
        beat(huge, conn_no=huge, occupancy=crowd, backlog=huge, interval_s=1e300),
        events(event(huge, mono_ms=huge, wall_ms=huge)),
    )
    assert rows(sessions, StationStatus)[0].backlog == huge


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=8), min_size=1, max_size=10))
def test_any_order_and_any_repeats_give_each_event_once(desk: Desk, batches: list[list[int]]) -> None:
    desk.stores += 1
    install = f"{desk.stores:032x}"
    for batch in batches:
        desk.store(events(*(event(seq) for seq in batch), install_id=install))
    with desk.world.sessions() as session:
        query = select(func.count()).where(Event.install_id == install)
        assert session.scalar(query) == len({seq for batch in batches for seq in batch})


def arrival(topic: str, payload: bytes, **changes: Any) -> Arrival:
    fields: dict[str, Any] = {
        "topic": topic, "payload": payload, "retain": False, "mid": 1, "qos": 1, "connection": 1,
        "came_s": 0.0, **changes,
    }  # fmt: skip
    return Arrival(**fields)


@pytest.fixture
def keys(world: World) -> StationKeys:
    made = StationKeys()
    with world.sessions.begin() as session:
        made.load(session, [STATION, "st-none0001"], now=world.now)
    return made


def test_a_signed_message_is_opened_with_the_stations_own_key(world: World, keys: StationKeys) -> None:
    payload = Signer(world.key).seal("birth", birth())
    assert open_arrival(arrival(Topic.BIRTH.of(STATION), payload), keys, received_at=START).body == birth()


@pytest.mark.parametrize(
    ("topic", "payload", "changes", "reason"),
    [
        pytest.param("yz/v1/x/up/birth", b"{}", {}, "unknown_topic", id="no-station"),
        pytest.param("yz/v2/st-test0001/up/birth", b"{}", {}, "unknown_topic", id="other-root"),
        pytest.param(Topic.ACK.of(STATION), b"{}", {}, "unknown_topic", id="not-for-us"),
        pytest.param(Topic.EVENT.of("st-none0001"), b"{}", {}, "unknown_station", id="stranger"),
        pytest.param(
            Topic.EVENT.of(STATION),
            wire.encode(events(event(1))),
            {"retain": True},
            "retained",
            id="retained",
        ),
        pytest.param(Topic.EVENT.of(STATION), b"\xff\xfe", {}, "malformed", id="not-text"),
        pytest.param(Topic.EVENT.of(STATION), b"[" * 65_000, {}, "malformed", id="deep"),
        pytest.param(Topic.EVENT.of(STATION), b" " * 70_000, {}, "too_large", id="large"),
        pytest.param(Topic.BIRTH.of(STATION), wire.encode(birth()), {}, "malformed", id="unsigned"),
        pytest.param(
            Topic.EVENT.of(STATION), wire.encode(events(event(1))), {}, "malformed", id="unsigned events"
        ),
    ],
)
def test_what_is_not_right_is_refused_by_name(
    keys: StationKeys, topic: str, payload: bytes, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Refused) as caught:
        open_arrival(arrival(topic, payload, **changes), keys, received_at=START)
    assert caught.value.reason == reason


def test_a_message_of_one_station_on_the_topic_of_another_is_refused(world: World, keys: StationKeys) -> None:
    world.add_station("st-other0001")
    with world.sessions.begin() as session:
        keys.load(session, ["st-other0001"], now=world.now)
    with pytest.raises(Refused) as caught:
        open_arrival(
            arrival(Topic.EVENT.of("st-other0001"), Signer(world.key).seal("event", events(event(1)))),
            keys,
            received_at=START,
        )
    assert caught.value.reason == "wrong_station"


def test_a_change_of_a_station_is_read_without_ever_losing_the_others(
    world: World, keys: StationKeys
) -> None:
    world.add_station("st-other0001")
    other = encode_public(Ed25519PrivateKey.generate().public_key())
    with world.sessions.begin() as session:
        keys.load(session, ["st-other0001"], now=world.now)
        session.get_one(Station, STATION).retired_at = world.now
        session.get_one(Station, "st-other0001").public_key = other
    payload = Signer(world.key).seal("birth", birth(station="st-other0001"))
    with world.sessions.begin() as session:
        assert keys.refresh(session) == [STATION]
    assert keys.get(STATION) is None
    with pytest.raises(Refused) as caught:
        open_arrival(arrival(Topic.BIRTH.of("st-other0001"), payload), keys, received_at=START)
    assert caught.value.reason == "unknown_key"


@given(payload=st.binary(max_size=200), topic=st.sampled_from([t for t in Topic if t.up]))
def test_no_payload_raises_anything_but_a_refusal(payload: bytes, topic: Topic) -> None:
    keys = StationKeys()
    keys._verifiers[STATION] = Verifier({})
    with pytest.raises(Refused):
        open_arrival(arrival(topic.of(STATION), payload), keys, received_at=START)


def test_a_counter_never_learns_the_name_of_a_station() -> None:
    assert topic_label(Topic.EVENT.of(STATION)) == "up/event"
    assert topic_label("yz/v1/somebody/else") == "other"


def test_data_of_an_event_is_kept_as_it_came(desk: Desk, sessions: sessionmaker[Session]) -> None:
    data: dict[str, wire.Scalar] = {"text": "门 \"'%s", "number": 1.5, "yes": True, "none": None}
    desk.store(events(event(1, data=data)))
    assert rows(sessions, Event)[0].data == data


def test_a_sealing_key_is_kept_and_audited_and_makes_no_roster_where_there_are_no_people(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    for number, key in enumerate(("A" * 43 + "=", "A" * 43 + "=", "B" * 42 + "A="), start=1):
        stored = desk.store(birth(number, sealing_key=key))
        assert not stored.people_changed
    with sessions() as session:
        assert (session.get_one(Station, STATION).sealing_key, revision(session)) == ("B" * 42 + "A=", 0)
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert actions.count("station:sealing_key:changed") == 2
    with sessions.begin() as session:
        touch(session)
    assert desk.store(birth(4, sealing_key="A" * 43 + "=")).people_changed
    with sessions() as session:
        assert revision(session) == 2
