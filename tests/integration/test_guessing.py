"""Parallel guesses on both databases: each is counted before its password is looked at (safety.md W6)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud_hub.access import accounts, passwords, throttle
from cloud_hub.access.accounts import Visitor, WrongPassword
from cloud_hub.errors import TooMany
from tests.support.web import PASSWORD, Office, open_office

HERE = Visitor(address="203.0.113.7", browser="test")


@pytest.fixture
def office(database_url: str, tmp_path: Path) -> Iterator[Office]:
    """A hub on each database."""
    with open_office(tmp_path, database_url=database_url) as opened:
        opened.person()
        yield opened


def attempt(office: Office, password: str) -> str:
    """One attempt at this moment; how it ended."""
    try:
        accounts.sign_in(office.sessions, username="lin", password=password, visitor=HERE, now=office.clock())
    except (WrongPassword, TooMany) as error:
        return error.code
    return "in"


def test_of_forty_guesses_at_once_five_are_looked_at(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []

    def verify(_stored: str | None, password: str) -> bool:
        looked_at.append(password)
        return False

    monkeypatch.setattr(passwords, "verify", verify)
    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda number: attempt(office, f"guess-{number}"), range(40)))
    assert sorted(ends) == ["too_many"] * 35 + ["wrong_password"] * throttle.FREE_TRIES
    assert len(looked_at) == throttle.FREE_TRIES


def test_the_pause_grows_and_the_right_password_ends_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "verify", lambda _stored, password: password == PASSWORD)
    for _ in range(throttle.FREE_TRIES):
        assert attempt(office, "wrong") == "wrong_password"
    waited = []
    for _ in range(7):
        seconds = 0
        while attempt(office, "wrong") == "too_many":
            office.clock.forward(seconds=1)
            seconds += 1
        waited.append(seconds)
    assert waited == [2, 4, 8, 16, 32, 60, 60]
    office.clock.forward(seconds=60)
    assert attempt(office, PASSWORD) == "in"
    assert attempt(office, "wrong") == "wrong_password"
