"""Stations are registered before they are heard."""

import re
import zoneinfo
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.errors import Conflict, Invalid
from cloud_hub.models import Station, StationStatus
from cloud_hub.models.station import Presence
from firmware_config.signing import decode_public
from firmware_config.units import STATION_ID_PATTERN

_LONGEST_NAME: Final = 120


def register(
    session: Session,
    *,
    station_id: str,
    name: str,
    region: str,
    time_zone: str,
    public_key: str,
    actor: str,
    now: datetime,
) -> Station:
    """Add a station; the bridge hears it from its next message on.

    Args:
        session: a writing session.
        station_id: also the common name of its certificate.
        name: shown to people.
        region: shown to people, may be empty.
        time_zone: IANA name.
        public_key: Ed25519, raw, base64.
        actor: who adds it.
        now: aware time.

    Raises:
        Invalid: with every field that breaks a rule.
        Conflict: the id is taken, by a retired station too: its history is its own.
    """
    faults = _faults(station_id, name, region, time_zone, public_key)
    if faults:
        words = "; ".join(f"{fault['field']}: {fault['problem']}" for fault in faults)
        raise Invalid(words, errors=faults)
    if session.get(Station, station_id) is not None:
        raise Conflict(f"a station {station_id} exists")
    station = Station(
        id=station_id,
        name=name.strip(),
        region=region.strip(),
        time_zone=time_zone,
        public_key=public_key,
        created_at=now,
        retired_at=None,
    )
    session.add(station)
    session.flush()
    session.add(StationStatus(station_id=station_id, presence=Presence.UNKNOWN, presence_since=now))
    detail = {"name": station.name, "public_key": public_key}
    audit.record(
        session, actor=actor, action="station:register:done", target=station_id, detail=detail, now=now
    )
    return station


def note_sealing_keys(session: Session, keys: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The keys that others must seal templates to, as stations' births say.

    Args:
        session: a writing session.
        keys: by station.

    Returns:
        By station what changed, for the audit.
    """
    query = select(Station).where(Station.id.in_(keys)).order_by(Station.id)
    changes: dict[str, dict[str, str]] = {}
    for station in session.scalars(query):
        key = keys[station.id]
        if station.sealing_key != key:
            changes[station.id] = {"before": station.sealing_key, "now": key}
            station.sealing_key = key
    session.flush()
    return changes


def _faults(station_id: str, name: str, region: str, time_zone: str, public_key: str) -> list[dict[str, str]]:
    problems: dict[str, str] = {}
    if not re.fullmatch(STATION_ID_PATTERN, station_id):
        problems["id"] = "'st-' and 4 to 32 lower-case letters or digits"
    if not 0 < len(name.strip()) <= _LONGEST_NAME:
        problems["name"] = f"1 to {_LONGEST_NAME} characters"
    if len(region.strip()) > _LONGEST_NAME:
        problems["region"] = f"at most {_LONGEST_NAME} characters"
    try:
        zoneinfo.ZoneInfo(time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        problems["time_zone"] = "not an IANA time zone"
    try:
        decode_public(public_key)
    except ValueError:
        problems["public_key"] = "not the base64 of a 32-byte Ed25519 public key"
    return [{"field": field, "problem": problem} for field, problem in problems.items()]
