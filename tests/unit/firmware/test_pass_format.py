"""A pass is what the hub signed, to the last bit, and says nothing that could not be counted or would never end."""

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.passes import (
    EXTENDED,
    GUEST,
    LONGEST,
    PREFIX,
    Keyring,
    Pass,
    from_base45,
    issue,
    short_key_id,
    to_base45,
)
from firmware_config.signing import Refused, encode_public

KEY = Ed25519PrivateKey.generate()
KEYS = Keyring([encode_public(KEY.public_key())])
PASS = Pass(
    v=1,
    id=b"12345678",
    kid=short_key_id(KEY.public_key()),
    holder="p-3f9c2d81",
    scope=["st-test0001"],
    not_before=1_780_000_000,
    not_after=1_780_086_400,
    uses=1,
)


def refusal(text: str) -> str | None:
    try:
        KEYS.open(text)
    except Refused as refused:
        return refused.reason
    return None


def signed(raw: bytes) -> str:
    """Anything, signed as a pass would be."""
    return PREFIX + to_base45(raw + KEY.sign(b"yizhan/pass/1 " + raw))


def test_what_is_issued_is_read_back() -> None:
    assert KEYS.open(issue(PASS, KEY)) == PASS


def test_the_encoding_is_that_of_the_standard() -> None:
    assert to_base45(b"AB") == "BB8"
    assert to_base45(b"Hello!!") == "%69 VD92EX0"
    assert from_base45("QED8WEX0") == b"ietf!"


@given(st.binary(max_size=200))
def test_base_45_comes_back(content: bytes) -> None:
    assert from_base45(to_base45(content)) == content


@pytest.mark.parametrize("text", ["a", "A", "GGW", "::", "AAAA", "é12"])
def test_what_is_not_base_45_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not base 45"):
        from_base45(text)


def test_no_flipped_bit_of_a_pass_is_accepted() -> None:
    content = from_base45(issue(PASS, KEY).removeprefix(PREFIX))
    reasons = set()
    for at in range(len(content)):
        for bit in range(8):
            altered = bytearray(content)
            altered[at] ^= 1 << bit
            reasons.add(refusal(PREFIX + to_base45(bytes(altered))))
    assert reasons == {"pass_altered", "pass_malformed", "pass_unknown_key"}


def test_a_changed_holder_is_altered() -> None:
    content = from_base45(issue(PASS, KEY).removeprefix(PREFIX))
    forged = content.replace(b"p-3f9c2d81", b"p-3f9c2d82")
    assert refusal(PREFIX + to_base45(forged)) == "pass_altered"


def test_a_pass_signed_by_an_unknown_key_is_refused() -> None:
    other = Ed25519PrivateKey.generate()
    text = issue(msgspec.structs.replace(PASS, kid=short_key_id(other.public_key())), other)
    assert refusal(text) == "pass_unknown_key"


@given(st.text(max_size=300))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    assert refusal(text) == "pass_malformed"
    assert refusal(PREFIX + text) in {"pass_malformed", "pass_unknown_key"}


@pytest.mark.parametrize("kid", [{}, 3, "abcd", b"", [1]])
def test_a_key_id_that_is_none_is_malformed(kid: object) -> None:
    raw = msgspec.msgpack.encode([1, b"12345678", kid])
    assert refusal(signed(raw)) in {"pass_malformed", "pass_unknown_key"}


def test_too_long_a_text_is_not_even_decoded() -> None:
    assert refusal(PREFIX + "0" * LONGEST) == "pass_malformed"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"v": 2}, id="another version"),
        pytest.param({"holder": "Anna Müller"}, id="a name"),
        pytest.param({"scope": []}, id="no station"),
        pytest.param({"scope": ["st-test0001", "everywhere"]}, id="unknown scope"),
        pytest.param({"uses": 101}, id="too many uses"),
        pytest.param({"flags": 4}, id="unknown flag"),
    ],
)
def test_a_body_out_of_bounds_is_neither_issued_nor_accepted(fields: dict[str, Any]) -> None:
    body = msgspec.structs.replace(PASS, **{"uses": 0, **fields})
    with pytest.raises(ValueError, match=r"\w"):
        issue(body, KEY)
    assert refusal(signed(msgspec.msgpack.encode(body))) == "pass_malformed"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"not_before": 5, "not_after": 5}, id="over before it begins"),
        pytest.param({"uses": 0, "not_after": 0}, id="for ever"),
        pytest.param({"scope": ["st-test0001", "st-test0002"]}, id="counted at two stations"),
        pytest.param({"scope": ["*"]}, id="counted everywhere"),
        pytest.param({"scope": ["r-east"]}, id="counted in a region"),
    ],
)
def test_a_pass_that_cannot_be_counted_or_never_ends_does_not_exist(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="pass"):
        msgspec.structs.replace(PASS, **fields)
    values = {field: getattr(PASS, field) for field in PASS.__struct_fields__} | fields
    assert refusal(signed(msgspec.msgpack.encode(list(values.values())))) == "pass_malformed"


def test_more_fields_than_there_are_is_malformed() -> None:
    values = [getattr(PASS, field) for field in PASS.__struct_fields__]
    assert refusal(signed(msgspec.msgpack.encode([*values, "more"]))) == "pass_malformed"


def test_a_pass_names_the_key_it_is_signed_with() -> None:
    with pytest.raises(ValueError, match="another key"):
        issue(PASS, Ed25519PrivateKey.generate())


def test_a_pass_too_long_for_its_code_is_not_issued() -> None:
    scope = [f"st-{n}" + "z" * 31 for n in range(8)]
    with pytest.raises(ValueError, match="too long"):
        issue(msgspec.structs.replace(PASS, uses=0, scope=scope), KEY)


def test_flags_and_window_are_read_as_words() -> None:
    guest = msgspec.structs.replace(PASS, flags=GUEST | EXTENDED, not_before=0, not_after=0)
    assert (guest.guest, guest.extended, guest.windowed) == (True, True, False)
    assert (PASS.guest, PASS.extended, PASS.windowed) == (False, False, True)
    assert PASS.number == b"12345678".hex()
