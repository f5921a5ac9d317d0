"""Dating, gaps and disks, over the database: what one boot's clock, a restored copy and a full disk do to the rows."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.models import Alert, Event, EventStream, StationBoot, StationStatus
from firmware_config import wire
from firmware_config.vocabulary import EventKind
from tests.support.desk import NOW_MS, Desk, beat, birth, door, event, events, rows
from tests.support.hub import BOOT, INSTALL, START, STATION, World

EARLIER = "e" * 32
SEED = 20


@pytest.fixture
def desk(world: World) -> Desk:
    made = Desk(world)
    made.store(birth(NOW_MS))
    return made


@pytest.fixture
def restart(world: World) -> Callable[[], Desk]:
    """The bridge again: nothing in memory."""
    return lambda: Desk(world)


def test_an_earlier_boot_is_dated_by_what_the_hub_learnt_of_it_even_after_a_restart(
    desk: Desk, restart: Callable[[], Desk], sessions: sessionmaker[Session]
) -> None:
    desk.world.forward(hours=2)
    again = restart()
    late = event(1, boot_id=BOOT, mono_ms=NOW_MS + 7_000, wall_ms=0, clock="unsynced")
    again.store(wire.EventBatch(
        station=STATION, install_id=INSTALL, boot_id="f" * 32, sent_mono_ms=5, items=[late]
    ))  # fmt: skip
    (row,) = rows(sessions, Event)
    assert (row.occurred_at, row.dated, row.backfilled) == (START + timedelta(seconds=7), "anchored", True)


@pytest.mark.parametrize(
    ("clock", "anchored", "dated"),
    [
        pytest.param("unsynced", True, "anchored", id="anchored"),
        pytest.param("synced", False, "station_clock", id="synced"),
        pytest.param("restored", False, "estimated", id="restored"),
        pytest.param("unsynced", False, "estimated", id="unsynced"),
    ],
)
def test_each_event_says_how_its_time_is_known(
    desk: Desk, sessions: sessionmaker[Session], clock: wire.Clock, *, anchored: bool, dated: str
) -> None:
    now_ms = int(desk.world.now.timestamp() * 1_000)
    anchor = wire.Anchor(boot_id=EARLIER, mono_ms=50_000, wall_ms=now_ms - 3_600_000)
    old = event(
        1, boot_id=EARLIER, mono_ms=20_000, wall_ms=now_ms - 30 * 86_400_000 if anchored else now_ms - 90_000,
        clock=clock,
    )  # fmt: skip
    desk.store(wire.EventBatch(
        station=STATION, install_id=INSTALL, boot_id=BOOT, sent_mono_ms=NOW_MS, items=[old],
        anchors=[anchor] if anchored else [],
    ))  # fmt: skip
    (row,) = rows(sessions, Event)
    wanted = timedelta(hours=1, seconds=30) if anchored else timedelta(seconds=90)
    assert abs(desk.world.now - wanted - row.occurred_at) <= timedelta(seconds=2)
    assert row.dated == dated


def test_in_any_order_of_arrival_events_of_one_boot_are_dated_in_the_order_they_happened(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    chance = random.Random(SEED)  # noqa: S311 (no secret)
    stamps = {seq: NOW_MS + seq * 700 for seq in range(1, 301)}
    waiting = list(stamps)
    sent_ms = NOW_MS + 400_000
    desk.world.forward(seconds=400)
    while waiting:
        some = [waiting.pop(chance.randrange(len(waiting))) for _ in range(min(17, len(waiting)))]
        desk.world.forward(milliseconds=chance.randrange(3_000))
        sent_ms += chance.randrange(1, 2_000)
        items = [event(seq, mono_ms=stamps[seq]) for seq in some]
        desk.store(wire.EventBatch(
            station=STATION, install_id=INSTALL, boot_id=BOOT, sent_mono_ms=sent_ms, items=items
        ))  # fmt: skip
    found = sorted(rows(sessions, Event), key=lambda row: row.occurred_at)
    assert [row.seq for row in found] == sorted(stamps)


def test_relations_are_written_when_they_change_and_not_with_each_heartbeat(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    written = rows(sessions, StationBoot)[0].updated_at
    for n in range(1, 20):
        desk.world.forward(seconds=5)
        desk.store(beat(NOW_MS + 5_000 * n))
    (row,) = rows(sessions, StationBoot)
    assert (row.updated_at, row.source, row.signed) == (written, "live", True)


def ask_until(desk: Desk, mono_ms: int, *, event_seq: int, beats: int = 3) -> list[tuple[int, int]]:
    """Heartbeats that say all is told; what the hub asks for meanwhile."""
    asked = []
    for n in range(beats):
        desk.world.forward(seconds=11)
        stored = desk.store(beat(mono_ms + 11_000 * n, event_seq=event_seq))
        asked += [(resend.first, resend.last) for resend in stored.resends]
    return asked


def test_a_hub_restored_from_an_older_copy_asks_for_what_it_lost_and_tells_nobody_twice(
    desk: Desk, restart: Callable[[], Desk], sessions: sessionmaker[Session]
) -> None:
    everything = [
        event(seq, EventKind.DOOR_FORCED if seq == 9 else EventKind.DOOR_OPENED) for seq in range(1, 13)
    ]
    desk.store(events(*everything))
    with sessions.begin() as session:
        session.execute(delete(Event).where(Event.seq > 6))
        session.execute(delete(Event).where(Event.seq == 3))
    again = restart()
    again.store(birth(NOW_MS + 1, conn_no=2))
    told = [beat(NOW_MS + 2, conn_no=2, event_seq=12), beat(NOW_MS + 12_000, conn_no=2, event_seq=12)]
    assert again.store(told[0]).resends == []
    again.world.forward(seconds=11)
    (asked,) = again.store(told[1]).resends
    assert (asked.install_id, asked.first, asked.last) == (INSTALL, 3, 12)
    stored = again.store(events(*everything[2:], *everything[:2]))
    assert (stored.events, stored.raised) == (7, [])
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == 12
        assert [alert.count for alert in session.scalars(select(Alert))] == [1]
        again_forced = session.scalars(select(Event).where(Event.seq == 9)).one()
    assert again_forced.backfilled, "asked for, so it is no news, however young"


def test_nothing_is_asked_for_while_everything_is_there_or_waits(desk: Desk) -> None:
    desk.store(events(*(event(seq) for seq in range(1, 6))))
    assert ask_until(desk, NOW_MS + 1, event_seq=5) == []
    waiting = [desk.store(beat(NOW_MS + 50_000 + n, event_seq=90, backlog=85)).resends for n in range(3)]
    assert waiting == [[], [], []]


def test_what_the_station_no_longer_has_is_lost_and_one_alert_names_it(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    desk.store(events(event(1), event(2), event(6)))
    assert ask_until(desk, NOW_MS + 1, event_seq=6) == [(3, 5)]
    answer = wire.EventBatch(
        station=STATION, install_id=INSTALL, boot_id=BOOT, sent_mono_ms=NOW_MS + 50_000, items=[],
        gone=[wire.Span(first=3, last=4), wire.Span(first=5, last=5)],
    )  # fmt: skip
    assert desk.store(answer).raised == ["events.lost"]
    assert desk.store(answer).raised == []
    (alert,) = rows(sessions, Alert)
    assert (alert.kind, alert.count, alert.data) == ("events.lost", 1, {"lost": 3, "numbers": "3–4, 5"})
    (stream,) = rows(sessions, EventStream)
    assert (stream.missing, stream.lost, stream.lost_count) == ([], [[3, 5]], 3)
    assert ask_until(desk, NOW_MS + 60_000, event_seq=6) == []


def test_a_new_store_ends_the_wait_for_what_the_old_one_never_sent(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    desk.store(events(event(1), event(4)))
    desk.store(birth(NOW_MS + 5, conn_no=2, install_id="2" * 32))
    found = {stream.install_id: stream.lost_count for stream in rows(sessions, EventStream)}
    assert found[INSTALL] == 2
    assert [alert.data["numbers"] for alert in rows(sessions, Alert) if alert.kind == "events.lost"] == [
        "2–3"
    ]


def test_a_transaction_that_failed_leaves_nothing_believed(desk: Desk) -> None:
    before = desk.memory.streams.get((STATION, INSTALL))
    desk.memory.streams.came((STATION, INSTALL), [event(7)], desk.world.now)
    desk.memory.drop()
    assert desk.memory.streams.get((STATION, INSTALL)) == before


def test_a_full_disk_is_an_alert_that_two_heartbeats_raise_and_two_end(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    full = wire.StorageStatus(state="full", free_bytes=12, written_bytes_day=7, readings_lost=3)
    desk.store(beat(NOW_MS + 1, storage=full))
    assert rows(sessions, Alert) == []
    desk.store(beat(NOW_MS + 2, storage=full))
    assert [(alert.kind, alert.data) for alert in rows(sessions, Alert)] == [
        ("storage.full", {"storage": "full"})
    ]
    (status,) = rows(sessions, StationStatus)
    assert (status.storage, status.free_bytes, status.written_bytes_day, status.readings_lost) == (
        "full",
        12,
        7,
        3,
    )
    desk.store(beat(NOW_MS + 3), beat(NOW_MS + 4))
    assert [alert.state for alert in rows(sessions, Alert)] == ["closed"]


def test_what_the_station_counts_as_lost_is_told_once_and_again_when_it_grows(
    desk: Desk, restart: Callable[[], Desk], sessions: sessionmaker[Session]
) -> None:
    desk.store(beat(NOW_MS + 1), beat(NOW_MS + 2, storage=wire.StorageStatus(events_lost=4)))
    desk.store(beat(NOW_MS + 3, storage=wire.StorageStatus(events_lost=4)))
    assert [alert.data for alert in rows(sessions, Alert)] == [{"lost": 4}]
    again = restart()
    again.store(
        birth(NOW_MS + 4, conn_no=2), beat(NOW_MS + 5, conn_no=2, storage=wire.StorageStatus(events_lost=4))
    )
    again.store(beat(NOW_MS + 6, conn_no=2, storage=wire.StorageStatus(events_lost=9)))
    assert [(alert.count, alert.data) for alert in rows(sessions, Alert)] == [(1, {"lost": 9})]


def test_an_echo_is_answered_only_to_a_heartbeat_that_is_believed(desk: Desk) -> None:
    assert desk.store(beat(NOW_MS + 1, echo=5)).echoes == {STATION: (INSTALL, 5)}
    assert desk.store(beat(NOW_MS + 1, echo=6)).echoes == {}
    assert desk.store(beat(NOW_MS + 2, conn_no=9, echo=7)).echoes == {}


def test_a_heartbeat_from_before_the_alarm_does_not_end_it(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    """They come on two connections, so the older one may arrive later."""
    closed = [beat(NOW_MS + n, doors=[door()]) for n in (1_000, 2_000, 3_000)]
    desk.store(closed[0])
    desk.world.forward(seconds=5)
    desk.store(wire.EventBatch(
        station=STATION, install_id=INSTALL, boot_id=BOOT, sent_mono_ms=NOW_MS + 5_000,
        items=[event(1, EventKind.DOOR_HELD_OPEN, mono_ms=NOW_MS + 4_000)],
    ))  # fmt: skip
    desk.store(closed[1])
    desk.store(closed[2])
    assert [(alert.kind, alert.state) for alert in rows(sessions, Alert)] == [("door.held_open", "open")]
    desk.world.forward(seconds=5)
    desk.store(beat(NOW_MS + 9_000))
    assert [alert.state for alert in rows(sessions, Alert)] == ["closed"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_hostile_order_and_repeats_give_each_event_once_and_each_alert_once(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    """3,000 events, 30 % of them twice, in any order, some of them history."""
    chance = random.Random(SEED)  # noqa: S311 (no secret)
    kinds = [EventKind.ACCESS_GRANTED, EventKind.DOOR_OPENED, EventKind.EXIT_REQUESTED]
    alarms = {100: EventKind.TAMPER_OPENED, 2_000: EventKind.HELP_REQUESTED, 2_500: EventKind.MAINS_LOST}
    made = [
        event(seq, alarms.get(seq) or chance.choice(kinds), mono_ms=NOW_MS - chance.randrange(50_000))
        for seq in range(1, 3_001)
    ]
    made += [event(seq, EventKind.DOOR_FORCED, mono_ms=0, boot_id=EARLIER) for seq in range(3_001, 3_021)]
    sent = [*made, *chance.sample(made, len(made) * 3 // 10)]
    chance.shuffle(sent)
    raised: list[str] = []
    for start in range(0, len(sent), 200):
        raised += desk.store(events(*sent[start : start + 200])).raised
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Event)) == len(made)
        counts = {alert.kind: alert.count for alert in session.scalars(select(Alert))}
    assert sorted(raised) == ["help.requested", "mains.lost", "tamper.opened"]
    assert counts == {"help.requested": 1, "mains.lost": 1, "tamper.opened": 1}
    for start in range(0, len(made), 200):
        assert desk.store(events(*made[start : start + 200])).events == 0
    assert desk.memory.streams.get((STATION, INSTALL)).missing == 0


def test_what_a_station_saved_of_a_damaged_file_counts_once(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    """The hub had 1 and 2 already, 2 was saved in two files in turn, and 3 it had not."""
    new, newer = "2" * 32, "3" * 32
    desk.store(events(event(1, EventKind.DOOR_OPENED), event(2, EventKind.DOOR_FORCED)))
    saved = [
        event(seq, EventKind.DOOR_FORCED, data={"door": "main", "salvaged": f"{INSTALL}:{seq}"})
        for seq in (1, 2, 3)
    ]
    stored = desk.store(events(*saved, install_id=new))
    twice = [
        event(1, EventKind.DOOR_FORCED, data={"door": "main", "salvaged": f"{INSTALL}:2 {new}:2"}),
        event(2, EventKind.DOOR_FORCED, data={"door": "main", "salvaged": f"{INSTALL}:4 {new}:4"}),
    ]
    desk.store(events(*twice, install_id=newer))
    kinds = {(row.install_id, row.seq): row.kind for row in rows(sessions, Event)}
    assert kinds == {
        (INSTALL, 1): "door.opened", (INSTALL, 2): "door.forced",
        (new, 1): "event.repeated", (new, 2): "event.repeated", (new, 3): "door.forced",
        (newer, 1): "event.repeated", (newer, 2): "door.forced",
    }  # fmt: skip
    assert [alert.count for alert in rows(sessions, Alert)] == [3]
    assert {seq for receipt in stored.receipts.values() for seq in receipt.events} == {1, 2, 3}
    (note,) = [row for row in rows(sessions, Event) if (row.install_id, row.seq) == (new, 2)]
    assert note.data == {"salvaged": f"{INSTALL}:2", "kind": "door.forced"}
    assert all(desk.memory.streams.get((STATION, one)).missing == 0 for one in (new, newer))


def test_a_copy_that_comes_with_its_original_is_the_copy(desk: Desk, sessions: sessionmaker[Session]) -> None:
    saved = event(7, EventKind.DOOR_OPENED, data={"door": "main", "salvaged": f"{INSTALL}:1"})
    desk.store(events(event(1, EventKind.DOOR_OPENED)), events(saved, install_id="2" * 32))
    assert sorted((row.seq, row.kind) for row in rows(sessions, Event)) == [
        (1, "door.opened"), (7, "event.repeated"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("?:1", id="name-of-the-file-lost"),
        pytest.param(f"{'2' * 32}:5", id="itself"),
        pytest.param(7, id="no-text"),
        pytest.param(f":1 {INSTALL} {INSTALL}: {INSTALL}:-1 {INSTALL}:{'9' * 40}", id="no-places"),
        pytest.param(" ".join([f"{INSTALL}:1", *("x:1" for _ in range(8))]), id="too-many"),
    ],
)
def test_what_may_be_new_is_never_taken_for_a_copy(
    desk: Desk, sessions: sessionmaker[Session], said: object
) -> None:
    desk.store(events(event(1, EventKind.DOOR_OPENED)))
    saved = event(5, EventKind.DOOR_OPENED, data={"door": "main", "salvaged": said})
    desk.store(events(saved, install_id="2" * 32))
    assert [row.kind for row in rows(sessions, Event)] == ["door.opened", "door.opened"]


def test_a_whole_file_of_saved_events_is_more_than_one_question(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    """More places than a statement may have values."""
    desk.store(events(event(1, EventKind.DOOR_OPENED), event(9_000, EventKind.DOOR_OPENED)))
    saved = [
        event(
            seq,
            EventKind.DOOR_OPENED,
            data={"salvaged": f"{INSTALL}:{seq} {'3' * 32}:{seq} {'4' * 32}:{seq}"},
        )
        for seq in range(1, 9_001)
    ]
    desk.store(events(*saved, install_id="2" * 32))
    repeated = [row.seq for row in rows(sessions, Event) if row.kind == "event.repeated"]
    assert sorted(repeated) == [1, 9_000]
