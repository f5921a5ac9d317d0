"""What is a PIN, and what an entry means."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from station_agent.core.pins import LENGTH, PinFault, PinRecord, PinVerdict, derive, fault, judge

PIN = "580273"
DURESS = "580219"
PEPPER = bytes(32)
SALT = b"s" * 16
SIX_DIGITS = st.text(alphabet="0123456789", min_size=LENGTH, max_size=LENGTH)


def digest(
    pin: str,
    *,
    person: str = "anna",
    station: str = "st-test0001",
    salt: bytes = SALT,
    pepper: bytes = PEPPER,
) -> bytes:
    return derive(pin, person=person, station=station, salt=salt, pepper=pepper)


@pytest.fixture(scope="module")
def record() -> PinRecord:
    return PinRecord(salt=SALT, digest=digest(PIN), duress=digest(DURESS))


@pytest.mark.parametrize(
    ("pin", "reason"),
    [
        ("580273", None),
        ("58027", PinFault.NOT_SIX_DIGITS),
        ("5802733", PinFault.NOT_SIX_DIGITS),
        ("58027a", PinFault.NOT_SIX_DIGITS),
        ("٥٨٠٢٧٣", PinFault.NOT_SIX_DIGITS),
        ("", PinFault.NOT_SIX_DIGITS),
        ("000000", PinFault.TOO_SIMPLE),
        ("123456", PinFault.TOO_SIMPLE),
        ("987654", PinFault.TOO_SIMPLE),
        ("890123", PinFault.TOO_SIMPLE),
        ("121212", PinFault.TOO_SIMPLE),
        ("473473", PinFault.TOO_SIMPLE),
        ("112211", PinFault.TOO_SIMPLE),
        ("135790", None),
        ("104258", PinFault.LIKE_NUMBER),
        ("581042", PinFault.LIKE_NUMBER),
    ],
)
def test_a_pin_is_six_digits_that_are_not_the_first_guess(pin: str, reason: PinFault | None) -> None:
    assert fault(pin, number="1042") == reason


def test_a_pin_within_a_longer_number_is_like_it() -> None:
    assert fault("104258", number="10425899") is PinFault.LIKE_NUMBER
    assert fault("104258", number=None) is None


@pytest.mark.parametrize(
    ("duress", "reason"),
    [
        (DURESS, None),
        (PIN, PinFault.DURESS_TOO_CLOSE),
        ("580274", PinFault.DURESS_TOO_CLOSE),
        ("111111", PinFault.TOO_SIMPLE),
        ("12", PinFault.NOT_SIX_DIGITS),
    ],
)
def test_a_duress_pin_is_a_pin_that_no_slip_of_the_finger_types(duress: str, reason: PinFault | None) -> None:
    assert fault(PIN, number="1042", duress=duress) == reason


@given(pin=SIX_DIGITS, at=st.integers(0, LENGTH - 1), digit=st.sampled_from("0123456789"))
def test_no_single_wrong_digit_turns_a_pin_into_a_duress_pin(pin: str, at: int, digit: str) -> None:
    assert fault(pin, number=None, duress=pin[:at] + digit + pin[at + 1 :]) is not None


def test_each_pin_means_what_it_was_set_for(record: PinRecord) -> None:
    assert judge(record, digest(PIN)) is PinVerdict.GOOD
    assert judge(record, digest(DURESS)) is PinVerdict.DURESS
    assert judge(record, digest("580274")) is PinVerdict.WRONG


def test_nobody_has_no_good_pin() -> None:
    assert judge(None, digest(PIN)) is PinVerdict.WRONG


def test_a_record_made_in_another_way_is_not_believed(record: PinRecord) -> None:
    old = PinRecord(record.salt, record.digest, record.duress, scheme="plain")
    assert judge(old, digest(PIN)) is PinVerdict.WRONG
    assert judge(old, digest(DURESS)) is PinVerdict.WRONG


def test_a_record_opens_only_for_its_person_at_its_station_with_its_salt_and_key(record: PinRecord) -> None:
    others = [
        digest(PIN, person="bo"),
        digest(PIN, station="st-other001"),
        digest(PIN, salt=b"t" * 16),
        digest(PIN, pepper=bytes([1] * 32)),
    ]
    assert {judge(record, other) for other in others} == {PinVerdict.WRONG}


@settings(max_examples=15, deadline=None)
@given(st.text(max_size=40))
def test_whatever_is_typed_gets_a_verdict(typed: str) -> None:
    record = PinRecord(salt=SALT, digest=os.urandom(32), duress=os.urandom(32))
    assert judge(record, digest(typed)) is PinVerdict.WRONG


def test_what_is_typed_cannot_move_into_the_persons_name() -> None:
    assert digest("23", person="1") != digest("3", person="12")
    assert digest("\udcff" + PIN) != digest(PIN)
