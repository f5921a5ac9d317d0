"""Sealed templates: only the receiver opens them, only the sender makes them, and nothing of them can be changed."""

import base64
import os
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_config.replica import (
    MAX_SEALED_BYTES,
    MAX_TEMPLATE_BYTES,
    MAX_TEMPLATES,
    Content,
    Header,
    Replica,
    Sealed,
    parse,
    public_half,
    raw_key,
    seal,
    unseal,
)
from firmware_config.signing import Refused, Signer, Verifier, encode_public, new_private_key
from firmware_config.units import MAX_PAYLOAD_BYTES
from firmware_config.wire import decode

EXAMPLES = int(os.environ.get("YIZHAN_FUZZ", "60"))
NORTH, SOUTH, WEST = (X25519PrivateKey.generate() for _ in range(3))
CONTENT = Content(templates=[bytes(512), b"\x01" * 512], face=3, replication=2, enrolled_ms=1_000)


def header(**changes: Any) -> Header:
    fields: dict[str, Any] = {
        "sender": "st-north001",
        "receiver": "st-south001",
        "person": "anna",
        "engine": "opencv",
        "digest": "a" * 64,
        "replication": 2,
        "sealed_ms": 2_000,
        "sender_key": raw_key(public_half(NORTH)),
        "receiver_key": raw_key(public_half(SOUTH)),
    }
    return Header(**{**fields, **changes})


TEXT = seal(header(), CONTENT, private=NORTH)


def refusal(text: str, private: X25519PrivateKey = SOUTH, sender: X25519PrivateKey = NORTH) -> str | None:
    try:
        unseal(parse(text), private=private, sender_key=public_half(sender))
    except Refused as refused:
        return refused.reason
    return None


def packed(sealed: Sealed) -> str:
    return base64.b64encode(msgspec.msgpack.encode(sealed)).decode()


def test_the_receiver_reads_what_the_sender_sealed() -> None:
    sealed = parse(TEXT)
    assert sealed.header == header()
    assert unseal(sealed, private=SOUTH, sender_key=public_half(NORTH)) == CONTENT
    assert CONTENT.templates[1] not in base64.b64decode(TEXT)


def test_no_other_key_opens_it_not_even_the_sender_s_own() -> None:
    assert refusal(TEXT, private=WEST) == "unopened"
    assert refusal(TEXT, private=NORTH) == "unopened"


def test_a_replica_made_up_without_the_sender_s_key_does_not_open() -> None:
    forged = seal(header(), CONTENT, private=WEST)
    assert refusal(forged) == "unopened"
    assert refusal(forged, sender=WEST) == "unopened"  # the header still names the true sender's key


@pytest.mark.parametrize(
    "change",
    [
        {"person": "berta"},
        {"sender": "st-west0001"},
        {"receiver": "st-west0001"},
        {"engine": "face-recognition"},
        {"digest": "b" * 64},
        {"replication": 3},
        {"sealed_ms": 2_001},
        {"sender_key": raw_key(public_half(WEST))},
        {"receiver_key": raw_key(public_half(WEST))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_nothing_that_travels_in_the_clear_can_be_changed(change: dict[str, Any]) -> None:
    sealed = parse(TEXT)
    altered = msgspec.structs.replace(sealed, header=header(**change))
    assert refusal(packed(altered)) == "unopened"


def test_no_flipped_bit_opens() -> None:
    raw = base64.b64decode(TEXT)
    for place in range(0, len(raw), 7):
        altered = bytearray(raw)
        altered[place] ^= 0x10
        assert refusal(base64.b64encode(altered).decode()) in {"malformed", "unopened"}, place


def test_a_key_that_makes_every_secret_zero_is_refused() -> None:
    sealed = msgspec.structs.replace(parse(TEXT), ephemeral=bytes(32))
    assert refusal(packed(sealed)) == "unopened"


def test_two_sealings_of_the_same_share_nothing() -> None:
    again = parse(seal(header(), CONTENT, private=NORTH))
    assert again.ephemeral != parse(TEXT).ephemeral
    assert again.content != parse(TEXT).content


def test_the_largest_replica_fits_one_signed_message(tmp_path: Any) -> None:
    content = Content(
        templates=[os.urandom(MAX_TEMPLATE_BYTES)] * MAX_TEMPLATES,
        face=2**53, replication=2**53, enrolled_ms=2**53,
    )  # fmt: skip
    largest = header(
        sender="st-" + "a" * 32, receiver="st-" + "b" * 32, person="p" * 64, engine="e" * 40,
        replication=2**53, sealed_ms=2**53,
    )  # fmt: skip
    text = seal(largest, content, private=NORTH)
    signer = Signer(new_private_key(tmp_path / "key.pem"))
    body = Replica(station=largest.sender, id="0" * 32, install_id="1" * 32, to=largest.receiver,
                   person=largest.person, sealed=text)  # fmt: skip
    payload = signer.seal("replica", body)
    assert len(payload) < MAX_PAYLOAD_BYTES
    assert len(base64.b64decode(text)) < MAX_SEALED_BYTES
    opened = Verifier.of(encode_public(signer.public)).open(payload, kind="replica")
    assert unseal(
        parse(decode(opened, Replica).sealed), private=SOUTH, sender_key=public_half(NORTH)
    ) == content  # fmt: skip


@pytest.mark.parametrize("templates", [[b"12345"], [bytes(8), bytes(12)]])
def test_what_is_no_block_of_floats_is_refused_inside_too(templates: list[bytes]) -> None:
    with pytest.raises(ValueError, match="float32"):
        Content(templates=templates, face=1, replication=1, enrolled_ms=1)


def test_content_is_refused_where_it_opens_and_holds_no_templates() -> None:
    class Odd(msgspec.Struct):
        templates: list[bytes]

    odd: Any = Odd(templates=[])
    assert refusal(seal(header(), odd, private=NORTH)) == "malformed"


def test_more_than_the_largest_is_refused_unread() -> None:
    with pytest.raises(Refused, match="too_large"):
        parse("A" * (MAX_SEALED_BYTES * 2))


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_reason(noise: bytes) -> None:
    assert refusal(base64.b64encode(noise).decode()) in {"malformed", "unopened"}


@settings(max_examples=EXAMPLES)
@given(st.text(max_size=80))
def test_any_text_is_refused_with_a_reason(noise: str) -> None:
    assert refusal(noise) == "malformed"


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=EXAMPLES)
@given(st.sampled_from(["v", "header", "ephemeral", "content"]), _PLAIN)
def test_any_field_of_another_shape_is_refused_with_a_reason(field: str, value: object) -> None:
    whole = msgspec.msgpack.decode(base64.b64decode(TEXT))
    if whole[field] == value:
        return
    whole[field] = value
    assert refusal(base64.b64encode(msgspec.msgpack.encode(whole)).decode()) in {"malformed", "unopened"}


@pytest.mark.parametrize(
    "key", ["", "AAAA", public_half(NORTH)[:-2] + "==", "é" * 44], ids=["none", "short", "cut", "no ASCII"]
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (any of base64's)
        raw_key(key)
