"""How often people were let in, refused or not told apart: sums, words, table and spreadsheet."""

import csv
import io
from datetime import timedelta
from typing import Any

import pytest

from cloud_hub.models import Station
from cloud_hub.reports import access
from tests.support.district import NORTH, RIVER, event
from tests.support.web import Office

GRANTED, DENIED = "access.granted", "access.denied"


@pytest.fixture
def town(office: Office) -> Office:
    """Two stations in different zones, and a night of decisions at 21:30 in China, 19:30 in Urumqi."""
    office.add(
        *(
            Station(id=name, name=name, time_zone=zone, public_key="k", created_at=office.clock())
            for name, zone in ((NORTH, "Asia/Shanghai"), (RIVER, "Asia/Urumqi"))
        )
    )
    return office


def decide(office: Office, seq: int, kind: str, station: str = NORTH, **data: Any) -> None:
    office.add(event(seq, kind, office.clock() - timedelta(minutes=1), station, **{"via": "face", **data}))


def made(office: Office, **narrow: Any) -> access.AccessReport:
    with office.sessions() as session:
        return access.of_days(session, days=7, now=office.clock(), **narrow)


def sums(tallies: dict[Any, access.Tally]) -> dict[Any, tuple[int, int, int]]:
    return {key: (tally.granted, tally.rejected, tally.ambiguous) for key, tally in tallies.items()}


def test_decisions_are_counted_by_station_hour_on_its_wall_and_light(town: Office) -> None:
    decide(town, 1, GRANTED, light=120)
    decide(town, 2, DENIED, reason="unknown_face", light=30)
    decide(town, 3, DENIED, RIVER, reason="ambiguous_face", light=200)
    decide(town, 4, DENIED, RIVER, via="pass", reason="pass_expired")
    report = made(town)
    assert sums(report.by("station")) == {NORTH: (1, 1, 0), RIVER: (0, 1, 1)}
    assert sums(report.by("hour")) == {19: (0, 1, 1), 21: (1, 1, 0)}
    assert list(report.by("light")) == ["dark", "normal", "bright", "unknown"]
    assert report.reasons == {"unknown_face": 1, "ambiguous_face": 1, "pass_expired": 1}
    assert sums({"": report.total()}) == {"": (1, 2, 1)}


def test_a_report_can_be_of_one_station_or_one_way_in(town: Office) -> None:
    decide(town, 1, GRANTED)
    decide(town, 2, GRANTED, RIVER, via="pin")
    assert set(made(town, station_id=RIVER).by("station")) == {RIVER}
    assert set(made(town, via="face").by("via")) == {"face"}


def test_what_is_older_or_of_another_kind_is_not_in_it(town: Office) -> None:
    town.add(event(1, GRANTED, town.clock() - timedelta(days=8), via="face"))
    town.add(event(2, "door.opened", town.clock() - timedelta(hours=1), via="face"))
    assert made(town).total().decisions == 0


def test_a_report_over_too_much_says_that_it_is_cut_and_keeps_the_newest(
    town: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "MOST_DECISIONS", 3)
    for seq in range(1, 6):
        decide(town, seq, GRANTED if seq > 2 else DENIED)
    report = made(town)
    assert (report.cut, report.total().granted, report.total().rejected) == (True, 3, 0)
    assert report.oldest_at is not None


@pytest.mark.parametrize(
    ("grey", "light"),
    [(0, "dark"), (49, "dark"), (50, "dim"), (89, "dim"), (90, "normal"), (170, "normal"), (171, "bright"), (None, "unknown"), ("x", "unknown"), (True, "unknown")],
)  # fmt: skip
def test_light_has_four_names(grey: Any, light: str) -> None:
    assert access.light_of({"light": grey}) == light


def test_few_decisions_get_no_rate(town: Office) -> None:
    few, enough = access.Tally(granted=18, rejected=1), access.Tally(granted=18, rejected=2)
    assert (few.rate(few.rejected), enough.rate(enough.rejected)) == (None, 0.1)
    decide(town, 1, DENIED, reason="unknown_face")
    page = town.signed_in().get("/reports/access").text
    assert "%</strong>" not in page
    assert "不足 20 次时不给比率" in page


def test_the_page_shows_rates_with_their_numbers(town: Office) -> None:
    for seq in range(1, 21):
        decide(town, seq, DENIED if seq <= 5 else GRANTED, reason="unknown_face", light=100)
    page = town.signed_in().get("/reports/access?days=7").text
    assert '<strong>25.0%</strong> <small class="quiet">5</small>' in page
    assert "未登记的人脸" in page


def test_nothing_to_report_says_so_and_an_odd_question_is_refused(town: Office) -> None:
    browser = town.signed_in()
    assert "没有人请求进入" in browser.get("/reports/access").text
    assert browser.get("/reports/access?days=0").status_code == 422
    assert browser.get("/reports/access?days=x").status_code == 422


def test_the_spreadsheet_and_the_api_hold_the_same_cells(town: Office) -> None:
    decide(town, 1, GRANTED, light=120)
    decide(town, 2, DENIED, reason="unknown_face", light=30)
    answer = town.signed_in().get("/reports/access.csv")
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    found = town.app.test_client().get("/api/v1/reports/access", headers=town.token()).get_json()
    as_text = [
        {key: f"{value:02}" if key == "hour" else str(value) for key, value in item.items()}
        for item in found["items"]
    ]
    assert as_text == lines
    assert found["reasons"] == [{"reason": "unknown_face", "count": 1}]
    assert [line["decisions"] for line in lines] == ["1", "1"]
