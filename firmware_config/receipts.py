"""Receipts: a station's signed word that a person's data is gone, or enrolled, and the root hash of its gallery.

The root names the whole gallery without telling anything about it: it is made of digests of ciphertexts. Whoever holds
the gallery, an auditor at the station for one, can make it again and compare.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

from msgspec import Meta

from firmware_config.signing import Refused, Signer, Verifier
from firmware_config.wire import (
    Clock,
    Count,
    Erase,
    ErasureReceipt,
    Hex256,
    Message,
    Milliseconds,
    Scalar,
    decode,
)

MAX_DATA_BYTES: Final = 2048
"""Largest data of a ``person.erased`` event, as JSON."""

_ROOT: Final = b"yizhan/gallery/1"
_PERSON: Final = b"\x00"
_ALL: Final = b"\x01"


class EnrolmentReceipt(Message, frozen=True):
    """The station's word on an enrolment. Signed by the station, kind ``enrolment``; travels in ``person.enrolled``.

    Attributes:
        engine: that made the templates.
        digest: SHA-256 of its weights.
        templates: how many are kept; no picture is.
        notice: version of the notice they agreed to.
        replication: whether they agreed that the face serves at other stations too.
        root: of the gallery with them (``firmware_config.receipts``).
        people: how many the gallery holds.
    """

    person: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    engine: Annotated[str, Meta(min_length=1, max_length=40)]
    digest: Hex256
    templates: Annotated[int, Meta(ge=1, le=100)]
    notice: Annotated[int, Meta(ge=1, le=2**53)]
    replication: bool
    root: Hex256
    people: Count
    wall_ms: Milliseconds
    clock: Clock


KINDS: Final[Mapping[str, type[Message]]] = {"enrolment": EnrolmentReceipt}
"""Bodies that only travel inside an ``Envelope``, by its kind."""


def gallery_root(people: Iterable[tuple[str, Iterable[bytes]]]) -> str:
    """Root hash of a gallery, hexadecimal.

    Args:
        people: each person's id and the SHA-256 digests (32 bytes) of their sealed templates, in any order.

    Raises:
        ValueError: a person named twice, or a digest that is none.
    """
    leaves: dict[str, bytes] = {}
    for person, digests in people:
        if person in leaves:
            raise ValueError(f"{person} is named twice")
        leaves[person] = _leaf(person, sorted(digests))
    root = hashlib.sha256(_ALL + _ROOT + len(leaves).to_bytes(8))
    for person in sorted(leaves):
        root.update(leaves[person])
    return root.hexdigest()


def _leaf(person: str, digests: list[bytes]) -> bytes:
    if any(len(digest) != hashlib.sha256().digest_size for digest in digests):
        raise ValueError(f"{person}: a template's digest is 32 bytes")
    name = person.encode()
    return hashlib.sha256(_PERSON + len(name).to_bytes(2) + name + b"".join(digests)).digest()


def event_data(receipt: ErasureReceipt, signer: Signer) -> dict[str, Scalar]:
    """Data of the ``person.erased`` event that carries a receipt, the signed original under ``receipt``."""
    return {
        "person": receipt.person,
        "request_id": receipt.request_id,
        "found": receipt.found,
        "root": receipt.root,
        "people": receipt.people,
        "receipt": signer.seal("receipt", receipt).decode(),
    }


def verify(data: Mapping[str, Scalar], verifier: Verifier, *, request: Erase) -> ErasureReceipt:
    """The receipt in an event's data, when the station signed it in answer to this request.

    Args:
        data: of a ``person.erased`` event.
        verifier: of the station's public key.
        request: the one to be answered.

    Raises:
        Refused: those of ``Verifier``; ``malformed`` without a receipt; ``wrong_station``; ``wrong_request`` when it
            answers another one, or the event around it says something else.
    """
    sealed = data.get("receipt")
    if not isinstance(sealed, str):
        raise Refused("malformed", "no receipt")
    try:
        payload = sealed.encode()
    except UnicodeEncodeError as error:
        raise Refused("malformed", "not UTF-8") from error
    receipt = decode(verifier.open(payload, kind="receipt"), ErasureReceipt, station=request.station)
    if (receipt.request_id, receipt.person) != (request.request_id, request.person):
        raise Refused("wrong_request", receipt.request_id)
    told: dict[str, Scalar] = {
        "person": receipt.person,
        "request_id": receipt.request_id,
        "found": receipt.found,
        "root": receipt.root,
        "people": receipt.people,
    }
    if any(data.get(key) != value for key, value in told.items()):
        raise Refused("wrong_request", "the event contradicts its receipt")
    return receipt
