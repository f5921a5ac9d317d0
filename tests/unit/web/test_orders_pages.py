"""Unlocking from the console: who may, with which proof, and what the page says of it (safety.md C13, C14, W4)."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import select

from cloud_hub.bell import BRIDGE, Bell
from cloud_hub.models import AuditEntry, Command
from cloud_hub.models.access import Role
from cloud_hub.models.command import CommandState
from tests.support.district import DEPOT, NORTH, RIVER, district, order
from tests.support.web import PASSWORD, Browser, Office

LIVE = {"X-Yizhan-Live": "1"}
DOOR = f"/stations/{NORTH}/doors/main/unlock"


@pytest.fixture
def furnished(office: Office) -> Office:
    office.add(*district(office.clock()))
    return office


def orders_of(office: Office, station_id: str = NORTH) -> list[Command]:
    with office.sessions() as session:
        found = select(Command).where(Command.station_id == station_id).order_by(Command.requested_at)
        return [command for command in session.scalars(found) if command.id != "1" * 32]


def ask(browser: Browser, path: str = DOOR, **fields: str) -> int:
    return browser.post(path, form_at="/", **fields).status_code


def test_an_unlock_is_recorded_with_its_reason_and_the_bridge_is_woken(furnished: Office) -> None:
    bell = Bell(furnished.hub.data_dir / "bells", BRIDGE)
    answer = furnished.signed_in().post(DOOR, form_at="/", preset="劳动者在门口，进不去", reason="")
    (recorded,) = orders_of(furnished)
    assert answer.status_code == 303
    assert answer.location == f"/orders/{recorded.id}"
    assert (recorded.state, recorded.requested_by, recorded.reason) == (
        "REQUESTED",
        "user:lin",
        "劳动者在门口，进不去",
    )
    assert recorded.pulse_ms == furnished.hub.settings.orders.pulse_ms
    assert bell.wait(1.0) is not None
    bell.close()
    with furnished.sessions() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry is not None
    assert (entry.actor, entry.action, entry.target) == ("user:lin", "door:unlock:requested", recorded.id)
    assert entry.detail["reason"] == recorded.reason


def test_typed_words_count_more_than_a_preset(furnished: Office) -> None:
    ask(furnished.signed_in(), preset="保洁或维修", reason=" 送药 ")
    assert [command.reason for command in orders_of(furnished)] == ["送药"]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "line\nline"])
def test_without_a_reason_nothing_is_ordered(furnished: Office, reason: str) -> None:
    assert ask(furnished.signed_in(), reason=reason) == 422
    assert orders_of(furnished) == []


def test_a_door_takes_one_order_at_a_time(furnished: Office) -> None:
    browser = furnished.signed_in()
    assert ask(browser, reason="first") == 303
    second = browser.post(DOOR, form_at="/", reason="second")
    assert second.status_code == 409
    assert "还有一条指令正在执行" in second.text
    assert 'value="second"' in second.text, "what was typed is not lost"


def test_while_an_outcome_is_unknown_a_new_order_needs_a_confirmation(furnished: Office) -> None:
    browser, path = furnished.signed_in(), f"/stations/{DEPOT}/doors/main/unlock"
    with furnished.sessions.begin() as session:
        for command in session.scalars(select(Command).where(Command.station_id == DEPOT)):
            command.requested_at -= timedelta(hours=1)
    before = len(orders_of(furnished, DEPOT))
    refused = browser.post(path, form_at="/", reason="again")
    assert refused.status_code == 409
    assert "门可能已经打开" in refused.text
    assert 'name="confirm_unknown"' in refused.text
    assert ask(browser, path, reason="again", confirm_unknown="yes") == 303
    assert len(orders_of(furnished, DEPOT)) == before + 1


def test_five_minutes_after_the_password_it_is_asked_for_again(furnished: Office) -> None:
    browser = furnished.signed_in()
    assert 'name="password"' not in browser.get(DOOR).text
    furnished.clock.forward(seconds=301)
    assert 'name="password"' in browser.get(DOOR).text
    assert ask(browser, reason="x") == 403
    assert ask(browser, reason="x", password="wrong-password") == 403
    assert orders_of(furnished) == []
    before = browser.cookie()
    assert ask(browser, reason="x", password=PASSWORD) == 303
    assert browser.cookie() != before, "the session id is rotated"
    assert len(orders_of(furnished)) == 1
    old = furnished.browser().get("/", headers={"Cookie": f"yizhan={before}"})
    assert old.status_code == 303, "the old one is dead"


def test_a_password_given_for_an_order_that_fails_need_not_be_given_twice(furnished: Office) -> None:
    browser = furnished.signed_in()
    assert ask(browser, reason="first") == 303
    furnished.clock.forward(seconds=301)
    busy = browser.post(DOOR, form_at="/", reason="second", password=PASSWORD)
    assert busy.status_code == 409
    assert 'name="password"' not in busy.text
    assert browser.get("/").status_code == 200


def test_guessing_the_password_of_a_stolen_session_is_slowed_down(furnished: Office) -> None:
    browser = furnished.signed_in()
    furnished.clock.forward(seconds=301)
    answers = [ask(browser, reason="x", password=f"guess-number-{n}") for n in range(6)]
    assert answers == [403] * 5 + [429]


def test_giving_the_password_again_does_not_prolong_the_twelve_hours(furnished: Office) -> None:
    browser = furnished.signed_in()
    for _ in range(24):
        furnished.clock.forward(minutes=29)
        browser.get("/")
    assert ask(browser, reason="x", password=PASSWORD) == 303
    furnished.clock.forward(minutes=25)
    assert browser.get("/").status_code == 303


def test_a_viewer_cannot_order(furnished: Office) -> None:
    browser = furnished.signed_in("guest", Role.VIEWER)
    assert browser.get(DOOR).status_code == 403
    assert ask(browser, reason="x") == 403
    assert orders_of(furnished) == []


def test_an_unknown_door_is_not_found(furnished: Office) -> None:
    assert ask(furnished.signed_in(), f"/stations/{NORTH}/doors/cellar/unlock", reason="x") == 404


@pytest.mark.parametrize("state", CommandState)
def test_only_one_state_claims_that_the_door_opened(office: Office, state: CommandState) -> None:
    office.add(*district(office.clock()))
    office.add(*order("9" * 32, [("REQUESTED", 0.0), (state.value, 1.0)], office.clock(), RIVER, final=True))
    page = office.signed_in().get("/orders/" + "9" * 32).text
    outcome = re.search(r'class="outcome (\w+)"[^>]*data-state="(\w+)"', page)
    assert outcome is not None
    assert outcome[2] == state.value
    assert (outcome[1] == "good") == (state in {CommandState.OPENED, CommandState.APPLIED})
    assert ("门已打开" in page) == (state is CommandState.OPENED)
    if "UNKNOWN" in state.value or state is CommandState.INTERRUPTED:
        assert "可能已开门" in page


def test_an_unknown_outcome_tells_where_to_look(furnished: Office) -> None:
    assert "可能已开门：请查看摄像头或门磁" in furnished.signed_in().get("/orders/" + "4" * 32).text


def test_an_order_is_told_hop_by_hop(furnished: Office) -> None:
    page = furnished.signed_in().get("/orders/" + "1" * 32).text
    story = re.sub(r"<[^>]+>", " ", page.partition('class="story"')[2].partition("</ol>")[0])
    hops = ["点击已受理", "请求已发往驿站", "驿站已应答", "再次核验权限", "继电器吸合", "门已打开"]
    assert [hop for hop in hops if hop in story] == hops
    assert "0.84 秒" in page
    assert "+90 毫秒" in story
    assert "data-death" not in page


def test_the_sheet_gets_the_form_and_then_the_story_alone(furnished: Office) -> None:
    browser = furnished.signed_in()
    assert "<html" not in browser.get(DOOR, headers=LIVE).text
    token = browser.csrf("/")
    answer = browser.client.post(DOOR, data={"csrf_token": token, "reason": "x"}, headers=LIVE)
    (recorded,) = orders_of(furnished)
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/orders/{recorded.id}")
    assert f'data-live="command:{recorded.id}"' in answer.text
    assert "<html" not in answer.text


def test_all_orders_are_listed_newest_first_and_paged(furnished: Office) -> None:
    start = furnished.clock() - timedelta(days=1)
    for number in range(60):
        furnished.add(*order(f"{number:032x}", [("REQUESTED", 0.0), ("EXPIRED", 1.0)], start, RIVER))
    browser = furnished.signed_in()
    first = browser.get("/orders").text
    older = re.search(r'href="([^"]*before=\w+)"', first)
    assert older is not None
    second = browser.get(older[1].replace("&amp;", "&")).text
    ids = re.findall(r'data-order="(\w+)"', first + second)
    assert len(ids) == len(set(ids)) == 65
    assert ids[:3] == ["3" * 32, "4" * 32, "5" * 32]
