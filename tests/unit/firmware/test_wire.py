"""Envelopes, bodies, topics and the checked-in JSON Schemas."""

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_config import schemas, topics, vocabulary, wire
from firmware_config.signing import (
    Refused,
    Signer,
    Verifier,
    encode_public,
    load_private_key,
    new_private_key,
)
from firmware_config.topics import Topic
from firmware_config.units import MAX_PAYLOAD_BYTES

ROOT = Path(__file__).parents[3]
ID = "0" * 32
GO = wire.Go(
    station="st-test0001",
    cmd_id=ID,
    door="main",
    verb="unlock",
    pulse_ms=5000,
    issued_ms=1,
    boot_id=ID,
    nonce=ID,
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(new_private_key(tmp_path_factory.mktemp("keys") / "key.pem"))


def refusal(verifier: Verifier, payload: bytes, kind: str = "order.go") -> str | None:
    try:
        wire.decode(verifier.open(payload, kind=kind), wire.Go, station="st-test0001")
    except Refused as error:
        return error.reason
    return None


def test_what_one_side_seals_the_other_opens(signer: Signer) -> None:
    verifier = Verifier.of(encode_public(signer.public))
    body = verifier.open(signer.seal("order.go", GO), kind="order.go")
    assert wire.decode(body, wire.Go, station="st-test0001") == GO


def test_no_flipped_bit_of_a_signed_order_is_accepted(signer: Signer) -> None:
    verifier = Verifier.of(encode_public(signer.public))
    sealed = signer.seal("order.go", GO)
    accepted = []
    for at in range(len(sealed)):
        for bit in range(8):
            altered = bytearray(sealed)
            altered[at] ^= 1 << bit
            if refusal(verifier, bytes(altered)) is None:
                accepted.append((at, bit))
    assert accepted == []


@pytest.mark.parametrize("letter", ["é", "\ud800", "=", "\x00", "🚪"])
def test_a_signature_that_is_no_base64_is_refused_like_any_other(signer: Signer, letter: str) -> None:
    envelope = msgspec.json.decode(signer.seal("order.go", GO)) | {"sig": "@"}
    sealed = json.dumps(envelope).replace('"@"', json.dumps(letter * 88)).encode()
    assert refusal(Verifier.of(encode_public(signer.public)), sealed) in {"bad_signature", "malformed"}


def test_a_body_signed_as_one_kind_never_passes_as_another(signer: Signer) -> None:
    verifier = Verifier.of(encode_public(signer.public))
    sealed = signer.seal("order.req", GO)
    assert refusal(verifier, sealed) == "wrong_kind"
    assert refusal(verifier, sealed.replace(b'"order.req"', b'"order.go"')) == "bad_signature"


def test_each_refusal_has_its_reason(signer: Signer, tmp_path: Path) -> None:
    stranger = Signer(new_private_key(tmp_path / "stranger.pem"))
    verifier = Verifier.of(encode_public(signer.public))
    other_station = msgspec.structs.replace(GO, station="st-other001")
    assert refusal(verifier, stranger.seal("order.go", GO)) == "unknown_key"
    assert refusal(verifier, b"{") == "malformed"
    assert refusal(verifier, b"[" * 100_000) == "too_large"
    assert refusal(verifier, b"[" * 60_000) == "malformed"
    assert refusal(verifier, signer.seal("order.go", other_station)) == "wrong_station"


@given(st.binary(max_size=300))
def test_no_payload_makes_a_parser_fail_otherwise(payload: bytes) -> None:
    for kind in (*wire.SIGNED.values(), *wire.PLAIN.values()):
        with pytest.raises(Refused, match="malformed"):
            wire.decode(payload, kind)


@pytest.mark.parametrize(
    ("verb", "pulse_ms", "duration_s", "good"),
    [
        pytest.param("unlock", wire.SHORTEST_PULSE_MS, 0, True, id="shortest pulse"),
        pytest.param("unlock", wire.LONGEST_PULSE_MS, 0, True, id="longest pulse"),
        pytest.param("unlock", wire.LONGEST_PULSE_MS + 1, 0, False, id="longer"),
        pytest.param("unlock", wire.SHORTEST_PULSE_MS - 1, 0, False, id="shorter"),
        pytest.param("unlock", 0, 0, False, id="no pulse"),
        pytest.param("unlock", 5000, 60, False, id="a pulse that lasts"),
        *[pytest.param(verb, 0, 1, True, id=f"{verb} for a second") for verb in sorted(wire.TIMED)],
        *[
            pytest.param(verb, 0, wire.LONGEST_MODE_S, True, id=f"{verb} for a day")
            for verb in sorted(wire.TIMED)
        ],
        *[
            pytest.param(verb, 0, wire.LONGEST_MODE_S + 1, False, id=f"{verb} longer")
            for verb in sorted(wire.TIMED)
        ],
        *[pytest.param(verb, 0, 0, False, id=f"{verb} without an end") for verb in sorted(wire.TIMED)],
        *[pytest.param(verb, 5000, 60, False, id=f"{verb} with a pulse") for verb in sorted(wire.TIMED)],
        *[pytest.param(f"end_{verb}", 0, 0, True, id=f"end_{verb}") for verb in sorted(wire.TIMED)],
        *[
            pytest.param(f"end_{verb}", 0, 60, False, id=f"end_{verb} for a time")
            for verb in sorted(wire.TIMED)
        ],
        pytest.param("open", 5000, 0, False, id="no such verb"),
    ],
)
@pytest.mark.parametrize("kind", [wire.Order, wire.Challenge, wire.Go])
def test_an_order_is_bounded_before_anybody_looks_at_it(
    kind: type[wire.Order | wire.Challenge | wire.Go],
    verb: str,
    pulse_ms: int,
    duration_s: int,
    *,
    good: bool,
) -> None:
    body = msgspec.to_builtins(GO) | {"verb": verb, "pulse_ms": pulse_ms, "duration_s": duration_s}
    payload = msgspec.json.encode(
        {name: body[name] for name in ("v", *kind.__struct_fields__) if name in body}
    )
    reason = None
    try:
        wire.decode(payload, kind, station="st-test0001")
    except Refused as refused:
        reason = refused.reason
    assert reason == (None if good else "malformed")


def test_a_private_key_is_written_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    key = new_private_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_private_key(path).private_bytes_raw() == key.private_bytes_raw()
    with pytest.raises(FileExistsError):
        new_private_key(path)


@pytest.mark.parametrize("topic", list(Topic))
def test_every_topic_is_parsed_back_and_none_is_retained(topic: Topic) -> None:
    assert topics.parse(topic.of("st-test0001")) == ("st-test0001", topic)
    assert not topic.value.retain
    assert topic.value.qos < 2


@pytest.mark.parametrize(
    "name",
    [
        "yz/v1/st-test0001/up/unknown",
        "yz/v1/+/up/birth",
        "yz/v2/st-test0001/up/birth",
        "yz/v1/ST/up/birth",
        "",
        "yz/v1",
    ],
)
def test_any_other_topic_is_not_ours(name: str) -> None:
    assert topics.parse(name) is None


def test_the_checked_in_schemas_are_those_of_the_types() -> None:
    folder = ROOT / "docs" / "schemas"
    on_disk = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert on_disk == schemas.documents(), "run `make schemas`"


def test_a_schema_accepts_its_message_and_refuses_an_unknown_field() -> None:
    schema = json.loads(schemas.documents()["order.go.schema.json"])
    body = json.loads(wire.encode(GO))
    jsonschema.validate(body, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**body, "hold": True}, schema)


def test_a_full_batch_of_ordinary_events_fits_one_payload(signer: Signer) -> None:
    data: dict[str, wire.Scalar] = {
        "door": "main",
        "via": "face",
        "person": "p" * 32,
        "score": 0.123456,
        "margin": 0.4,
    }
    event = wire.Event(
        seq=2**40,
        kind=vocabulary.EventKind.ACCESS_GRANTED,
        boot_id=ID,
        mono_ms=2**40,
        wall_ms=2**41,
        clock="unsynced",
        data=data,
    )
    batch = wire.EventBatch(
        station="st-test0001", install_id=ID, boot_id=ID, sent_mono_ms=1, items=[event] * wire.BATCH_LIMIT
    )
    sealed = signer.seal("event", batch)
    assert len(sealed) <= MAX_PAYLOAD_BYTES
