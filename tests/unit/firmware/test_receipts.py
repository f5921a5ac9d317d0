"""A receipt names what is left, fits an event, and convinces only when the station signed it for this request."""

import hashlib
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from firmware_config.receipts import MAX_DATA_BYTES, event_data, gallery_root, verify
from firmware_config.signing import Refused, Signer, Verifier, encode_public
from firmware_config.wire import Erase, ErasureReceipt

STATION = "st-test0001"
SIGNER = Signer(Ed25519PrivateKey.generate())
VERIFIER = Verifier.of(encode_public(SIGNER.public))
REQUEST = Erase(station=STATION, request_id="a" * 32, person="anna", issued_ms=1)
RECEIPT = ErasureReceipt(
    station=STATION,
    request_id="a" * 32,
    person="anna",
    found=True,
    root="0" * 64,
    people=3,
    wall_ms=2,
    clock="synced",
)


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


PEOPLE: dict[str, list[bytes]] = {"anna": [digest("a1"), digest("a2")], "bo": [digest("b1")], "chen": []}


def refusal(data: dict[str, Any], request: Erase = REQUEST) -> str:
    with pytest.raises(Refused) as refused:
        verify(data, VERIFIER, request=request)
    return refused.value.reason


@given(st.permutations(list(PEOPLE.items())))
def test_the_root_does_not_depend_on_the_order(people: list[tuple[str, list[bytes]]]) -> None:
    turned = [(person, digests[::-1]) for person, digests in people]
    assert gallery_root(turned) == gallery_root(PEOPLE.items())


def test_every_change_of_the_gallery_changes_the_root() -> None:
    galleries: list[dict[str, list[bytes]]] = [
        PEOPLE,
        {},
        {"anna": PEOPLE["anna"]},
        {"anna": PEOPLE["anna"][:1], "bo": PEOPLE["bo"]},
        {"anna": PEOPLE["bo"], "bo": PEOPLE["anna"]},
        {"anna": [], "bo": []},
        {"annab": [], "o": []},
    ]
    assert len({gallery_root(gallery.items()) for gallery in galleries}) == len(galleries)


def test_a_gallery_that_makes_no_sense_has_no_root() -> None:
    with pytest.raises(ValueError, match="twice"):
        gallery_root([("anna", []), ("anna", [])])
    with pytest.raises(ValueError, match="32 bytes"):
        gallery_root([("anna", [b"short"])])


def test_a_receipt_convinces_whoever_asked() -> None:
    assert verify(event_data(RECEIPT, SIGNER), VERIFIER, request=REQUEST) == RECEIPT


def test_a_receipt_fits_an_event() -> None:
    longest = msgspec.structs.replace(
        RECEIPT, station="st-" + "z" * 32, person="p" * 64, people=2**53, wall_ms=2**53, clock="unsynced"
    )
    assert len(msgspec.json.encode(event_data(longest, SIGNER))) <= MAX_DATA_BYTES


def test_a_receipt_by_somebody_else_does_not_convince() -> None:
    stranger = Signer(Ed25519PrivateKey.generate())
    assert refusal(event_data(RECEIPT, stranger)) == "unknown_key"


@pytest.mark.parametrize(
    "change", [{"request_id": "b" * 32}, {"person": "bo"}], ids=["another request", "another person"]
)
def test_a_receipt_for_something_else_does_not_convince(change: dict[str, str]) -> None:
    assert refusal(event_data(msgspec.structs.replace(RECEIPT, **change), SIGNER)) == "wrong_request"


def test_a_receipt_of_another_station_does_not_convince() -> None:
    other = msgspec.structs.replace(RECEIPT, station="st-other001")
    assert refusal(event_data(other, SIGNER)) == "wrong_station"


@pytest.mark.parametrize("key", ["person", "request_id", "found", "root", "people"])
def test_an_event_that_contradicts_its_receipt_does_not_convince(key: str) -> None:
    assert refusal({**event_data(RECEIPT, SIGNER), key: "else"}) == "wrong_request"


@pytest.mark.parametrize("receipt", [None, 3, "", "{", "\ud800"])
def test_an_event_without_a_receipt_does_not_convince(receipt: object) -> None:
    assert refusal({**event_data(RECEIPT, SIGNER), "receipt": receipt}) == "malformed"
