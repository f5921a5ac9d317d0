"""What the pages show, read as a person reads them."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select

from cloud_hub.models import Alert, AuditEntry, Event, Station
from cloud_hub.models.access import Role
from cloud_hub.models.alert import Severity
from tests.support.district import DEPOT, NORTH, PARK, RIVER, alert, district, event
from tests.support.web import Office

LIVE = {"X-Yizhan-Live": "1"}


def words(page: str) -> str:
    """The page's text without its markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main")[2]).split())


@pytest.fixture
def furnished(office: Office) -> Office:
    office.add(*district(office.clock()))
    return office


def test_the_overview_shows_trouble_first(furnished: Office) -> None:
    page = furnished.signed_in().get("/").text
    assert re.findall(r'id="open-(st-\w+)"', page) == [RIVER, DEPOT, PARK, NORTH]


def test_the_overview_counts_stations_people_and_alerts(furnished: Office) -> None:
    text = words(furnished.signed_in().get("/").text)
    assert "在线 2 / 4" in text
    assert "当前在内 10" in text
    assert "待确认 3" in text
    assert "7 (6–9) / 12" in text


def test_the_overview_can_be_searched(furnished: Office) -> None:
    browser = furnished.signed_in()
    assert re.findall(r'id="open-(st-\w+)"', browser.get("/?q=river").text) == [RIVER]
    assert "没有与“%_%”相符的驿站" in browser.get("/?q=%25_%25").text


def test_an_empty_hub_says_what_to_do(office: Office) -> None:
    assert "cloud-hub station add" in office.signed_in().get("/").text


def test_the_overview_needs_a_bounded_number_of_queries(furnished: Office) -> None:
    browser = furnished.signed_in()
    now = furnished.clock()
    furnished.add(
        *(Station(id=f"st-more{n:04}", name=f"n{n}", public_key="k", created_at=now) for n in range(60))
    )
    asked: list[str] = []
    engine = furnished.sessions.kw["bind"]
    sqlalchemy_event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert browser.get("/").status_code == 200
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= 8


def test_a_station_page_tells_relay_and_contact_apart(furnished: Office) -> None:
    page = furnished.signed_in().get(f"/stations/{RIVER}").text
    assert 'data-contact="open"' in page
    assert 'data-relay="0"' in page
    assert "强行打开" in page


def test_a_station_page_warns_of_what_is_out_of_range(furnished: Office) -> None:
    text = words(furnished.signed_in().get(f"/stations/{RIVER}").text)
    assert "二氧化碳 正常范围 350 – 1,500 ppm 1,712 ppm 超限" in text
    assert "活体检测未启用" in text


def test_an_offline_station_says_that_its_state_is_old(furnished: Office) -> None:
    text = words(furnished.signed_in().get(f"/stations/{DEPOT}").text)
    assert "驿站离线，所示为其最后上报的状态" in text
    assert "站端待传 最早的已等 3 分钟 42" in text


def test_a_station_never_heard_of_is_not_called_offline(furnished: Office) -> None:
    text = words(furnished.signed_in().get(f"/stations/{PARK}").text)
    assert "尚无消息" in text
    assert "离线" not in text


def test_times_are_local_to_the_station_with_utc_beside_them(office: Office) -> None:
    office.add(
        Station(id=NORTH, name="n", time_zone="Asia/Urumqi", public_key="k", created_at=office.clock()),
        event(1, "door.opened", office.clock() - timedelta(hours=1), door="main"),
    )
    page = office.signed_in().get(f"/stations/{NORTH}").text
    assert (
        '<time datetime="2025-11-22T12:30:00+00:00" title="2025-11-22 12:30:00 UTC">18:30:00</time>' in page
    )


def test_an_unknown_time_zone_does_not_break_a_page(office: Office) -> None:
    office.add(
        Station(id=NORTH, name="n", time_zone="Mars/Olympus", public_key="k", created_at=office.clock()),
        event(1, "door.opened", office.clock(), door="main"),
    )
    assert "21:30:00" in office.signed_in().get(f"/stations/{NORTH}").text


@pytest.mark.parametrize("name", ["head", "doors", "vitals", "alerts", "events"])
def test_a_part_of_a_station_page_comes_alone(furnished: Office, name: str) -> None:
    part = furnished.signed_in().get(f"/stations/{RIVER}/fragments/{name}", headers=LIVE).text
    assert "<html" not in part
    assert f'data-src="/stations/{RIVER}/fragments/{name}"' in part


@pytest.mark.parametrize(
    "path", ["/nope", "/stations/st-nowhere", f"/stations/{NORTH}/fragments/x", "/orders/none"]
)
def test_what_does_not_exist_has_a_page_that_says_so(furnished: Office, path: str) -> None:
    answer = furnished.signed_in().get(path)
    assert answer.status_code == 404
    assert "没有这个页面或对象" in answer.text


def test_events_can_be_filtered_and_paged(furnished: Office) -> None:
    start = furnished.clock() - timedelta(days=1)
    furnished.add(*(event(100 + n, "door.closed", start, DEPOT, door="main") for n in range(120)))
    browser = furnished.signed_in()
    seen: list[str] = []
    path = f"/events?station={DEPOT}&kind=door.closed"
    for _ in range(3):
        page = browser.get(path).text
        seen += re.findall(r'data-event="(\d+)"', page)
        older = re.search(r'href="([^"]*before=\d+)"', page)
        path = older[1].replace("&amp;", "&") if older else ""
    assert path == ""
    assert len(seen) == len(set(seen)) == 120
    assert seen == sorted(seen, key=int, reverse=True)


def test_only_the_newest_page_of_events_follows_live(furnished: Office) -> None:
    browser = furnished.signed_in()
    assert 'data-live="events:*"' in browser.get("/events").text
    assert 'data-live="events:' not in browser.get("/events?before=3").text


def test_alerts_are_sorted_by_urgency_and_can_be_narrowed(furnished: Office) -> None:
    browser = furnished.signed_in()

    def kinds(path: str) -> list[str]:
        return re.findall(r'data-alert="\d+" data-kind="([\w.]+)"', browser.get(path).text)

    assert kinds("/alerts") == ["door.forced", "station.silent", "sensor.out_of_range", "camera.lost"]
    assert kinds("/alerts?view=open") == ["door.forced", "station.silent", "sensor.out_of_range"]
    assert kinds("/alerts?view=closed") == ["door.held_open"]
    assert kinds(f"/alerts?station={DEPOT}") == ["station.silent", "camera.lost"]
    assert kinds("/alerts?view=nonsense") == kinds("/alerts")


def test_no_alert_is_a_quiet_page(office: Office) -> None:
    assert "一切平静" in office.signed_in().get("/alerts").text


def test_acknowledging_changes_the_alert_and_is_written_down(furnished: Office) -> None:
    browser = furnished.signed_in()
    assert browser.post("/alerts/1/acknowledge", form_at="/").location == "/alerts"
    with furnished.sessions() as session:
        row = session.get_one(Alert, 1)
        assert (row.state, row.acknowledged_by) == ("acknowledged", "user:lin")
        assert "user:lin" in {
            entry.actor for entry in session.scalars(select(AuditEntry)) if "alert" in entry.action
        }
    assert "lin 已确认" in browser.get("/alerts").text


def test_a_viewer_sees_no_button_that_would_be_refused(furnished: Office) -> None:
    browser = furnished.signed_in("guest", Role.VIEWER)
    for path in ("/", f"/stations/{RIVER}", "/alerts"):
        page = browser.get(path).text
        assert "/unlock" not in page
        assert "/acknowledge" not in page


def test_the_stage_is_linked_only_where_there_is_one(office: Office) -> None:
    assert "演示舞台" not in office.signed_in().get("/").text


def test_text_of_a_station_is_never_markup(office: Office) -> None:
    evil = "<script>alert(1)</script>\"'>{{ 7*7 }}"
    now = office.clock()
    office.add(
        Station(id=NORTH, name=evil, region=evil, public_key="k", created_at=now),
        event(1, "access.denied", now, door=evil, reason=evil, person=evil, unit=evil),
        event(2, evil[:40], now, value=1.5, unit=evil),
        alert(NORTH, evil[:40], Severity.MAJOR, now, data={"door": evil}),
    )
    browser = office.signed_in()
    for path in (
        "/",
        f"/stations/{NORTH}",
        "/alerts",
        "/events",
        f"/?q={evil}",
        f"/events?station={evil}&kind={evil}",
    ):
        page = browser.get(path).text
        assert "<script>alert" not in page, path
        assert ">49" not in page, path


def test_a_number_that_is_no_number_is_refused_in_words(furnished: Office) -> None:
    browser = furnished.signed_in()
    assert browser.get("/events?before=x").status_code == 422
    assert browser.get("/orders?before=x").status_code == 404


def test_a_nul_character_is_refused_before_it_reaches_the_database(furnished: Office) -> None:
    browser = furnished.signed_in()
    for path in ("/?q=%00", "/events?station=%00", "/stations/%00"):
        assert browser.get(path).status_code in {400, 404}


def test_an_oversized_form_is_refused_with_its_size(office: Office) -> None:
    answer = office.browser().client.post("/sign-in", data={"username": "x" * (1024 * 1024 + 1)})
    assert answer.status_code == 413
    assert "发送的内容过大" in answer.text


def test_a_failure_of_ours_is_logged_and_tells_nothing(
    furnished: Office, caplog: pytest.LogCaptureFixture
) -> None:
    browser = furnished.signed_in()
    with furnished.sessions.begin() as session:
        session.connection().exec_driver_sql("ALTER TABLE event RENAME TO event_gone")
    page, document = (
        browser.get("/events"),
        furnished.app.test_client().get("/api/v1/events", headers=furnished.token()),
    )
    with furnished.sessions.begin() as session:
        session.connection().exec_driver_sql("ALTER TABLE event_gone RENAME TO event")
    assert (page.status_code, document.status_code, document.mimetype) == (
        500,
        500,
        "application/problem+json",
    )
    for text in (page.text, document.text):
        assert "event" not in words(text) or "event_gone" not in text
        assert "Traceback" not in text
        assert "sqlite" not in text.lower()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "web.request.failed"
    ] * 2


def test_everything_is_refused_while_the_database_is_gone(furnished: Office) -> None:
    browser = furnished.signed_in()
    with furnished.sessions.begin() as session:
        session.connection().exec_driver_sql("ALTER TABLE login_session RENAME TO gone")
    assert browser.get("/").status_code == 500
    assert (
        browser.client.post(f"/stations/{NORTH}/doors/main/unlock", data={"reason": "x"}).status_code == 500
    )
    with furnished.sessions() as session:
        assert session.scalars(select(Event)).first() is not None
