"""The demo's people are on the roster of its stations, and what an administrator changes stays."""

from pathlib import Path

import pytest
from sqlalchemy import select

from cloud_hub.db import make_engine, make_sessions, utc_now
from cloud_hub.demo.people import furnish
from cloud_hub.demo.stations import VISITOR, WORKER
from cloud_hub.models import PeopleGroup, Station
from cloud_hub.models.people import ConsentKind
from cloud_hub.people.services import change_person, withdraw_for
from cloud_hub.roster.build import build
from cloud_hub.settings import Hub
from firmware_config.roster import RosterPerson
from tests.support.hub import make_hub

STATIONS = ["st-demo0001", "st-demo0002"]


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    made, _ = make_hub(tmp_path / "hub", broker_port=1883)
    register(made, *STATIONS)
    return made


def register(hub: Hub, *stations: str) -> None:
    engine = make_engine(hub.database_url)
    with make_sessions(engine).begin() as session:
        session.add_all(
            Station(id=name, name=name, public_key="k", created_at=utc_now()) for name in stations
        )
    engine.dispose()


def roster(hub: Hub, station: str = STATIONS[0]) -> dict[str, RosterPerson]:
    engine = make_engine(hub.database_url)
    with make_sessions(engine)() as session:
        document = build(
            session, session.get_one(Station, station), version=1, issued_at=utc_now(), pass_keys=()
        )
    engine.dispose()
    return {person.id: person for person in document.people}


def test_both_enrolled_faces_are_let_in_at_every_station_around_the_clock(hub: Hub) -> None:
    furnish(hub, STATIONS)
    for station in STATIONS:
        found = roster(hub, station)
        assert [(found[name].face, found[name].groups) for name in (WORKER, VISITOR)] == [
            (True, ["everybody"])
        ] * 2
        assert len(found) == 4


def test_a_second_start_changes_nothing_that_somebody_changed(hub: Hub) -> None:
    furnish(hub, STATIONS)
    engine = make_engine(hub.database_url)
    with make_sessions(engine).begin() as session:
        by = {"person_id": WORKER, "actor": "user:admin", "now": utc_now()}
        change_person(session, active=False, **by)  # type: ignore[arg-type]
        withdraw_for(session, kind=ConsentKind.FACE, reason="asked", **by)  # type: ignore[arg-type]
    furnish(hub, STATIONS)
    found = roster(hub)[WORKER]
    assert (found.active, found.face) == (False, False)
    with make_sessions(engine)() as session:
        assert len(session.scalars(select(PeopleGroup)).all()) == 3
    engine.dispose()


def test_a_station_added_later_lets_them_in_too(hub: Hub) -> None:
    furnish(hub, STATIONS)
    register(hub, "st-demo0003")
    furnish(hub, [*STATIONS, "st-demo0003"])
    assert roster(hub, "st-demo0003")[WORKER].face
