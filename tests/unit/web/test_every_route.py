"""Rules that hold for every route there is: read from the map of addresses, so a new one cannot be forgotten."""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select
from werkzeug.routing import Rule

from cloud_hub.access.roles import declared
from cloud_hub.db import Base
from cloud_hub.headers import HEADERS
from cloud_hub.models.access import Role
from tests.support.district import NORTH, district
from tests.support.web import Office, models

PUBLIC = {
    "static",
    "api.openapi",
    "health.exposition",
    "health.healthz",
    "health.readyz",
    "session.choose_language",
    "session.sign_in",
    "session.sign_in_now",
}
ROLES = {
    "api.acknowledge": Role.OPERATOR,
    "api.approve": Role.OPERATOR,
    "api.change_person": Role.ADMINISTRATOR,
    "api.create_enrolment_code": Role.OPERATOR,
    "api.create_group": Role.ADMINISTRATOR,
    "api.create_pass": Role.OPERATOR,
    "api.create_person": Role.ADMINISTRATOR,
    "api.decline": Role.OPERATOR,
    "api.end_hold_open": Role.OPERATOR,
    "api.end_lock_down": Role.OPERATOR,
    "api.erase_person": Role.ADMINISTRATOR,
    "api.get_person": Role.OPERATOR,
    "api.hold_open": Role.OPERATOR,
    "api.list_consents": Role.OPERATOR,
    "api.list_passes": Role.OPERATOR,
    "api.list_people": Role.OPERATOR,
    "api.lock_down": Role.OPERATOR,
    "api.replace_calendar": Role.ADMINISTRATOR,
    "api.replace_group": Role.ADMINISTRATOR,
    "api.revoke_pass": Role.OPERATOR,
    "api.unlock": Role.OPERATOR,
    "api.withdraw_consent": Role.ADMINISTRATOR,
    "console.acknowledge": Role.OPERATOR,
    "console.approve_proposal": Role.OPERATOR,
    "console.add_day": Role.ADMINISTRATOR,
    "console.change_person": Role.ADMINISTRATOR,
    "console.create_enrolment_code": Role.OPERATOR,
    "console.create_group": Role.ADMINISTRATOR,
    "console.create_pass": Role.OPERATOR,
    "console.create_person": Role.ADMINISTRATOR,
    "console.decline_proposal": Role.OPERATOR,
    "console.erase_person": Role.ADMINISTRATOR,
    "console.group": Role.ADMINISTRATOR,
    "console.mode_form": Role.OPERATOR,
    "console.new_group": Role.ADMINISTRATOR,
    "console.new_pass": Role.OPERATOR,
    "console.new_person": Role.ADMINISTRATOR,
    "console.order_mode": Role.OPERATOR,
    "console.passes": Role.OPERATOR,
    "console.people": Role.OPERATOR,
    "console.person": Role.OPERATOR,
    "console.remove_day": Role.ADMINISTRATOR,
    "console.replace_group": Role.ADMINISTRATOR,
    "console.revoke_pass": Role.OPERATOR,
    "console.unlock": Role.OPERATOR,
    "console.unlock_form": Role.OPERATOR,
    "console.withdraw_consent": Role.ADMINISTRATOR,
}
"""Every other route is for viewers."""

VALUES = {
    "station_id": NORTH,
    "door_id": "main",
    "alert_id": "1",
    "command_id": "1" * 32,
    "proposal_id": "2" * 32,
    "verb": "lock_down",
    "name": "doors",
    "person_id": "p-000000000001",
    "group_id": "workers",
    "pass_id": "0" * 16,
    "day": "2026-10-01",
    "filename": "console.css",
}


def path_of(rule: Rule) -> str:
    path = rule.rule
    for name in rule.arguments:
        for form in (f"<{name}>", f"<int:{name}>", f"<path:{name}>"):
            path = path.replace(form, VALUES[name])
    assert "<" not in path, path
    return path


def calls(office: Office) -> Iterator[tuple[str, str, str]]:
    """Endpoint, method and path of everything that can be called."""
    for rule in office.app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, path_of(rule)


def test_every_route_declares_who_may_call_it(office: Office) -> None:
    found = {endpoint: declared(view) for endpoint, view in office.app.view_functions.items()}
    assert {endpoint for endpoint, access in found.items() if access is None} == set()
    assert {endpoint for endpoint, access in found.items() if access and access.role is None} == PUBLIC
    asked = {
        endpoint: access.role for endpoint, access in found.items() if access and access.role is not None
    }
    assert asked == {endpoint: ROLES.get(endpoint, Role.VIEWER) for endpoint in asked}


def test_a_route_that_declares_nothing_is_closed_to_everybody(office: Office) -> None:
    office.app.view_functions["console.overview"] = lambda: "secret"
    browser = office.signed_in("chief", Role.ADMINISTRATOR)
    refused = browser.get("/")
    assert refused.status_code == 403
    assert "secret" not in refused.text


def test_nobody_gets_anything_without_signing_in(office: Office) -> None:
    office.add(*district(office.clock()))
    browser = office.browser()
    token = browser.csrf()
    answers = {
        (endpoint, method): browser.client.open(path, method=method, data={"csrf_token": token}).status_code
        for endpoint, method, path in calls(office)
        if endpoint not in PUBLIC
    }
    assert {key for key, status in answers.items() if status not in {401, 303}} == set()
    assert len(answers) >= 20


@pytest.mark.parametrize("role", Role)
def test_every_role_gets_exactly_what_it_may(office: Office, role: Role) -> None:
    office.add(*district(office.clock()))
    browser, token = office.signed_in(f"the-{role.value}", role), office.token(role)
    csrf = browser.csrf("/")
    rank = list(Role).index
    wrong = []
    for endpoint, method, path in calls(office):
        if endpoint in PUBLIC or endpoint in {"live.stream", "session.sign_out"}:
            continue
        if endpoint.startswith("api."):
            answer = office.app.test_client().open(
                path, method=method, headers=token, json={} if method == "POST" else None
            )
        else:
            answer = browser.client.open(
                path, method=method, data={"csrf_token": csrf} if method == "POST" else None
            )
        allowed = rank(role) >= rank(ROLES.get(endpoint, Role.VIEWER))
        if (answer.status_code != 403) != allowed or answer.status_code >= 500:
            wrong.append((endpoint, method, answer.status_code))
    assert wrong == []


def test_a_cookie_opens_no_api_and_a_token_opens_no_page(office: Office) -> None:
    browser, token = office.signed_in("chief", Role.ADMINISTRATOR), office.token(Role.ADMINISTRATOR)
    assert browser.get("/api/v1/stations").status_code == 401
    assert office.app.test_client().get("/", headers=token).status_code == 303


def test_every_post_of_the_console_without_a_form_token_is_refused(office: Office) -> None:
    office.add(*district(office.clock()))
    browser = office.signed_in("chief", Role.ADMINISTRATOR)
    posts = [
        path
        for endpoint, method, path in calls(office)
        if method == "POST" and not endpoint.startswith("api.")
    ]
    assert len(posts) == 19
    assert {path: browser.client.post(path).status_code for path in posts} == dict.fromkeys(posts, 400)


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}])  # fmt: skip
def test_a_post_that_another_site_started_is_refused_even_with_a_form_token(
    office: Office, headers: dict[str, str]
) -> None:
    browser = office.signed_in()
    token = browser.csrf("/")
    for endpoint, method, path in calls(office):
        if method == "POST":
            answer = browser.client.post(path, data={"csrf_token": token}, headers=headers)
            assert answer.status_code == 403, endpoint


def test_no_get_changes_anything_but_the_audit_log_where_people_are_shown(office: Office) -> None:
    office.add(*district(office.clock()), models.Person(id=VALUES["person_id"], created_at=office.clock()))
    browser = office.signed_in("chief", Role.ADMINISTRATOR)
    audited = set()
    for endpoint, method, path in calls(office):
        if method == "GET" and endpoint != "live.stream":
            before = _rows(office)
            browser.get(path)
            changed = {name for name, count in _rows(office).items() if count != before[name]}
            assert changed <= {"audit_entry"}
            audited |= {endpoint} if changed else set()
    assert audited == {"console.people", "console.person", "console.passes"}


def _rows(office: Office) -> dict[str, int]:
    with office.sessions() as session:
        return {
            name: session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
        }


def test_every_answer_carries_the_headers(office: Office) -> None:
    browser = office.signed_in()
    paths = [
        path for endpoint, method, path in calls(office) if method == "GET" and endpoint != "live.stream"
    ]
    for path in [*paths, "/nope", "/api/v1/nope"]:
        answer = browser.get(path)
        missing = {name for name, value in HEADERS.items() if answer.headers.get(name) != value}
        assert not missing, path
        assert "Strict-Transport-Security" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store" or path.startswith("/static/")


def test_no_page_holds_a_script_a_style_or_an_address_of_another_host(office: Office) -> None:
    office.add(*district(office.clock()))
    browser = office.signed_in()
    for endpoint, method, path in calls(office):
        if method == "GET" and endpoint.startswith(("console.", "session.")):
            page = browser.get(path).text
            for forbidden in ("<style", " style=", "<script>", " onclick=", " onload=", "https://", "//cdn"):
                assert forbidden not in page, (path, forbidden)
