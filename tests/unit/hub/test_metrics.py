"""The hub's figures: what processes count, and what the database knows."""

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from cloud_hub import metrics
from cloud_hub.alerts import engine
from cloud_hub.alerts.rules import Raise
from cloud_hub.models import StationStatus
from cloud_hub.models.alert import Severity
from tests.support.hub import STATION, World


def lines(session: Session) -> list[str]:
    body, content_type = metrics.exposition(session)
    assert content_type.startswith("text/plain")
    return body.decode().splitlines()


def test_the_database_adds_stations_alerts_backlog_and_refusals(world: World) -> None:
    world.add_station("st-other0001", online=False)
    with world.sessions.begin() as session:
        session.execute(
            update(StationStatus)
            .where(StationStatus.station_id == STATION)
            .values(backlog=12, rejected={"bad_signature": 3, "malformed": 1})
        )
        engine.apply(session, STATION, [Raise("fire.active", Severity.CRITICAL)], at=world.now)
    with world.sessions() as session:
        found = lines(session)
    for line in (
        'yizhan_stations{presence="online"} 1.0',
        'yizhan_stations{presence="unknown"} 1.0',
        'yizhan_alerts_open{severity="critical"} 1.0',
        "yizhan_stations_backlog 12.0",
        'yizhan_stations_rejected{reason="bad_signature"} 3.0',
        'yizhan_stations_rejected{reason="malformed"} 1.0',
    ):
        assert line in found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_stations_there_are_no_figures_and_no_fault(session: Session) -> None:
    assert "yizhan_stations_backlog 0.0" in lines(session)
