"""What a station's page says of its disk and of events that are missing, and what the events page says of doubtful times."""

import re

import pytest

from cloud_hub.models import EventStream, StationStatus
from cloud_hub.models.access import Role
from tests.support.district import NORTH, district, event
from tests.support.hub import INSTALL
from tests.support.web import Office


@pytest.fixture
def furnished(office: Office) -> Office:
    office.add(*district(office.clock()))
    return office


def show(office: Office, **disk: object) -> str:
    with office.sessions.begin() as session:
        status = session.get_one(StationStatus, NORTH)
        for name, value in disk.items():
            setattr(status, name, value)
    page = office.signed_in(f"viewer{len(disk)}", Role.VIEWER).get(f"/stations/{NORTH}").text
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition('id="storage-title"')[2]).split())


def test_a_disk_is_shown_as_the_station_says_it_is(furnished: Office) -> None:
    words = show(
        furnished, storage="full", free_bytes=12_300_000, written_bytes_day=450_000_000, sqlite="3.51.3"
    )
    for wanted in ("已满：拒绝远程开门", "剩余 12 MB", "450 MB", "SQLite 3.51.3", "没有缺失", "丢失 0 条"):
        assert wanted in words


def test_a_station_that_never_said_how_its_disk_is_is_not_called_well(furnished: Office) -> None:
    words = show(furnished, storage="")
    assert "可写入" not in words


def test_missing_and_lost_events_are_named(furnished: Office) -> None:
    row = {"station_id": NORTH, "high": 90, "lost_count": 4, "updated_at": furnished.clock()}
    furnished.add(EventStream(install_id=INSTALL, missing=[[5, 7]], lost=[[10, 12], [20, 20]], **row))
    words = show(furnished, storage="")
    assert "缺失 3 条，已要求重发" in words
    assert "丢失 4 条" in words
    with furnished.sessions.begin() as session:
        session.get_one(EventStream, (NORTH, INSTALL)).missing = []
    assert "编号 10–12, 20" in show(furnished, storage="ok")


def test_a_time_that_no_clock_vouches_for_says_so(furnished: Office) -> None:
    at = furnished.clock()
    doubtful = event(9_001, "door.opened", at)
    doubtful.dated = "estimated"
    furnished.add(doubtful, event(9_002, "door.closed", at))
    page = furnished.signed_in().get("/events").text
    assert page.count('data-dated="estimated"') == 1
    assert "时间为估计：当时时钟不准" in page
