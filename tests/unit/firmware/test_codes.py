"""Enrolment codes survive being told and typed, and a station knows them only as a hash."""

import pytest

from firmware_config.codes import ALPHABET, entry, find, new_code, normalise

CODE = "7K3M-9QXP-2FWT"


def test_a_fresh_code_is_three_groups_of_four() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    for code in codes:
        assert [len(group) for group in code.split("-")] == [4, 4, 4]
        assert set(code.replace("-", "")) <= set(ALPHABET)


@pytest.mark.parametrize("typed", [CODE, "7k3m9qxp2fwt", " 7K3M 9QXP 2FWT\t"])
def test_a_code_is_found_however_it_is_typed(typed: str) -> None:
    kept = entry(CODE, person="anna", expires_ms=1)
    assert find([kept], typed) == kept


def test_look_alikes_are_mended() -> None:
    assert normalise("oOiI-lL11-0000") == "001111110000"


@pytest.mark.parametrize("typed", ["", "7K3M-9QXP", CODE + "0", "7K3M-9QXP-2FW!", "7K3M-9QXP-2FWÄ", "U" * 12])
def test_what_cannot_be_a_code_is_not_looked_for(typed: str) -> None:
    assert normalise(typed) is None
    assert find([entry(CODE, person="anna", expires_ms=1)], typed) is None


def test_another_secret_behind_a_known_tag_is_not_found() -> None:
    assert find([entry(CODE, person="anna", expires_ms=1)], "7K3M-9QXP-2FWV") is None


def test_an_unknown_tag_is_not_found() -> None:
    assert find([], CODE) is None


def test_an_entry_tells_nothing_but_the_tag() -> None:
    one, other = (entry(CODE, person="anna", expires_ms=1) for _ in range(2))
    assert one.tag == "7K3M"
    assert (one.salt, one.digest) != (other.salt, other.digest)
    assert "9QXP" not in repr(one)


def test_only_a_code_makes_an_entry() -> None:
    with pytest.raises(ValueError, match="not an enrolment code"):
        entry("hello", person="anna", expires_ms=1)
