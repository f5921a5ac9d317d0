"""A roster travels in signed parts, comes out as it went in, and never contradicts itself."""

import base64
import zlib
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.roster import (
    MAX_DOCUMENT_BYTES,
    MAX_PARTS,
    MAX_PEOPLE,
    Group,
    GuestRules,
    Opening,
    PassKey,
    RosterDocument,
    RosterPerson,
    SpecialDay,
    content_digest,
    join,
    seal,
    split,
)
from firmware_config.signing import Refused, Signer, Verifier, encode_public
from firmware_config.units import MAX_PAYLOAD_BYTES
from firmware_config.wire import RosterPart, decode
from tests.support.rosters import ALWAYS, ANNA, NOON, document

SIGNER = Signer(Ed25519PrivateKey.generate())


def crowd(count: int) -> list[RosterPerson]:
    """People whose ids do not compress well."""
    return [
        msgspec.structs.replace(ANNA, id=f"p-{content_digest(str(n).encode())[:24]}", number=f"{n + 1000}")
        for n in range(count)
    ]


def refusal(parts: list[RosterPart]) -> str:
    with pytest.raises(Refused) as refused:
        join(parts)
    return refused.value.reason


def packed(raw: bytes, *, version: int = 1) -> list[RosterPart]:
    """One part around any content."""
    return [
        RosterPart(
            station="st-test0001",
            version=version,
            part=1,
            parts=1,
            digest=content_digest(raw),
            chunk=base64.b64encode(zlib.compress(raw)).decode(),
        )
    ]


def test_a_roster_comes_out_as_it_went_in() -> None:
    sent = document(ANNA)
    assert join(split(sent)) == sent


def test_a_large_roster_travels_in_parts_that_each_fit_a_message() -> None:
    sent = document(*crowd(5000))
    payloads = seal(sent, SIGNER)
    assert 1 < len(payloads) <= MAX_PARTS
    assert max(map(len, payloads)) <= MAX_PAYLOAD_BYTES
    verifier = Verifier.of(encode_public(SIGNER.public))
    parts = [
        decode(verifier.open(payload, kind="roster"), RosterPart, station="st-test0001")
        for payload in payloads
    ]
    assert join(parts) == sent


def test_the_largest_roster_fits() -> None:
    assert len(split(document(*crowd(MAX_PEOPLE)))) <= MAX_PARTS


def test_missing_doubled_or_disordered_parts_are_incomplete() -> None:
    parts = split(document(*crowd(5000)))
    for wrong in (parts[:-1], parts[1:], parts[::-1], [*parts, parts[-1]]):
        assert refusal(wrong) == "incomplete"


def test_parts_of_two_rosters_do_not_mix() -> None:
    one, other = split(document(*crowd(5000))), split(document(*crowd(5001)))
    assert len(one) == len(other)
    assert refusal([one[0], *other[1:]]) in {"bad_digest", "malformed"}


def test_a_document_of_another_version_or_station_than_its_parts_is_refused() -> None:
    raw = msgspec.json.encode(document(ANNA))
    assert refusal(packed(raw, version=2)) == "wrong_station"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"{}", "malformed", id="no roster"),
        pytest.param(b"[" * 100_000, "malformed", id="too deep"),
        pytest.param(b" " * (MAX_DOCUMENT_BYTES + 1), "too_large", id="a bomb"),
        pytest.param(b"\xff", "malformed", id="not UTF-8"),
    ],
)
def test_content_that_is_no_roster_is_refused(raw: bytes, reason: str) -> None:
    assert refusal(packed(raw)) == reason


@given(st.text(alphabet="ABCDEFGH+/=!", min_size=4, max_size=60))
def test_no_chunk_makes_the_reader_fail_otherwise(chunk: str) -> None:
    (part,) = packed(b"{}")
    assert refusal([msgspec.structs.replace(part, chunk=chunk)]) in {"malformed", "bad_digest"}


def test_content_after_the_compressed_data_is_refused() -> None:
    (part,) = packed(msgspec.json.encode(document(ANNA)))
    longer = base64.b64encode(base64.b64decode(part.chunk) + b"more").decode()
    assert refusal([msgspec.structs.replace(part, chunk=longer)]) == "malformed"


def test_a_digest_that_is_not_the_contents_is_refused() -> None:
    (part,) = split(document(ANNA))
    assert refusal([msgspec.structs.replace(part, digest="0" * 64)]) == "bad_digest"


def test_a_roster_too_large_to_send_is_not_split() -> None:
    padded = msgspec.structs.replace(document(ANNA), region="r-" + "x" * (MAX_DOCUMENT_BYTES + 1))
    with pytest.raises(ValueError, match="too large"):
        split(padded)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        pytest.param({"expires_ms": NOON.wall_ms}, "72 h", id="expires at once"),
        pytest.param({"expires_ms": NOON.wall_ms + 73 * 3_600_000}, "72 h", id="lives too long"),
        pytest.param({"groups": [ALWAYS, ALWAYS]}, "group named twice", id="group twice"),
        pytest.param({"people": [ANNA, ANNA]}, "person named twice", id="person twice"),
        pytest.param(
            {"people": [ANNA, msgspec.structs.replace(ANNA, id="bo")]},
            "number named twice",
            id="number twice",
        ),
        pytest.param({"groups": []}, "unknown groups: always", id="unknown group"),
        pytest.param(
            {"guests": GuestRules(group="visitors", daily_cap=3)}, "unknown groups: visitors", id="guests"
        ),
        pytest.param(
            {"groups": [ALWAYS, msgspec.structs.replace(ALWAYS, id="late", waits_for="nobody")]},
            "waits for nobody",
            id="waits for nobody",
        ),
        pytest.param(
            {"groups": [msgspec.structs.replace(ALWAYS, waits_for="always")]}, "waits", id="waits for itself"
        ),
        pytest.param(
            {"calendar": [SpecialDay(day="2026-10-01", kind="holiday")] * 2}, "special day", id="day twice"
        ),
    ],
)
def test_a_roster_that_contradicts_itself_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        msgspec.structs.replace(document(ANNA), **changes)


def test_what_is_refused_when_made_is_refused_when_read() -> None:
    raw = msgspec.json.encode(document(ANNA)).replace(b'"always"', b'"other"', 1)
    with pytest.raises(msgspec.ValidationError, match="unknown groups"):
        msgspec.json.decode(raw, type=RosterDocument)


@pytest.mark.parametrize(("opens", "closes"), [(60, 60), (600, 540), (60, 60 + 1441)])
def test_an_opening_lasts_from_a_minute_to_a_day(opens: int, closes: int) -> None:
    with pytest.raises(ValueError, match="lasts"):
        Opening(opens, closes)


def test_a_day_no_calendar_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"day|range"):
        SpecialDay(day="2026-02-30", kind="holiday")


def test_a_week_has_seven_days() -> None:
    raw = msgspec.json.encode(Group(id="short", weekly=[[]] * 6))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=Group)


def test_a_roster_names_nobody_and_holds_no_secret() -> None:
    fields = {field.name for field in msgspec.structs.fields(RosterPerson)}
    assert fields == {"id", "number", "groups", "active", "extended", "face", "consent", "replication"}
    assert {field.name for field in msgspec.structs.fields(PassKey)} == {"public"}
