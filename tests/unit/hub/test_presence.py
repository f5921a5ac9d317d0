"""Presence: rules 1 to 5 of ``cloud_hub.ingest.presence``."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cloud_hub.ingest.presence import Live, Verdict, Watch
from cloud_hub.models.station import Presence
from cloud_hub.settings import PresenceSettings
from firmware_config.wire import Birth, Heartbeat, OccupancyStatus

START = datetime(2025, 11, 22, 13, 30, tzinfo=UTC)
STATION = "st-test0001"
BOOT, OTHER = "b" * 32, "c" * 32
SETTINGS = PresenceSettings(lease_s=15, silent_alert_s=15, start_grace_s=20)

BIRTH = Birth(
    station=STATION, online=True, boot_id=BOOT, conn_no=1, install_id="1" * 32, mono_ms=1_000, wall_ms=0,
    clock="synced", agent_version="", time_zone="UTC", doors=[], lock_kinds={}, sensors=[], capacity=0,
    liveness="off", engine="",
)  # fmt: skip
BEAT = Heartbeat(
    station=STATION, boot_id=BOOT, conn_no=1, install_id="1" * 32, mono_ms=2_000, wall_ms=0, clock="synced",
    interval_s=5.0, doors=[], occupancy=OccupancyStatus(estimate=0, low=0, high=0, capacity=0), backlog=0,
    backlog_age_s=0.0, cameras={}, rejected={},
)  # fmt: skip


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def birth(**changes: Any) -> Birth:
    return msgspec.structs.replace(BIRTH, **changes)


def beat(**changes: Any) -> Heartbeat:
    return msgspec.structs.replace(BEAT, **changes)


def watch() -> Watch:
    made = Watch(SETTINGS, started_at=START)
    made.connected(START)
    return made


def alive() -> Watch:
    made = watch()
    made.birth(BIRTH, START)
    made.keep()
    return made


def turns(made: Watch, at: datetime) -> list[tuple[Presence, bool]]:
    found = [(turn.live.presence, turn.silent) for turn in made.sweep(at)]
    made.keep()
    return found


def test_nobody_is_there_before_a_birth() -> None:
    made = watch()
    assert made.get(STATION).presence is Presence.UNKNOWN
    assert turns(made, after(3600)) == []


def test_a_birth_is_online() -> None:
    assert alive().get(STATION).presence is Presence.ONLINE


def test_a_heartbeat_before_any_birth_is_a_stranger() -> None:
    made = watch()
    assert made.heartbeat(BEAT, START)[0] is Verdict.STRANGER
    assert made.get(STATION).presence is Presence.UNKNOWN


def test_a_heartbeat_renews_the_lease() -> None:
    made = alive()
    assert made.heartbeat(BEAT, after(10))[0] is Verdict.BELIEVED
    made.keep()
    assert turns(made, after(24.9)) == []
    assert turns(made, after(25)) == [(Presence.OFFLINE, False)]


def test_the_same_heartbeat_again_renews_nothing() -> None:
    made = alive()
    made.heartbeat(BEAT, after(1))
    made.keep()
    assert made.heartbeat(BEAT, after(10))[0] is Verdict.STALE
    made.keep()
    assert turns(made, after(16)) == [(Presence.OFFLINE, False)]


def test_a_heartbeat_in_the_same_millisecond_as_the_birth_is_believed() -> None:
    assert alive().heartbeat(beat(mono_ms=1_000), START)[0] is Verdict.BELIEVED


def test_a_birth_said_again_is_stale_and_a_rebirth_is_not() -> None:
    made = alive()
    assert made.birth(BIRTH, after(1))[0] is Verdict.STALE
    assert made.birth(birth(mono_ms=5_000), after(4))[0] is Verdict.BELIEVED


def test_messages_of_an_older_connection_are_stale() -> None:
    made = watch()
    made.birth(birth(conn_no=3), START)
    made.keep()
    assert made.birth(birth(conn_no=2, mono_ms=9_000), START)[0] is Verdict.STALE
    assert made.heartbeat(beat(conn_no=2, mono_ms=9_000), START)[0] is Verdict.STALE


def test_a_heartbeat_of_a_newer_connection_or_boot_is_a_stranger() -> None:
    made = alive()
    assert made.heartbeat(beat(conn_no=2), START)[0] is Verdict.STRANGER
    assert made.heartbeat(beat(boot_id=OTHER), START)[0] is Verdict.STRANGER


def test_a_death_counts_only_for_the_live_session() -> None:
    made = watch()
    made.birth(birth(conn_no=2), START)
    made.keep()
    assert made.birth(birth(online=False, conn_no=1), after(1))[0] is Verdict.STALE
    assert made.birth(birth(online=False, boot_id=OTHER, conn_no=2), after(1))[0] is Verdict.STALE
    assert made.get(STATION).presence is Presence.ONLINE
    assert made.birth(birth(online=False, conn_no=2), after(1))[0] is Verdict.BELIEVED
    assert made.get(STATION).presence is Presence.OFFLINE


def test_a_sign_of_life_after_a_false_death_notice_is_believed() -> None:
    made = alive()
    made.birth(birth(online=False), after(1))
    made.keep()
    made.heartbeat(BEAT, after(2))
    assert made.get(STATION).presence is Presence.ONLINE


def test_silence_is_told_once_and_only_after_its_time() -> None:
    made = alive()
    made.birth(birth(online=False), after(30))
    made.keep()
    assert turns(made, after(44.9)) == []
    assert turns(made, after(45)) == [(Presence.OFFLINE, True)]
    assert turns(made, after(3600)) == []


def test_a_kill_is_told_within_45_seconds_even_without_a_will() -> None:
    made = watch()
    made.birth(BIRTH, after(100))
    made.keep()
    told = [s for s in range(100, 200) if any(silent for _, silent in turns(made, after(s)))]
    assert told[0] - 100 <= 45


def test_nobody_is_called_silent_soon_after_a_start() -> None:
    made = watch()
    made.restore(Live(STATION, Presence.OFFLINE, START - timedelta(hours=1)))
    assert turns(made, after(19.9)) == []
    assert turns(made, after(20)) == [(Presence.OFFLINE, True)]


def test_after_a_start_everybody_has_a_whole_lease_to_be_heard() -> None:
    made = Watch(SETTINGS, started_at=START)
    made.restore(Live(STATION, Presence.ONLINE, START - timedelta(hours=1), START - timedelta(minutes=10)))
    made.connected(after(2))
    assert turns(made, after(16.9)) == []
    assert turns(made, after(17)) == [(Presence.OFFLINE, False)]


def test_without_a_broker_a_station_becomes_unknown_and_nobody_is_alarmed() -> None:
    made = alive()
    made.connected(None)
    assert turns(made, after(15)) == [(Presence.UNKNOWN, False)]
    assert turns(made, after(600)) == []
    made.connected(after(600))
    assert turns(made, after(614.9)) == []
    assert turns(made, after(615)) == [(Presence.OFFLINE, False)]


def test_a_failed_transaction_leaves_no_trace_and_is_tried_again() -> None:
    made = alive()
    assert made.sweep(after(15))
    made.drop()
    assert made.get(STATION).presence is Presence.ONLINE
    assert turns(made, after(16)) == [(Presence.OFFLINE, False)]


def test_a_flapping_link_of_5_seconds_alarms_nobody() -> None:
    made = alive()
    found = []
    for n in range(60):
        at = after(30 + 10 * n)
        made.birth(birth(conn_no=n + 2, mono_ms=10_000 * (n + 2)), at)
        made.keep()
        made.birth(birth(online=False, conn_no=n + 2), at + timedelta(seconds=5))
        made.keep()
        found += turns(made, at + timedelta(seconds=9.9))
    assert (Presence.OFFLINE, True) not in found


def district(count: int) -> list[str]:
    return [f"st-many{n:04d}" for n in range(count)]


def beats(made: Watch, stations: list[str], at: datetime, mono_ms: int) -> None:
    for station in stations:
        made.heartbeat(beat(station=station, mono_ms=mono_ms), at)
    made.keep()


def told(made: Watch, first_s: int, last_s: int, beating: list[str]) -> dict[str, int]:
    """Who was called silent at which second, while some send heartbeats every five seconds."""
    found = {}
    for second in range(first_s, last_s):
        if second % 5 == 0:
            beats(made, beating, after(second), 1_000_000 + second * 1_000)
        found.update({turn.live.station: second for turn in made.sweep(after(second)) if turn.silent})
        made.keep()
    return found


def test_a_hub_that_restarts_among_200_stations_calls_only_the_silent_ones_silent() -> None:
    made = Watch(SETTINGS, started_at=START)
    stations = district(200)
    for station in stations:
        made.restore(
            Live(station, Presence.ONLINE, START - timedelta(days=1), START - timedelta(minutes=3), boot_id=BOOT, conn_no=1)
        )  # fmt: skip
    made.connected(after(1))
    found = told(made, 1, 120, stations[:195])
    assert set(found) == set(stations[195:])
    assert min(found.values()) >= 1 + 20


def test_a_broker_that_restarts_makes_no_storm_however_long_the_stations_take_to_come_back() -> None:
    """They come back in the half minute after the bridge has; 45 s are what the settings give them."""
    made = Watch(PresenceSettings(), started_at=START - timedelta(hours=1))
    stations = district(200)
    made.connected(START)
    for number, station in enumerate(stations):
        made.birth(birth(station=station, mono_ms=number + 1), START)
    made.keep()
    made.connected(None)
    assert {turn.live.presence for turn in made.sweep(after(16))} == {Presence.UNKNOWN}
    made.keep()
    made.connected(after(300))
    found: list[str] = []
    for second in range(300, 420):
        for number, station in enumerate(stations[:-3]):
            if second >= 300 + (number % 40):
                made.birth(birth(station=station, conn_no=2, mono_ms=second * 1_000), after(second))
        made.keep()
        found += [turn.live.station for turn in made.sweep(after(second)) if turn.silent]
        made.keep()
    assert sorted(found) == stations[-3:]


@given(
    st.lists(
        st.tuples(st.sampled_from(["birth", "beat", "death", "sweep"]), st.integers(1, 3), st.integers(0, 40))
    )
)
def test_offline_is_never_believed_of_a_session_heard_within_its_lease(
    story: list[tuple[str, int, int]],
) -> None:
    made, at, mono = watch(), START, 0
    heard: tuple[int, datetime] | None = None
    for what, conn, pause_s in story:
        at, mono = at + timedelta(seconds=pause_s), mono + pause_s * 1000 + 1
        if what == "birth":
            verdict, _ = made.birth(birth(conn_no=conn, mono_ms=mono), at)
        elif what == "beat":
            verdict, _ = made.heartbeat(beat(conn_no=conn, mono_ms=mono), at)
        elif what == "death":
            made.birth(birth(online=False, conn_no=conn), at)
            heard = None if heard and heard[0] == conn else heard
            verdict = Verdict.STALE
        else:
            verdict = Verdict.STALE
        heard = (conn, at) if verdict is Verdict.BELIEVED else heard
        made.sweep(at)
        made.keep()
        if heard and at - heard[1] < timedelta(seconds=15):
            assert made.get(STATION).presence is Presence.ONLINE
