"""The signer: every field, the nonce, and no more than three openings of a door a minute."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from cloud_hub.commands.signer import OrderSigner, SignerRefused
from firmware_config.signing import Signer, Verifier, encode_public
from firmware_config.wire import Ask, Challenge, Go, Order, decode
from tests.support.hub import BOOT, STATION

ORDER = Order(station=STATION, cmd_id="a" * 32, door="main", verb="unlock", pulse_ms=3_000, issued_ms=7)
CHALLENGE = Challenge(
    station=STATION, cmd_id="a" * 32, door="main", verb="unlock", pulse_ms=3_000, boot_id=BOOT, nonce="9" * 32
)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def signer(key: Ed25519PrivateKey, clock: Clock) -> OrderSigner:
    return OrderSigner(Signer(key), clock=clock)


def test_go_repeats_the_order_and_the_challenge(signer: OrderSigner, key: Ed25519PrivateKey) -> None:
    verifier = Verifier.of(encode_public(key.public_key()))
    go = decode(verifier.open(signer.go(ORDER, CHALLENGE), kind="order.go"), Go, station=STATION)
    assert (go.cmd_id, go.door, go.pulse_ms, go.issued_ms) == (
        ORDER.cmd_id,
        ORDER.door,
        ORDER.pulse_ms,
        ORDER.issued_ms,
    )
    assert (go.boot_id, go.nonce) == (BOOT, "9" * 32)


def test_a_question_is_no_order(signer: OrderSigner, key: Ed25519PrivateKey) -> None:
    verifier = Verifier.of(encode_public(key.public_key()))
    assert verifier.open(signer.ask(Ask(station=STATION, what="rebirth")), kind="ask")


@pytest.mark.parametrize(
    "challenge",
    [
        pytest.param(replace(CHALLENGE, cmd_id="b" * 32), id="order"),
        pytest.param(replace(CHALLENGE, station="st-other0001"), id="station"),
        pytest.param(replace(CHALLENGE, door="back"), id="door"),
        pytest.param(replace(CHALLENGE, pulse_ms=9_000), id="pulse"),
    ],
)
def test_a_challenge_for_anything_else_is_not_signed(signer: OrderSigner, challenge: Challenge) -> None:
    with pytest.raises(ValueError, match="not for order"):
        signer.go(ORDER, challenge)


def test_the_fourth_opening_of_a_door_within_a_minute_is_refused(signer: OrderSigner, clock: Clock) -> None:
    for n in range(3):
        clock.now_s = float(n)
        signer.go(ORDER, CHALLENGE)
    clock.now_s = 59.9
    with pytest.raises(SignerRefused):
        signer.go(ORDER, CHALLENGE)
    clock.now_s = 60.0
    signer.go(ORDER, CHALLENGE)
    with pytest.raises(SignerRefused):
        signer.go(ORDER, CHALLENGE)


def test_each_door_has_its_own_count(signer: OrderSigner) -> None:
    for n in range(6):
        door = f"d{n}"
        for _ in range(3):
            signer.go(replace(ORDER, door=door), replace(CHALLENGE, door=door))
