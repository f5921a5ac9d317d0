"""Stations are registered with all faults told at once, and once only."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from cloud_hub.errors import Conflict, Invalid
from cloud_hub.models import StationStatus
from cloud_hub.stations.services import register
from firmware_config.signing import encode_public
from tests.support.hub import START, STATION

KEY = encode_public(Ed25519PrivateKey.generate().public_key())


def add(session: Session, **changes: str) -> None:
    fields = {
        "station_id": STATION, "name": "测试驿站", "region": "", "time_zone": "Asia/Shanghai", "public_key": KEY,
        "actor": "user:lin", **changes,
    }  # fmt: skip
    register(session, now=START, **fields)


def test_a_new_station_is_there_and_nobody_has_heard_it(session: Session) -> None:
    add(session)
    assert session.get_one(StationStatus, STATION).presence == "unknown"


def test_the_same_id_twice_is_a_conflict(session: Session) -> None:
    add(session)
    with pytest.raises(Conflict):
        add(session)


def test_every_wrong_field_is_named_at_once(session: Session) -> None:
    with pytest.raises(Invalid) as caught:
        add(session, station_id="st-A/b", name=" ", time_zone="Mars/Olympus", public_key="aGVsbG8=")
    assert [fault["field"] for fault in caught.value.extra["errors"]] == [
        "id",
        "name",
        "time_zone",
        "public_key",
    ]


@pytest.mark.parametrize("zone", ["", "../etc/passwd", "x" * 300])
def test_a_time_zone_is_never_taken_for_a_path(session: Session, zone: str) -> None:
    with pytest.raises(Invalid):
        add(session, time_zone=zone)
