"""Choosing a PIN: only who has proven who they are, for a while, and without a word about the silent one."""

import sqlite3

import pytest

from firmware_config.roster import RosterPerson
from station_agent.core import pins
from station_agent.core.pins import PinFault
from station_agent.kiosk.pin_choice import CHOOSE_S, PinChoice
from tests.support.hand_clock import HandClock
from tests.support.rosters import roster

ANNA = RosterPerson(id="anna", number="1042", groups=["always"])


class Station:
    """Sessions and PINs, played."""

    def __init__(self) -> None:
        self.people = {"session-1": "anna", "session-2": "berta"}
        self.kept: list[tuple[str, str, str | None, str | None]] = []
        self.cancelled: list[str] = []
        self.full = False

    def proven(self, session: str) -> str | None:
        return self.people.get(session)

    def cancel(self, session: str) -> bool:
        self.cancelled.append(session)
        return True

    def set_pin(
        self, person: str, pin: str, *, number: str | None, duress: str | None = None
    ) -> PinFault | None:
        if self.full:
            raise sqlite3.OperationalError("disk full")
        fault = pins.fault(pin, number=number, duress=duress)
        if fault is None:
            self.kept.append((person, pin, number, duress))
        return fault


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def station() -> Station:
    return Station()


@pytest.fixture
def chosen() -> list[str]:
    return []


@pytest.fixture
def choice(station: Station, clock: HandClock, chosen: list[str]) -> PinChoice:
    return PinChoice(
        sessions=station, pins=station, roster=lambda: roster(ANNA), clock=clock, chosen=chosen.append
    )


def test_who_has_proven_who_they_are_chooses_a_pin(
    choice: PinChoice, station: Station, chosen: list[str]
) -> None:
    assert choice.begin("session-1")
    assert station.cancelled == ["session-1"]
    assert choice.number("session-1") == "1042"
    assert choice.choose("session-1", "580273", duress="917264") is None
    assert station.kept == [("anna", "580273", "1042", "917264")]
    assert chosen == ["anna"]


def test_a_session_that_proves_nothing_sets_nothing(choice: PinChoice, station: Station) -> None:
    assert not choice.begin("session-9")
    assert not choice.begin("")
    assert choice.choose("session-9", "580273", duress=None) == "too_slow"
    assert choice.choose("", "580273", duress=None) == "too_slow"
    assert station.kept == []


def test_a_pin_that_cannot_be_chosen_says_why_and_may_be_mended(choice: PinChoice) -> None:
    choice.begin("session-1")
    assert choice.choose("session-1", "123456", duress=None) == "pin_too_simple"
    assert choice.choose("session-1", "104258", duress=None) == "pin_like_number"
    assert choice.choose("session-1", "580273", duress="580274") == "pin_duress_too_close"
    assert choice.choose("session-1", "580273", duress=None) is None


def test_one_proof_sets_one_pin_in_time(choice: PinChoice, clock: HandClock, station: Station) -> None:
    choice.begin("session-1")
    assert choice.choose("session-1", "580273", duress=None) is None
    assert choice.choose("session-1", "604182", duress=None) == "too_slow"
    choice.begin("session-1")
    clock.advance(CHOOSE_S)
    assert choice.choose("session-1", "604182", duress=None) == "too_slow"
    assert len(station.kept) == 1


def test_the_next_person_ends_the_choice_of_the_one_before(choice: PinChoice) -> None:
    choice.begin("session-1")
    choice.begin("session-2")
    assert choice.choose("session-1", "580273", duress=None) == "too_slow"
    assert choice.number("session-2") is None


def test_who_goes_away_sets_nothing_any_more(choice: PinChoice) -> None:
    choice.begin("session-1")
    choice.leave("session-9")
    assert choice.number("session-1") == "1042"
    choice.leave("session-1")
    assert choice.choose("session-1", "580273", duress=None) == "too_slow"


def test_a_full_disk_is_told(choice: PinChoice, station: Station, chosen: list[str]) -> None:
    choice.begin("session-1")
    station.full = True
    assert choice.choose("session-1", "580273", duress=None) == "storage_full"
    assert chosen == []
