"""Signing in, staying signed in, and guessing (safety.md W1, W3, W6)."""

import re

import pytest
from sqlalchemy import select

from cloud_hub.access import accounts, passwords, throttle
from cloud_hub.errors import Conflict, Invalid
from cloud_hub.models import AuditEntry, LoginAttempt, LoginSession, User
from cloud_hub.models.access import Role
from tests.support.web import PASSWORD, Browser, Office, open_office


def guess(browser: Browser, password: str, *, username: str = "lin", address: str = "203.0.113.7") -> int:
    """One attempt from an address; returns the status."""
    token = browser.csrf()
    answer = browser.client.post(
        "/sign-in",
        data={"csrf_token": token, "username": username, "password": password},
        headers={"X-Forwarded-For": address},
    )
    return answer.status_code


def actions(office: Office) -> list[tuple[str, str, str]]:
    with office.sessions() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(entry.actor, entry.action, entry.target) for entry in entries]


def test_the_right_password_opens_the_page_that_was_asked_for(office: Office) -> None:
    office.person()
    browser = office.browser()
    asked = browser.get("/alerts?view=closed")
    assert (asked.status_code, asked.location) == (303, "/sign-in?next=/alerts?view%3Dclosed")
    assert browser.sign_in(next="/alerts?view=closed").location == "/alerts?view=closed"
    assert browser.get("/alerts").status_code == 200


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/\tevil", "x"],
)
def test_after_signing_in_nobody_is_sent_to_another_site(office: Office, elsewhere: str) -> None:
    office.person()
    assert office.browser().sign_in(next=elsewhere).location == "/"


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(office: Office) -> None:
    office.person()
    wrong = office.browser().sign_in(password="not-the-password")
    unknown = office.browser().sign_in(username="nobody")
    assert wrong.status_code == unknown.status_code == 403

    def plain(page: str) -> str:
        return re.sub(r'value="[^"]*"', "", page)

    assert plain(wrong.text) == plain(unknown.text)


def test_a_disabled_account_cannot_sign_in_and_its_session_ends(office: Office) -> None:
    browser = office.signed_in()
    with office.sessions.begin() as session:
        user = session.scalars(select(User)).one()
        user.disabled_at = office.clock()
    assert browser.get("/").status_code == 303
    assert office.browser().sign_in().status_code == 403


def test_a_session_id_planted_before_signing_in_is_never_used(office: Office) -> None:
    office.person()
    browser = office.browser()
    browser.client.set_cookie("yizhan", "planted-by-somebody-else")
    browser.sign_in()
    assert browser.cookie() != "planted-by-somebody-else"
    assert office.browser().get("/", headers={"Cookie": "yizhan=planted-by-somebody-else"}).status_code == 303


def test_signing_in_changes_the_form_token(office: Office) -> None:
    office.person()
    browser = office.browser()
    before = browser.csrf()
    browser.sign_in()
    planted = browser.client.post("/sign-out", data={"csrf_token": before})
    assert planted.status_code == 400


def test_a_cookie_works_no_more_after_signing_out(office: Office) -> None:
    browser = office.signed_in()
    cookie = browser.cookie()
    assert browser.post("/sign-out", form_at="/").location == "/sign-in"
    assert office.browser().get("/", headers={"Cookie": f"yizhan={cookie}"}).status_code == 303


def test_the_database_holds_no_session_id(office: Office) -> None:
    browser = office.signed_in()
    with office.sessions() as session:
        kept = session.scalars(select(LoginSession.id_hash)).one()
    assert kept != browser.cookie()
    assert len(kept) == 64


def test_a_session_ends_after_half_an_hour_of_idleness(office: Office) -> None:
    browser = office.signed_in()
    for _ in range(3):
        office.clock.forward(minutes=29)
        assert browser.get("/").status_code == 200
    office.clock.forward(minutes=30)
    assert browser.get("/").status_code == 303


def test_a_session_ends_after_twelve_hours_however_busy(office: Office) -> None:
    browser = office.signed_in()
    for _ in range(35):
        office.clock.forward(minutes=20)
        assert browser.get("/").status_code == 200
    office.clock.forward(minutes=20)
    assert browser.get("/").status_code == 303


def test_what_a_page_fetches_by_itself_keeps_nobody_signed_in(office: Office) -> None:
    browser = office.signed_in()
    live = {"X-Yizhan-Live": "1"}
    office.clock.forward(minutes=20)
    assert browser.get("/", headers=live).status_code == 200
    office.clock.forward(minutes=11)
    refused = browser.get("/", headers=live)
    assert (refused.status_code, refused.mimetype) == (401, "application/problem+json")


def test_cookies_are_closed_to_scripts_and_other_sites(office: Office) -> None:
    office.person()
    cookies = office.browser().sign_in().headers.getlist("Set-Cookie")
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies)


def test_over_https_the_cookies_are_bound_to_the_host(tmp_path: object) -> None:
    with open_office(tmp_path, secure_cookies=True) as office:  # type: ignore[arg-type]
        office.person()
        client = office.app.test_client()
        secure = {"base_url": "https://hub.example", "headers": {"Referer": "https://hub.example/sign-in"}}
        page = client.get("/sign-in", **secure)
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert token is not None
        fields = {"csrf_token": token[1], "username": "lin", "password": PASSWORD}
        cookies = client.post("/sign-in", data=fields, **secure).headers.getlist("Set-Cookie")
    names = {cookie.partition("=")[0] for cookie in cookies}
    assert names >= {"__Host-yizhan"}
    assert all("Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie for cookie in cookies)


def test_after_five_wrong_passwords_an_address_must_pause_even_with_the_right_one(office: Office) -> None:
    office.person()
    browser = office.browser()
    assert [guess(browser, f"wrong-{n}") for n in range(5)] == [403] * 5
    refused = browser.client.post(
        "/sign-in",
        data={"csrf_token": browser.csrf(), "username": "lin", "password": PASSWORD},
        headers={"X-Forwarded-For": "203.0.113.7"},
    )
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    office.clock.forward(seconds=2)
    assert guess(browser, PASSWORD) == 303


def test_a_thousand_guesses_get_nobody_in_and_lock_nobody_out(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.person()
    looked_at: list[str] = []

    def verify(_stored: str | None, password: str) -> bool:
        looked_at.append(password)
        return password == PASSWORD

    monkeypatch.setattr(passwords, "verify", verify)
    browser = office.browser()
    token = browser.csrf()
    answers = []
    for number in range(1_000):
        address = f"198.51.100.{number % 200}"
        fields = {"csrf_token": token, "username": "lin", "password": f"guess-{number}"}
        answers.append(
            browser.client.post("/sign-in", data=fields, headers={"X-Forwarded-For": address}).status_code
        )
        office.clock.forward(milliseconds=500)
    assert set(answers) == {403, 429}
    assert len(looked_at) <= throttle.ATTACK_TRIES
    assert guess(office.browser(), PASSWORD, address="192.0.2.1") == 429, (
        "a stranger's address, during the attack"
    )


def test_during_an_attack_the_user_comes_in_from_where_they_were_before(office: Office) -> None:
    office.person()
    assert guess(office.browser(), PASSWORD, address="192.0.2.1") == 303
    with office.sessions.begin() as session:
        subject = throttle.Subjects.of("lin", "x").account
        session.add_all(
            LoginAttempt(subject=subject, at=office.clock()) for _ in range(throttle.ATTACK_TRIES)
        )
    assert guess(office.browser(), PASSWORD, address="192.0.2.99") == 429
    assert guess(office.browser(), PASSWORD, address="192.0.2.1") == 303


def test_an_address_that_tries_many_accounts_must_pause(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "verify", lambda _stored, _password: False)
    browser = office.browser()
    answers = [
        guess(browser, "wrong", username=f"user{number}") for number in range(throttle.ADDRESS_TRIES + 1)
    ]
    assert answers == [403] * throttle.ADDRESS_TRIES + [429]


def test_a_forwarded_address_is_believed_only_from_a_proxy_on_this_machine(office: Office) -> None:
    office.person()
    browser = office.browser()
    token = browser.csrf()
    browser.client.post(
        "/sign-in",
        data={"csrf_token": token, "username": "lin", "password": PASSWORD},
        headers={"X-Forwarded-For": "203.0.113.7"},
        environ_base={"REMOTE_ADDR": "198.51.100.4"},
    )
    with office.sessions() as session:
        assert session.scalars(select(LoginSession.address)).one() == "198.51.100.4"


def test_the_audit_log_tells_who_came_and_who_was_refused_and_never_a_mistyped_name(office: Office) -> None:
    with office.sessions.begin() as session:
        accounts.create_user(
            session, username="lin", role=Role.OPERATOR, now=office.clock(), password=PASSWORD
        )
    browser = office.browser()
    browser.sign_in(password="wrong-password")
    browser.sign_in(username=PASSWORD)
    browser.sign_in()
    browser.post("/sign-out", form_at="/")
    assert actions(office) == [
        ("hub", "user:create:done", "user:lin"),
        ("hub", "session:start:refused", "user:lin"),
        ("hub", "session:start:refused", "user:?"),
        ("user:lin", "session:start:done", "user:lin"),
        ("user:lin", "session:end:done", "user:lin"),
    ]


def test_no_name_that_was_typed_is_kept_with_the_attempts(office: Office) -> None:
    office.browser().sign_in(username=PASSWORD)
    with office.sessions() as session:
        assert not any(PASSWORD in subject for subject in session.scalars(select(LoginAttempt.subject)))


def test_passwords_are_hashed_with_the_memory_that_the_rule_asks_for(office: Office) -> None:
    office.person()
    with office.sessions() as session:
        kept = session.scalars(select(User.password_hash)).one()
    found = re.match(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$", kept)
    assert found is not None
    assert int(found[1]) >= 46 * 1024


def test_an_unknown_account_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[str] = []
    real = passwords._hasher

    class Counting:
        def verify(self, stored: str, password: str) -> bool:
            worked.append(stored[:9])
            return real.verify(stored, password)

    known = passwords.hash_password(PASSWORD)
    passwords._nobody()
    monkeypatch.setattr(passwords, "_hasher", Counting())
    assert passwords.verify(known, PASSWORD)
    assert not passwords.verify(None, PASSWORD)
    assert worked == ["$argon2id", "$argon2id"]


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("short", "shorter"),
        ("x" * 129, "longer"),
        ("aaaaaaaaaaaaaa", "different"),
        ("operator-lin1", None),
        ("linlinlinlinlin", "user name|different"),
    ],
)
def test_password_rules(password: str, problem: str | None) -> None:
    if problem is None:
        passwords.check_rules(password, username="zhang")
        return
    with pytest.raises(Invalid, match=problem):
        passwords.check_rules(password, username="lin")


def test_a_generated_password_keeps_the_rules_and_never_repeats() -> None:
    made = {passwords.generate() for _ in range(100)}
    assert len(made) == 100
    for password in made:
        passwords.check_rules(password, username="lin")


@pytest.mark.parametrize("name", ["", "a", "Lin", "lin zhang", "lin\n", "x" * 65, "../lin"])
def test_a_malformed_user_name_is_refused(office: Office, name: str) -> None:
    with office.sessions.begin() as session, pytest.raises(Invalid):
        accounts.create_user(session, username=name, role=Role.VIEWER, now=office.clock(), password=PASSWORD)


def test_a_name_is_given_once(office: Office) -> None:
    office.person()
    with office.sessions.begin() as session, pytest.raises(Conflict):
        accounts.create_user(session, username="lin", role=Role.VIEWER, now=office.clock(), password=PASSWORD)
