"""Versioned messages between station and hub. Their JSON Schemas are in ``docs/schemas``, generated from here.

``mono_ms`` is the station's CLOCK_BOOTTIME, comparable only within one ``boot_id``; ``wall_ms`` is milliseconds since
the Unix epoch by the station's clock, worth what ``clock`` says of it. The hub dates things by ``mono_ms`` where it can.
"""

from functools import cache
from typing import Annotated, Final, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from firmware_config.signing import Refused
from firmware_config.units import MAX_ENERGISED_S, MAX_PAYLOAD_BYTES, NAME_PATTERN, STATION_ID_PATTERN
from firmware_config.vocabulary import DoorState, EventKind, Outcome

Version: TypeAlias = Annotated[int, Meta(ge=1, le=1)]
StationId: TypeAlias = Annotated[str, Meta(pattern=STATION_ID_PATTERN)]
Name: TypeAlias = Annotated[str, Meta(pattern=NAME_PATTERN)]
Hex128: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Hex256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
PulseMs: TypeAlias = Annotated[int, Meta(ge=500, le=int(MAX_ENERGISED_S * 1000))]
Code: TypeAlias = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,47}$")]
SealingKey: TypeAlias = Annotated[str, Meta(pattern="^[0-9A-Za-z+/]{43}=$")]
Clock: TypeAlias = Literal["unsynced", "restored", "synced"]
Scalar: TypeAlias = str | int | float | bool | None

CHALLENGE_LIFE_MS: Final = 3_000
"""How long a nonce lives, on CLOCK_BOOTTIME (safety.md C3)."""

BATCH_LIMIT: Final = 200
"""Most events or readings in one message; with the largest data it stays below ``MAX_PAYLOAD_BYTES``."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Root of all bodies: immutable, unknown fields refused, versioned."""

    v: Version = 1
    station: StationId


class DoorStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One door now. Relay (commanded) and contact (observed) are two facts; neither is computed from the other.

    Attributes:
        relay: coil energised.
        contact_open: None while the contact cannot be trusted.
    """

    id: Name
    state: DoorState
    relay: bool
    contact_open: bool | None


class OccupancyStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Estimate of people inside, with the range it is known to lie in."""

    estimate: Count
    low: Count
    high: Count
    capacity: Count


class SensorMeta(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A sensor's unit and the range in which nobody is warned."""

    name: Name
    unit: Annotated[str, Meta(min_length=1, max_length=12)]
    low: float
    high: float


class Birth(Message, frozen=True):
    """Sent on every connection, and as the last will with ``online`` false. Signed, kind ``birth``.

    Attributes:
        online: False in the will: the session named by ``boot_id`` and ``conn_no`` has died.
        conn_no: counts connections of one boot, from 1.
        install_id: identifies the event store; a new one means the old was lost.
        lock_kinds: by door, what the lock does without power.
        liveness: the check in force; ``off`` is shown as a standing notice.
        engine: face engine and the digest of its weights, empty when face entry is off.
        sealing_key: X25519 public key to seal templates to, base64; empty when face entry is off.
    """

    online: bool
    boot_id: Hex128
    conn_no: Count
    install_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock
    agent_version: Annotated[str, Meta(max_length=40)]
    time_zone: Annotated[str, Meta(max_length=64)]
    doors: list[DoorStatus]
    lock_kinds: dict[str, str]
    sensors: list[SensorMeta]
    capacity: Count
    liveness: Annotated[str, Meta(max_length=16)]
    engine: Annotated[str, Meta(max_length=120)]
    sealing_key: Annotated[str, Meta(pattern="^([0-9A-Za-z+/]{43}=)?$")] = ""


class Heartbeat(Message, frozen=True):
    """The lease. Signed, kind ``heartbeat``. Holds all that the hub shows as current state.

    Attributes:
        interval_s: time to the next one.
        backlog: rows waiting in the outbox.
        backlog_age_s: age of the oldest of them.
        cameras: by camera, ``ok`` or ``lost``.
        rejected: payloads this station refused since boot, by reason.
        roster_version: of the roster in force; 0 without one.
    """

    boot_id: Hex128
    conn_no: Count
    install_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock
    interval_s: float
    doors: list[DoorStatus]
    occupancy: OccupancyStatus
    backlog: Count
    backlog_age_s: float
    cameras: dict[str, str]
    rejected: dict[str, int]
    roster_version: Count = 0


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One fact worth keeping. (station, install_id, seq) names it for ever."""

    seq: Annotated[int, Meta(ge=1, le=2**53)]
    kind: EventKind
    boot_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock
    data: dict[str, Scalar]


class EventBatch(Message, frozen=True):
    """Events in order of ``seq``. ``sent_mono_ms`` dates those of the same boot whatever the wall clock says."""

    install_id: Hex128
    boot_id: Hex128
    sent_mono_ms: Milliseconds
    items: Annotated[list[Event], Meta(min_length=1, max_length=BATCH_LIMIT)]


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One value of one sensor, in the unit announced at birth."""

    seq: Annotated[int, Meta(ge=1, le=2**53)]
    name: Name
    value: float
    boot_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock


class TelemetryBatch(Message, frozen=True):
    """Readings in order of ``seq``."""

    install_id: Hex128
    boot_id: Hex128
    sent_mono_ms: Milliseconds
    items: Annotated[list[Reading], Meta(min_length=1, max_length=BATCH_LIMIT)]


class Ack(Message, frozen=True):
    """The hub has committed these; only now may the station forget them.

    Attributes:
        install_id: repeated from what is acknowledged; the station ignores any other.
        events: sequence numbers of events.
        readings: sequence numbers of readings.
        results: command ids whose final result is stored.
        replicas: ids of sealed templates that the hub carries on.
    """

    install_id: Hex128
    events: list[int] = []
    readings: list[int] = []
    results: list[str] = []
    replicas: list[str] = []


class Order(Message, frozen=True):
    """First step of a remote order. Signed by the hub, kind ``order.req``. Opens nothing by itself.

    Attributes:
        cmd_id: chosen by the hub, never used twice.
        issued_ms: hub's wall clock.
    """

    cmd_id: Hex128
    door: Name
    verb: Literal["unlock"]
    pulse_ms: PulseMs
    issued_ms: Milliseconds


class Challenge(Message, frozen=True):
    """The station's answer to an ``Order``. Signed by the station, kind ``order.chal``.

    Attributes:
        nonce: 128 random bits that exist only in the station's memory, for ``CHALLENGE_LIFE_MS``.
    """

    cmd_id: Hex128
    door: Name
    verb: Literal["unlock"]
    pulse_ms: PulseMs
    boot_id: Hex128
    nonce: Hex128


class Go(Message, frozen=True):
    """Second step: every field of the order, and the nonce. Signed by the hub, kind ``order.go``."""

    cmd_id: Hex128
    door: Name
    verb: Literal["unlock"]
    pulse_ms: PulseMs
    issued_ms: Milliseconds
    boot_id: Hex128
    nonce: Hex128


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What was seen, in milliseconds of CLOCK_BOOTTIME (safety.md C11).

    Attributes:
        energised_mono_ms: relay commanded on.
        released_mono_ms: relay commanded off.
        relay_readback: level of the relay pin while it was commanded on.
        opened_mono_ms: first opening of the contact inside the window of this pulse.
        contact_before: contact open before the pulse; None when it could not be trusted.
    """

    energised_mono_ms: int | None = None
    released_mono_ms: int | None = None
    relay_readback: bool | None = None
    opened_mono_ms: int | None = None
    contact_before: bool | None = None


class Result(Message, frozen=True):
    """The station's word on an order, kept and resent until acknowledged. Signed by the station, kind ``order.res``.

    Attributes:
        code: why, when refused, expired or interrupted.
    """

    cmd_id: Hex128
    install_id: Hex128
    boot_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock
    outcome: Outcome
    code: Code | None = None
    evidence: Evidence = Evidence()


class Ask(Message, frozen=True):
    """A question that moves nothing. Signed by the hub, kind ``ask``, on ``down/req``.

    Attributes:
        what: ``rebirth``: send birth again; ``result``: what became of ``cmd_id``.
    """

    what: Literal["rebirth", "result"]
    cmd_id: Hex128 | None = None


class Reply(Message, frozen=True):
    """Answer to ``Ask(what="result")`` when there is no result to resend. Signed by the station, kind ``reply``.

    Attributes:
        install_id: when it differs from the one that took the order, the store was lost and nobody can know.
    """

    cmd_id: Hex128
    install_id: Hex128
    boot_id: Hex128
    known: Literal[False] = False


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
}
"""Bodies that only travel inside an ``Envelope``, by its kind."""

PLAIN: Final[dict[str, type[Message]]] = {"event": EventBatch, "telemetry": TelemetryBatch, "ack": Ack}
"""Bodies that travel bare: whoever forges them opens nothing."""

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
