"""The pages about people, groups, the calendar and passes, through their forms."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from cloud_hub.models import (
    AuditEntry,
    CalendarDay,
    Consent,
    EnrolmentCode,
    EntryPass,
    Erasure,
    Membership,
    PeopleGroup,
    Person,
    RosterState,
    Station,
)
from cloud_hub.models.access import Role
from cloud_hub.settings import PassSettings
from firmware_config.signing import new_private_key
from tests.support.web import Browser, Office, open_office

NORTH, RIVER = "st-north001", "st-river001"
ALWAYS = [[{"opens_min": 0, "closes_min": 1440}]] * 7


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Office]:
    """Two stations, one group, and a key for passes."""
    new_private_key(tmp_path / "passes.key")
    with open_office(tmp_path, passes=PassSettings(key_file=Path("passes.key"))) as office:
        office.add(
            *(
                Station(id=name, name=name, region="r-east", public_key="k", created_at=office.clock())
                for name in (NORTH, RIVER)
            ),
            PeopleGroup(id="couriers", weekly=ALWAYS, created_at=office.clock()),
        )
        yield office


def rows(office: Office, table: type) -> list:  # type: ignore[type-arg]
    with office.sessions() as session:
        return list(session.scalars(select(table)))


def looks(office: Office) -> list[tuple[str, str, int]]:
    return [
        (entry.action, entry.target, entry.detail["people"])
        for entry in rows(office, AuditEntry)
        if ":view:" in entry.action
    ]


def added(browser: Browser, **fields: str) -> str:
    answer = browser.post("/people", form_at="/", groups="couriers", **fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].rpartition("/")[2]


@pytest.fixture
def chief(town: Office) -> Browser:
    return town.signed_in("chief", Role.ADMINISTRATOR)


def test_a_person_is_added_and_shown_by_number_and_pseudonym(town: Office, chief: Browser) -> None:
    person_id = added(chief, number="4711", extended="yes")
    (person,) = rows(town, Person)
    assert (person.id, person.number, person.extended) == (person_id, "4711", True)
    page = chief.get("/people").text
    assert person_id in page
    assert "4711" in page
    assert 'value="couriers" checked' in chief.get(f"/people/{person_id}").text


def test_every_look_at_people_is_one_entry_in_the_audit_log(town: Office, chief: Browser) -> None:
    person_id = added(chief)
    chief.get("/people")
    chief.get(f"/people/{person_id}")
    chief.get("/passes")
    assert looks(town) == [
        ("person:view:done", "list", 1),
        ("person:view:done", person_id, 1),
        ("pass:view:done", "list", 0),
    ]


def test_a_number_that_is_taken_or_none_is_refused_with_what_was_typed(chief: Browser) -> None:
    added(chief, number="4711")
    taken = chief.post("/people", form_at="/", number="4711")
    assert (taken.status_code, 'value="4711"' in taken.text) == (409, True)
    short = chief.post("/people", form_at="/", number="12")
    assert short.status_code == 422
    assert "编号：4 至 8 位数字" in short.text


def test_a_person_is_found_by_number_or_by_how_the_pseudonym_begins(chief: Browser) -> None:
    person_id = added(chief, number="4711")
    for search, found in (("4711", True), (person_id[:6], True), ("471", False), ("%", False)):
        assert (f"/people/{person_id}" in chief.get("/people", query_string={"q": search}).text) is found


def test_groups_pulse_and_number_are_changed_together_and_access_by_itself(
    town: Office, chief: Browser
) -> None:
    person_id = added(chief, number="4711")
    chief.post(f"/people/{person_id}/change", form_at="/", number="4712", extended="yes")
    chief.post(f"/people/{person_id}/change", form_at="/", part="active")
    (person,) = rows(town, Person)
    assert (person.number, person.extended, person.active) == ("4712", True, False)
    assert rows(town, Membership) == []
    assert "已停用" in chief.get("/people").text
    chief.post(f"/people/{person_id}/change", form_at="/", part="active", active="yes")
    assert rows(town, Person)[0].active


def test_an_enrolment_code_is_on_its_slip_and_nowhere_else(town: Office, chief: Browser) -> None:
    person_id = added(chief, number="4711")
    slip = chief.post(f"/people/{person_id}/enrolment-code", form_at="/")
    code = re.search(r'data-code="([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})"', slip.text)
    assert slip.status_code == 201
    assert code is not None
    assert slip.headers["Cache-Control"] == "no-store"
    assert [row.tag for row in rows(town, EnrolmentCode)] == [code[1][:4]]
    assert code[1] not in chief.get(f"/people/{person_id}").text
    assert code[1] not in str([entry.detail for entry in rows(town, AuditEntry)])


def test_consents_are_shown_with_version_station_and_withdrawal(town: Office, chief: Browser) -> None:
    person_id = added(chief)
    town.add(
        Consent(
            person_id=person_id,
            station_id=NORTH,
            kind="face",
            version=3,
            channel="kiosk",
            given_at=town.clock(),
        )
    )
    assert "告知书第 3 版" in chief.get(f"/people/{person_id}").text
    answer = chief.post(f"/people/{person_id}/withdraw", form_at="/", kind="face", reason="asked at the desk")
    assert answer.status_code == 303
    assert rows(town, Consent)[0].withdrawn_by == "user:chief"
    assert "已撤回" in chief.get(f"/people/{person_id}").text


def test_an_erasure_is_ordered_only_by_whoever_is_sure_and_shows_each_stations_proof(
    town: Office, chief: Browser
) -> None:
    person_id = added(chief)
    assert chief.post(f"/people/{person_id}/erase", form_at="/", reason="left").status_code == 422
    assert chief.post(f"/people/{person_id}/erase", form_at="/", reason="left", sure="yes").status_code == 303
    page = chief.get(f"/people/{person_id}").text
    assert 'data-erased="0/2"' in page
    assert f'data-live="events:{NORTH},events:{RIVER}"' in page
    with town.sessions.begin() as session:
        for proof in session.scalars(select(Erasure).where(Erasure.station_id == NORTH)):
            proof.receipted_at, proof.found, proof.root, proof.receipt = (
                town.clock(),
                True,
                "a" * 64,
                "signed",
            )
    page = chief.get(f"/people/{person_id}").text
    assert 'data-erased="1/2"' in page
    assert "a" * 64 in page


def group_form(**fields: str) -> dict[str, str]:
    return {"id": "night", "shape": "always", "holidays": "same", "where": "all", "which": "all", **fields}


def test_a_night_is_typed_as_it_is_spoken(town: Office, chief: Browser) -> None:
    fields = group_form(
        shape="weekly",
        **{"day0-from-0": "22:00", "day0-to-0": "06:00", "day4-from-0": "08:00", "day4-to-0": "00:00"},
    )
    answer = chief.post("/groups", form_at="/", **fields)
    assert answer.status_code == 303, answer.text
    night = next(group for group in rows(town, PeopleGroup) if group.id == "night")
    assert night.weekly[0] == [{"opens_min": 1320, "closes_min": 1800}]
    assert night.weekly[4] == [{"opens_min": 480, "closes_min": 1440}]
    page = chief.get("/groups").text
    assert "22:00 – 次日 06:00" in page
    assert "08:00 – 24:00" in page
    form = chief.get("/groups/night").text
    assert re.search(r'name="day0-to-0" value="06:00"', form)


def test_hours_are_kept_through_the_form_unchanged(town: Office, chief: Browser) -> None:
    weekly = [
        [{"opens_min": 360, "closes_min": 720}, {"opens_min": 1200, "closes_min": 1560}],
        *[[]] * 5,
        [{"opens_min": 0, "closes_min": 1440}],
    ]
    town.add(
        PeopleGroup(
            id="odd", weekly=weekly, holiday=[], stations=[NORTH], guest_cap=3, created_at=town.clock()
        )
    )
    page = chief.get("/groups/odd").text
    times = dict(re.findall(r'name="((?:day|holiday|daily)[\w-]+)" value="([\d:]*)"', page))
    answer = chief.post(
        "/groups/odd",
        form_at="/",
        **times,
        shape="weekly",
        holidays="closed",
        where="some",
        stations=NORTH,
        guests="yes",
        guest_cap="3",
    )
    assert answer.status_code == 303
    odd = next(group for group in rows(town, PeopleGroup) if group.id == "odd")
    assert (odd.weekly, odd.holiday, odd.stations, odd.guest_cap) == (weekly, [], [NORTH], 3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"shape": "daily", "daily-from-0": "08:00"}, "每段都要填写开门和关门两个时间", id="half"),
        pytest.param({"shape": "weekly", "day0-from-0": "22:00", "day0-to-0": "06:00", "day1-from-0": "05:00", "day1-to-0": "09:00"}, "前一段还没结束", id="overlap"),
        pytest.param({"shape": "daily", "daily-from-0": "24:00", "daily-to-0": "1:00"}, "每段都要填写", id="no time"),
        pytest.param({"id": "Night Shift"}, "短名", id="name"),
        pytest.param({"waits_for": "nobody"}, "首人先到", id="waits for nobody"),
        pytest.param({"guests": "yes", "guest_cap": "many"}, "访客", id="guests"),
    ],
)  # fmt: skip
def test_hours_that_make_no_sense_are_refused_in_words_and_kept_on_the_form(
    chief: Browser, fields: dict[str, str], words: str
) -> None:
    answer = chief.post("/groups", form_at="/", **group_form(**fields))
    assert answer.status_code == 422
    assert words in answer.text
    for value in set(fields.values()) - {"nobody"}:
        assert value in answer.text


def test_a_golden_week_and_its_make_up_workday_fill_the_calendar(town: Office, chief: Browser) -> None:
    chief.post("/calendar", form_at="/", kind="holiday", day="2026-10-01", last="2026-10-07")
    chief.post("/calendar", form_at="/", kind="workday", day="2026-10-10", as_weekday="3")
    days = {row.day: (row.kind, row.as_weekday) for row in rows(town, CalendarDay)}
    assert len(days) == 8
    assert days["2026-10-10"] == ("workday", 3)
    assert "按星期四的时间开放" in chief.get("/calendar").text
    chief.post("/calendar/2026-10-07/remove", form_at="/")
    assert "2026-10-07" not in {row.day for row in rows(town, CalendarDay)}


@pytest.mark.parametrize("fields", [{"day": "2026-13-01"}, {"day": "2026-10-01", "last": "2026-09-01"}, {"day": "2026-10-01", "last": "2027-10-01"}])  # fmt: skip
def test_a_day_no_calendar_has_is_refused(chief: Browser, fields: dict[str, str]) -> None:
    assert chief.post("/calendar", form_at="/", kind="holiday", **fields).status_code == 422


def pass_form(**fields: str) -> dict[str, str]:
    return {"holder": "guest", "where": "all", "often": "any", "not_after": "2025-11-23T08:00", **fields}


def test_a_pass_is_shown_once_as_a_picture_and_kept_nowhere(town: Office, chief: Browser) -> None:
    page = chief.post("/passes", form_at="/", **pass_form())
    assert page.status_code == 201
    assert '<svg viewBox="0 0' in page.text
    assert 'href="data:image/png;base64,' in page.text
    (row,) = rows(town, EntryPass)
    # 08:00 on the wall in China
    assert row.not_after == datetime(2025, 11, 23, 0, 0, tzinfo=UTC)
    assert "有效" in chief.get("/passes").text
    assert '<svg viewBox="0 0 5' not in chief.get("/passes").text


def test_a_pass_for_a_person_and_one_station_is_counted(town: Office, chief: Browser) -> None:
    person_id = added(chief)
    fields = pass_form(holder="person", person=person_id, where="some", scope=NORTH, often="some", uses="2")
    assert chief.post("/passes", form_at="/", **fields).status_code == 201
    (row,) = rows(town, EntryPass)
    assert (row.person_id, row.scope, row.uses) == (person_id, [NORTH], 2)
    assert chief.post(f"/passes/{row.id}/revoke", form_at="/").status_code == 303
    assert 'data-state="revoked"' in chief.get("/passes").text


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"not_after": "2025-11-22T08:00"}, id="over already"),
        pytest.param({"not_after": "2025-12-22T08:00"}, id="too long for a guest"),
        pytest.param({"not_after": "soon"}, id="no time"),
        pytest.param({"where": "some"}, id="nowhere"),
        pytest.param({"often": "some", "uses": "2"}, id="counted everywhere"),
        pytest.param({"holder": "person", "person": ""}, id="for nobody"),
    ],
)
def test_a_pass_that_breaks_a_rule_is_refused_with_the_form(
    town: Office, chief: Browser, fields: dict[str, str]
) -> None:
    answer = chief.post("/passes", form_at="/", **pass_form(**fields))
    assert answer.status_code == 422
    assert 'class="notice bad"' in answer.text
    assert rows(town, EntryPass) == []


def test_a_hub_without_a_key_says_so(office: Office) -> None:
    answer = office.signed_in().post("/passes", form_at="/", **pass_form())
    assert answer.status_code == 409
    assert "签发通行码的密钥" in answer.text


@pytest.mark.parametrize(
    ("applied", "erasures", "words"),
    [
        pytest.param(None, 0, "尚未下发", id="none"),
        pytest.param(3, 0, "已应用第 3 版", id="applied"),
        pytest.param(2, 0, "已应用第 2 版，已下发第 3 版", id="behind"),
        pytest.param(3, 2, "尚无凭证的删除", id="erasures"),
    ],
)
def test_a_stations_page_says_which_roster_it_has_and_what_it_has_not_proven(
    town: Office, chief: Browser, applied: int | None, erasures: int, words: str
) -> None:
    if applied is not None:
        state = {"version": 3, "digest": "d" * 64, "people": 5, "issued_at": town.clock()}
        town.add(RosterState(station_id=NORTH, applied_version=applied, **state))
    for number in range(erasures):
        asked = {"person_id": "p-0", "reason": "asked", "requested_at": town.clock(), "requested_by": "hub"}
        town.add(Erasure(request_id=f"{number:032}", station_id=NORTH, **asked))
    page = chief.get(f"/stations/{NORTH}").text
    assert words in page
    assert ("尚无凭证的删除" in page) is bool(erasures)


def test_viewers_see_hours_and_nobody(town: Office) -> None:
    viewer = town.signed_in("guest", Role.VIEWER)
    assert viewer.get("/groups").status_code == 200
    assert viewer.get("/people").status_code == 403
    assert 'href="/people"' not in viewer.get("/groups").text


def test_the_state_of_a_pass_follows_the_clock(town: Office, chief: Browser) -> None:
    chief.post("/passes", form_at="/", **pass_form(not_before="2025-11-23T01:00"))
    assert 'data-state="not_yet"' in chief.get("/passes").text
    town.clock.now += timedelta(hours=5)
    chief.sign_in("chief")
    assert 'data-state="valid"' in chief.get("/passes").text
    town.clock.now += timedelta(hours=9)
    chief.sign_in("chief")
    assert 'data-state="expired"' in chief.get("/passes").text
