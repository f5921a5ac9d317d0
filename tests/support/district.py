"""A small district written straight into the database, with every kind of state a page must show."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cloud_hub.models import (
    Alert,
    Command,
    CommandStep,
    Door,
    Event,
    Proposal,
    ProposalDecision,
    Reading,
    Sensor,
    Station,
    StationStatus,
)
from cloud_hub.models.alert import AlertState, Severity

INSTALL = "a" * 32
BOOT = "b" * 32
NORTH, RIVER, DEPOT, PARK = "st-north001", "st-river001", "st-depot001", "st-park0001"


def district(now: datetime) -> list[object]:
    """Four stations: well, forced open, offline, and never heard of; with events, alerts and orders."""
    return [
        *_station(
            NORTH, "北门驿站 North Gate", "朝阳区", now, people=(3, 2, 4), door=("locked", False, False)
        ),
        *_station(RIVER, "滨河驿站 Riverside", "海淀区", now, people=(7, 6, 9), door=("forced", False, True)),
        *_station(DEPOT, "快递园驿站 Depot", "丰台区", now, online=False, door=("locked", False, False)),
        Station(
            id=PARK,
            name="公园驿站 Park",
            region="东城区",
            time_zone="Asia/Shanghai",
            public_key="k",
            created_at=now,
        ),
        *_events(now),
        *_alerts(now),
        *_orders(now),
        *(_reading(number, now) for number in range(1, 4)),
    ]


def _station(
    station_id: str,
    name: str,
    region: str,
    now: datetime,
    *,
    door: tuple[str, bool, bool | None],
    people: tuple[int, int, int] = (0, 0, 0),
    online: bool = True,
) -> Iterator[object]:
    heard = now - (timedelta(seconds=3) if online else timedelta(minutes=18))
    state, relay, contact = door
    yield Station(
        id=station_id,
        name=name,
        region=region,
        time_zone="Asia/Shanghai",
        public_key="k",
        created_at=now - timedelta(days=9),
    )
    yield StationStatus(
        station_id=station_id,
        presence="online" if online else "offline",
        presence_since=now - timedelta(hours=5) if online else heard,
        heartbeat_at=heard,
        boot_id=BOOT,
        install_id=INSTALL,
        clock="synced" if online else "unsynced",
        agent_version="0.1.0",
        engine="opencv sface 2021dec, yunet 2023mar",
        liveness="off",
        backlog=0 if online else 42,
        backlog_age_s=0.0 if online else 190.0,
        cameras={"entrance": "ok" if online else "lost"},
        rejected={} if online else {"malformed": 2},
        storage="ok" if online else "low",
        free_bytes=9_000_000_000 if online else 40_000_000,
        written_bytes_day=24_000_000 if online else None,
        events_lost=0 if online else 3,
        people=people[0],
        people_low=people[1],
        people_high=people[2],
        capacity=12,
    )
    yield Door(
        station_id=station_id,
        id="main",
        lock_kind="fail_secure",
        state=state,
        relay=relay,
        contact_open=contact,
        reported_at=heard,
    )
    for sensor, unit, low, high, value in (
        ("temperature", "°C", 5.0, 35.0, 22.4),
        ("humidity", "%", 20.0, 80.0, 47.0),
        ("co2", "ppm", 350.0, 1500.0, 1712.0 if people[0] > 5 else 640.0),
    ):
        yield Sensor(
            station_id=station_id, name=sensor, unit=unit, low=low, high=high, value=value, value_at=heard
        )


def event(seq: int, kind: str, at: datetime, station_id: str = NORTH, **data: Any) -> Event:
    """One event as the bridge stores it."""
    return Event(
        station_id=station_id,
        install_id=INSTALL,
        seq=seq,
        kind=kind,
        occurred_at=at,
        received_at=at + timedelta(milliseconds=80),
        dated="live",
        clock="synced",
        backfilled=False,
        data=data,
    )


def _events(now: datetime) -> Iterator[Event]:
    minute = timedelta(minutes=1)
    yield event(1, "station.started", now - 300 * minute, version="0.1.0")
    yield event(2, "access.granted", now - 42 * minute, door="main", via="face", person="w-7f3a", score=0.71)
    yield event(3, "door.opened", now - 42 * minute, door="main", via="face", person="w-7f3a")
    yield event(4, "door.closed", now - 41 * minute, door="main")
    yield event(5, "occupancy.changed", now - 41 * minute, estimate=3, low=2, high=4, capacity=12)
    yield event(
        6, "access.denied", now - 9 * minute, door="main", via="face", reason="unknown_face", score=0.21
    )
    yield event(7, "access.granted", now - 2 * minute, door="main", via="face", person="w-21c9", score=0.68)
    yield event(8, "door.opened", now - 2 * minute, door="main", via="face", person="w-21c9")
    yield event(9, "door.closed", now - 1 * minute, door="main")
    yield event(1, "door.forced", now - 4 * minute, RIVER, door="main")
    yield event(2, "sensor.out_of_range", now - 6 * minute, RIVER, sensor="co2", value=1712.0, unit="ppm")


def alert(
    station_id: str, kind: str, severity: Severity, at: datetime, source: str = "", **more: Any
) -> Alert:
    """One open alert as the bridge raises it."""
    values: dict[str, Any] = {
        "key": f"{station_id}:{kind}:{source}",
        "state": AlertState.OPEN.value,
        "active": True,
        "latching": severity is Severity.CRITICAL,
        "count": 1,
        "raised_at": at,
        "repeated_at": at,
        "data": {},
        **more,
    }
    return Alert(station_id=station_id, kind=kind, severity=severity.value, **values)


def _alerts(now: datetime) -> Iterator[Alert]:
    minute = timedelta(minutes=1)
    yield alert(
        RIVER, "door.forced", Severity.CRITICAL, now - 4 * minute, "main", data={"door": "main"}, count=2
    )
    yield alert(
        RIVER,
        "sensor.out_of_range",
        Severity.MAJOR,
        now - 6 * minute,
        "co2",
        data={"sensor": "co2", "value": 1712.0, "unit": "ppm"},
    )
    yield alert(DEPOT, "station.silent", Severity.MAJOR, now - 17 * minute)
    acknowledged = {
        "state": "acknowledged",
        "acknowledged_at": now - 15 * minute,
        "acknowledged_by": "user:lin",
    }
    yield alert(
        DEPOT,
        "camera.lost",
        Severity.MAJOR,
        now - 18 * minute,
        "entrance",
        data={"camera": "entrance"},
        **acknowledged,
    )
    closed = {
        "state": "closed",
        "active": False,
        "cleared_at": now - 50 * minute,
        "closed_at": now - 50 * minute,
    }
    yield alert(
        NORTH, "door.held_open", Severity.MAJOR, now - 55 * minute, "main", data={"door": "main"}, **closed
    )


def order(
    command_id: str, steps: list[tuple[str, float]], at: datetime, station_id: str = NORTH, **more: Any
) -> Iterator[object]:
    """One order with its hops, each a state and the seconds after the request."""
    state, ended_s = steps[-1]
    final = more.pop("final", True)
    values: dict[str, Any] = {
        "code": None,
        "evidence": {},
        "requested_by": "user:lin",
        "reason": "劳动者在门口，进不去",
        "verb": "unlock",
        "pulse_ms": 5_000,
        "sign_in_id": "c3" * 16,
        "proven_at": at - timedelta(seconds=100),
        **more,
    }
    yield Command(
        id=command_id,
        station_id=station_id,
        door_id="main",
        state=state,
        final=final,
        requested_at=at,
        due_at=at + timedelta(seconds=3),
        ended_at=at + timedelta(seconds=ended_s) if final else None,
        install_id=INSTALL,
        boot_id=BOOT if any(name == "AUTHORISED" for name, _ in steps) else None,
        **values,
    )
    for name, after_s in steps:
        detail: dict[str, Any] = {"code": more["code"]} if "code" in more and name == state else {}
        if name == state and values["evidence"]:
            detail["mono_ms"] = 1_000
        yield CommandStep(
            command_id=command_id, at=at + timedelta(seconds=after_s), state=name, detail=detail
        )


def _orders(now: datetime) -> Iterator[object]:
    way = [("REQUESTED", 0.0), ("SENT", 0.02), ("CHALLENGED", 0.09), ("AUTHORISED", 0.11), ("PULSING", 0.19)]
    seen = {
        "energised_mono_ms": 1000,
        "opened_mono_ms": 1840,
        "released_mono_ms": 4200,
        "contact_before": False,
    }
    minute = timedelta(minutes=1)
    yield from order("1" * 32, [*way, ("OPENED", 1.03)], now - 90 * minute, evidence=seen)
    yield from order("2" * 32, [*way, ("PULSED_NOT_OPENED", 5.2)], now - 70 * minute, RIVER)
    yield from order("3" * 32, [("REQUESTED", 0.0), ("DEVICE_OFFLINE", 0.01)], now - 12 * minute, DEPOT)
    yield from order("4" * 32, [*way[:4], ("UNKNOWN", 8.1)], now - 20 * minute, DEPOT, final=False)
    yield from order("5" * 32, [*way[:2], ("REJECTED", 0.1)], now - 30 * minute, RIVER, code="door_open")


def hard_orders(now: datetime) -> Iterator[object]:
    """Orders of every kind of trouble: unknown and asked about, a lock-down by two people, and a refusal at the hub."""
    way = [("REQUESTED", 0.0), ("SENT", 0.012), ("CHALLENGED", 0.081), ("AUTHORISED", 0.094)]
    minute = timedelta(minutes=1)
    asked = {"asked": 3, "asked_at": now - 2 * minute, "final": False}
    yield from order("6" * 32, [*way, ("UNKNOWN", 8.1)], now - 5 * minute, RIVER, **asked)
    at = now - 3 * minute
    mode: dict[str, Any] = {"verb": "lock_down", "pulse_ms": 0, "duration_s": 3_600, "reason": "门外有危险"}
    seen = {"mode_until_mono_ms": 3_601_000}
    two = {"approved_by": "user:wang", "evidence": seen}
    yield from order("7" * 32, [*way, ("APPLIED", 0.21)], at, NORTH, **mode, **two)
    yield _proposal("a" * 32, at - minute)
    yield ProposalDecision(
        proposal_id="a" * 32, proposer="lin", verdict="approved", decided_by="user:wang", decider="wang",
        decided_at=at, sign_in_id="d4" * 16, proven_at=at - minute, command_id="7" * 32,
    )  # fmt: skip
    refused = [*way[:3], ("REJECTED", 0.1)]
    yield from order("8" * 32, refused, now - 2 * minute, RIVER, code="signed_out")
    yield from order("b" * 32, [*way, ("UNKNOWN", 8.1)], now - minute, RIVER, **mode, final=False)
    yield _proposal("c" * 32, now - minute)


def _proposal(proposal_id: str, at: datetime) -> Proposal:
    return Proposal(
        id=proposal_id, station_id=NORTH, door_id="main", verb="lock_down", pulse_ms=0, duration_s=3_600,
        reason="门外有危险", confirm_unknown=False, proposed_by="user:lin", proposer="lin", proposed_at=at,
        sign_in_id="c3" * 16, proven_at=at, expires_at=at + timedelta(minutes=10),
    )  # fmt: skip


def _reading(number: int, now: datetime) -> Reading:
    at = now - timedelta(minutes=4 - number)
    return Reading(
        station_id=NORTH,
        install_id=INSTALL,
        seq=number,
        name="temperature",
        value=21.0 + number / 2,
        occurred_at=at,
        received_at=at,
    )
