"""Who may come in, and the proof that somebody is forgotten."""

from typing import Annotated

from msgspec import Meta

from firmware_config.wire.base import Clock, Count, Hex128, Hex256, Message, Milliseconds


class RosterPart(Message, frozen=True):
    """A piece of the roster (``firmware_config.roster``). Signed by the hub, kind ``roster``, on ``down/roster``.

    Attributes:
        part: from 1 to ``parts``.
        digest: SHA-256 of the whole document; parts belong together when it and ``version`` agree.
        chunk: piece of the compressed document, base64.
    """

    version: Annotated[int, Meta(ge=1, le=2**53)]
    part: Annotated[int, Meta(ge=1, le=128)]
    parts: Annotated[int, Meta(ge=1, le=128)]
    digest: Hex256
    chunk: Annotated[str, Meta(min_length=4, max_length=50_000)]


class Erase(Message, frozen=True):
    """Destroy all that is kept of a person's face and PIN. Signed by the hub, kind ``erase``, on ``down/erase``.

    Attributes:
        request_id: chosen by the hub; the same one is carried out once and answered every time.
    """

    request_id: Hex128
    person: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    issued_ms: Milliseconds


class ErasureReceipt(Message, frozen=True):
    """The station's word on an ``Erase``. Signed by the station, kind ``receipt``; travels in ``person.erased``.

    Attributes:
        found: something was kept of them.
        root: of the gallery without them (``firmware_config.receipts``).
        people: how many the gallery still holds.
    """

    request_id: Hex128
    person: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$")]
    found: bool
    root: Hex256
    people: Count
    wall_ms: Milliseconds
    clock: Clock
