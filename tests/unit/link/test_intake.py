"""What the network may bring, and what becomes of it."""

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.replica import Delivery
from firmware_config.signing import Refused, Signer, Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.units import MAX_PAYLOAD_BYTES
from firmware_config.wire import Ack, Ask, Go, Message, Order, encode, kind_of
from station_agent.link.client import Raw
from station_agent.link.intake import Intake
from tests.support.station_store import NOON_MS, STATION, stamp

HUB = Signer(Ed25519PrivateKey.generate())
INTAKE = Intake(station=STATION, verifier=Verifier.of(encode_public(HUB.public)))
CMD = "c" * 32

ORDER = Order(station=STATION, cmd_id=CMD, door="main", verb="unlock", pulse_ms=5000, issued_ms=NOON_MS)
GO = Go(
    station=STATION,
    cmd_id=CMD,
    door="main",
    verb="unlock",
    pulse_ms=5000,
    issued_ms=NOON_MS,
    boot_id="b" * 32,
    nonce="d" * 32,
)
ASK = Ask(station=STATION, what="result", cmd_id=CMD)
ACK = Ack(station=STATION, install_id="1" * 32, events=[1])

DELIVERY = Delivery(station=STATION, id="e" * 32, sender="st-other0001", person="anna", sealed="AAAA")


def raw(channel: Topic, body: Message, **changes: Any) -> Raw:
    payload = HUB.seal(kind_of(body), body)
    fields = {"topic": channel.of(STATION), "payload": payload, **changes}
    return Raw(**fields)


def reason(message: Raw, *, synced: bool = True, mono_ms: int = 0) -> str:
    with pytest.raises(Refused) as refused:
        INTAKE.judge(message, stamp(mono_ms, synced=synced))
    return refused.value.reason


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        pytest.param(Topic.REQUEST, ORDER, id="order"),
        pytest.param(Topic.REQUEST, ASK, id="question"),
        pytest.param(Topic.GO, GO, id="go"),
        pytest.param(Topic.ACK, ACK, id="acknowledgement"),
    ],
)
def test_what_the_hub_says_is_taken(topic: Topic, body: Message) -> None:
    assert INTAKE.judge(raw(topic, body), stamp(synced=True)) == body


@pytest.mark.parametrize(("topic", "answer"), [(Topic.REQUEST, Topic.CHALLENGE), (Topic.GO, Topic.RESULT)])
def test_a_response_topic_may_only_be_the_one_of_the_contract(topic: Topic, answer: Topic) -> None:
    body = ORDER if topic is Topic.REQUEST else GO
    good = raw(topic, body, response_topic=answer.of(STATION), correlation=CMD.encode())
    assert INTAKE.judge(good, stamp()) == body
    assert reason(raw(topic, body, response_topic=answer.of("st-other0001"))) == "response_topic"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(raw(Topic.REQUEST, ORDER, retain=True), "retained", id="retained order"),
        pytest.param(raw(Topic.GO, GO, retain=True), "retained", id="retained go"),
        pytest.param(raw(Topic.GO, GO, correlation=b"e" * 32), "correlation", id="of another order"),
        pytest.param(raw(Topic.REQUEST, ORDER, correlation=b""), "correlation", id="of no order"),
        pytest.param(raw(Topic.REQUEST, GO), "wrong_kind", id="go as request"),
        pytest.param(raw(Topic.GO, ORDER), "wrong_kind", id="request as go"),
        pytest.param(
            raw(Topic.REQUEST, ORDER, topic="yz/v1/st-other0001/down/req"), "wrong_topic", id="other"
        ),
        pytest.param(
            raw(Topic.REQUEST, ORDER, topic=Topic.CHALLENGE.of(STATION)), "wrong_topic", id="upward"
        ),
        pytest.param(raw(Topic.REQUEST, ORDER, topic="x"), "wrong_topic", id="no topic of ours"),
        pytest.param(raw(Topic.CONFIG, ORDER), "unsupported", id="nothing listens"),
        pytest.param(raw(Topic.GO, GO, payload=b"{}"), "malformed", id="malformed"),
        pytest.param(raw(Topic.ACK, ACK, payload=b"[]"), "malformed", id="malformed acknowledgement"),
        pytest.param(raw(Topic.ACK, ACK, payload=encode(ACK)), "malformed", id="unsigned acknowledgement"),
        pytest.param(raw(Topic.GO, GO, payload=b"x" * (MAX_PAYLOAD_BYTES + 1)), "too_large", id="too large"),
        pytest.param(
            raw(Topic.GO, msgspec.structs.replace(GO, station="st-other0001")),
            "wrong_station",
            id="misdirected",
        ),
    ],
)
def test_everything_else_is_refused_with_its_reason(message: Raw, expected: str) -> None:
    assert reason(message) == expected


@pytest.mark.parametrize(
    ("age_ms", "synced", "expected"),
    [
        pytest.param(10_000, True, None, id="ten seconds old"),
        pytest.param(10_001, True, "stale", id="older"),
        pytest.param(0, True, None, id="new"),
        pytest.param(3_600_000, False, None, id="an hour old by a clock that means nothing"),
    ],
)
def test_an_old_order_is_refused_by_a_synchronised_clock_only(
    age_ms: int, expected: str | None, *, synced: bool
) -> None:
    message = raw(Topic.REQUEST, ORDER)
    if expected is None:
        assert INTAKE.judge(message, stamp(age_ms, synced=synced)) == ORDER
    else:
        assert reason(message, synced=synced, mono_ms=age_ms) == expected


def delivered(body: Delivery, *, kind: str = "replica.delivery") -> Raw:
    return Raw(topic=Topic.DELIVERY.of(STATION), payload=HUB.seal(kind, body))


def test_a_sealed_template_is_taken_from_the_hub_alone_and_for_this_station_alone() -> None:
    assert INTAKE.judge(delivered(DELIVERY), stamp()) == DELIVERY
    assert reason(delivered(DELIVERY, kind="replica")) == "wrong_kind"
    assert reason(delivered(msgspec.structs.replace(DELIVERY, station="st-other0001"))) == "wrong_station"
    stranger = Signer(Ed25519PrivateKey.generate()).seal("replica.delivery", DELIVERY)
    assert reason(Raw(topic=Topic.DELIVERY.of(STATION), payload=stranger)) == "unknown_key"


def test_a_flipped_bit_anywhere_in_a_go_is_refused() -> None:
    whole = raw(Topic.GO, GO).payload
    for index in range(len(whole)):
        for bit in (1, 0x20, 0x80):
            spoiled = bytearray(whole)
            spoiled[index] ^= bit
            reason(raw(Topic.GO, GO, payload=bytes(spoiled)))


@given(
    payload=st.binary(max_size=300),
    topic=st.sampled_from([Topic.REQUEST, Topic.GO, Topic.ACK, Topic.DELIVERY]),
)
def test_no_bytes_raise_anything_but_a_refusal(payload: bytes, topic: Topic) -> None:
    with pytest.raises(Refused):
        INTAKE.judge(Raw(topic=topic.of(STATION), payload=payload), stamp())
