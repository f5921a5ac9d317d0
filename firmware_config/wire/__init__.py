"""Versioned messages between station and hub. Their JSON Schemas are in ``docs/schemas``, generated from here.

``mono_ms`` is the station's CLOCK_BOOTTIME, comparable only within one ``boot_id``; ``wall_ms`` is milliseconds since
the Unix epoch by the station's clock, worth what ``clock`` says of it. The hub dates things by ``mono_ms`` where it can.
"""

from functools import cache
from typing import Final, TypeVar

import msgspec

from firmware_config.signing import Refused
from firmware_config.units import MAX_PAYLOAD_BYTES
from firmware_config.wire.base import (
    Clock,
    Code,
    Count,
    Hex128,
    Hex256,
    Message,
    Milliseconds,
    Name,
    Scalar,
    SealingKey,
    StationId,
    Struct,
    Version,
)
from firmware_config.wire.events import (
    BATCH_LIMIT,
    Ack,
    Anchor,
    Event,
    EventBatch,
    Reading,
    Seq,
    Span,
    TelemetryBatch,
)
from firmware_config.wire.orders import (
    CHALLENGE_LIFE_MS,
    LONGEST_MODE_S,
    LONGEST_PULSE_MS,
    SHORTEST_PULSE_MS,
    TIMED,
    Act,
    Ask,
    Challenge,
    Evidence,
    Go,
    Order,
    Reply,
    Result,
    Verb,
)
from firmware_config.wire.people import Erase, ErasureReceipt, RosterPart
from firmware_config.wire.state import (
    Birth,
    DoorStatus,
    Heartbeat,
    OccupancyStatus,
    SensorMeta,
    StorageStatus,
)

__all__ = [
    "BATCH_LIMIT",
    "CHALLENGE_LIFE_MS",
    "LONGEST_MODE_S",
    "LONGEST_PULSE_MS",
    "PLAIN",
    "SHORTEST_PULSE_MS",
    "SIGNED",
    "TIMED",
    "Ack",
    "Act",
    "Anchor",
    "Ask",
    "Birth",
    "Challenge",
    "Clock",
    "Code",
    "Count",
    "DoorStatus",
    "Erase",
    "ErasureReceipt",
    "Event",
    "EventBatch",
    "Evidence",
    "Go",
    "Heartbeat",
    "Hex128",
    "Hex256",
    "Message",
    "MessageT",
    "Milliseconds",
    "Name",
    "OccupancyStatus",
    "Order",
    "Reading",
    "Reply",
    "Result",
    "RosterPart",
    "Scalar",
    "SealingKey",
    "SensorMeta",
    "Seq",
    "Span",
    "StationId",
    "StorageStatus",
    "Struct",
    "TelemetryBatch",
    "Verb",
    "Version",
    "decode",
    "encode",
    "kind_of",
]

SIGNED: Final[dict[str, type[Message]]] = {
    "birth": Birth,
    "heartbeat": Heartbeat,
    "order.req": Order,
    "order.chal": Challenge,
    "order.go": Go,
    "order.res": Result,
    "ask": Ask,
    "reply": Reply,
    "roster": RosterPart,
    "erase": Erase,
    "receipt": ErasureReceipt,
    "event": EventBatch,
    "ack": Ack,
}
"""Bodies that only travel inside an ``Envelope``, by its kind."""

PLAIN: Final[dict[str, type[Message]]] = {"telemetry": TelemetryBatch}
"""Bodies that travel bare: whoever forges a reading opens nothing and hides nothing."""

MessageT = TypeVar("MessageT", bound=Message)

_decoder: Final = cache(msgspec.json.Decoder)


def kind_of(body: Message) -> str:
    """The envelope kind of a signed body."""
    return _KINDS[type(body)]


_KINDS: Final = {body: kind for kind, body in SIGNED.items()}


def decode(payload: bytes, kind: type[MessageT], *, station: str | None = None) -> MessageT:
    """Decode one bare body.

    Args:
        payload: JSON text, at most ``MAX_PAYLOAD_BYTES``.
        kind: the message type expected.
        station: when given, the body must name it (the topic it came on does).

    Raises:
        Refused: ``too_large``, ``malformed`` or ``wrong_station``.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Refused("too_large", f"{len(payload)} bytes")
    try:
        body: MessageT = _decoder(kind).decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused("malformed", str(error)) from error
    if station is not None and body.station != station:
        raise Refused("wrong_station", body.station)
    return body


def encode(body: Message) -> bytes:
    """Encode one bare body."""
    return msgspec.json.encode(body)
