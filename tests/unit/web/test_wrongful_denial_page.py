"""Somebody may be shut out: the alert says so in words, and one tap orders the door open."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from cloud_hub.models import AuditEntry, Command
from cloud_hub.models.access import Role
from cloud_hub.models.alert import Severity
from tests.support.district import NORTH, alert, district
from tests.support.web import Browser, Office

LIVE = {"X-Yizhan-Live": "1"}
DENIED = {
    "door": "main",
    "cause": "denied_twice",
    "person": "p-3f2a9c",
    "reason": "outside_hours",
    "reasons": "ambiguous_face outside_hours",
    "denials": 3,
    "waited_ms": 65_000,
}


def shut_out(office: Office, **data: Any) -> None:
    """A district in which somebody stands before the north gate."""
    office.add(
        *district(office.clock()),
        alert(
            NORTH,
            "access.wrongful_denial",
            Severity.MAJOR,
            office.clock(),
            "main",
            data={**DENIED, **data},
            active=False,
            latching=True,
        ),
    )


def tap(browser: Browser, at: str, **headers: str) -> Any:
    """Press the alert's own button, with what its form holds and nothing else."""
    page = browser.get(at).text
    row = page[page.index('data-kind="access.wrongful_denial"') :]
    form = re.search(r'<form method="post" action="([^"]+)" data-sheet-opens>(.*?)</form>', row, re.DOTALL)
    assert form is not None, row[:2000]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[2]))
    return browser.client.post(form[1], data=fields, headers=headers)


def orders(office: Office) -> list[Command]:
    with office.sessions() as session:
        newest = select(Command).where(Command.requested_at == office.clock())
        return list(session.scalars(newest))


@pytest.mark.parametrize("page", ["/alerts", f"/stations/{NORTH}"])
def test_one_tap_orders_the_door_open_with_the_reason_given(office: Office, page: str) -> None:
    shut_out(office)
    browser = office.signed_in()
    answer = tap(browser, page, **LIVE)
    assert answer.status_code == 202
    assert 'data-state="REQUESTED"' in answer.text
    (command,) = orders(office)
    assert (command.station_id, command.door_id, command.requested_by) == (NORTH, "main", "user:lin")
    assert command.reason == "可能拒之门外：有权进入的人被挡在门外"
    with office.sessions() as session:
        entry = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry is not None
    assert (entry.action, entry.target) == ("door:unlock:requested", command.id)


def test_without_the_script_the_tap_leads_to_the_orders_page(office: Office) -> None:
    shut_out(office)
    answer = tap(office.signed_in(), "/alerts")
    (command,) = orders(office)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/orders/{command.id}")


def test_a_password_given_long_ago_is_asked_for_with_the_reason_kept(office: Office) -> None:
    shut_out(office)
    browser = office.signed_in()
    office.clock.forward(minutes=6)
    answer = tap(browser, "/alerts", **LIVE)
    assert answer.status_code == 403
    assert 'name="password"' in answer.text
    assert 'value="可能拒之门外：有权进入的人被挡在门外"' in answer.text
    assert orders(office) == []


def test_a_viewer_sees_the_alert_and_no_button(office: Office) -> None:
    shut_out(office)
    page = office.signed_in("guest", Role.VIEWER).get("/alerts").text
    assert "p-3f2a9c" in page
    assert "data-sheet-opens" not in page


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param({}, "p-3f2a9c 被拒 3 次：人脸无法确认、不在开放时段。已在门口 1 分钟。", id="denied"),
        pytest.param({"person": None, "denials": 1, "reasons": "unknown_face"}, "有人 被拒 1 次：未登记的人脸。已在门口 1 分钟。", id="once"),
        pytest.param({"person": None, "denials": None, "reasons": None, "reason": None}, "有人已在门口 1 分钟，仍未能进入。", id="waiting"),
        pytest.param({"denials": None, "reasons": None}, "p-3f2a9c 被拒：不在开放时段。已在门口 1 分钟。", id="an older agent"),
        pytest.param({"denials": "many", "waited_ms": "long", "reasons": "strange_code"}, "p-3f2a9c 被拒：strange_code。已在门口 0 秒。", id="nonsense"),
    ],
)  # fmt: skip
def test_the_alert_says_who_how_often_why_and_how_long(
    office: Office, data: dict[str, Any], words: str
) -> None:
    shut_out(office, **data)
    assert words in re.sub(r"\s+", " ", office.signed_in().get("/alerts").text)
