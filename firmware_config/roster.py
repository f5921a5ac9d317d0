"""The roster: who may enter a station, and when. One signed document, sent in parts that each fit one message.

It holds pseudonymous ids and rules, and no face, template, PIN or name. Times of day are minutes on the clock on the wall
in the station's own time zone; moments are milliseconds since the Unix epoch.
"""

import base64
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from firmware_config.signing import Refused, Signer
from firmware_config.wire import Count, Message, Milliseconds, Name, RosterPart, SealingKey, StationId

ROSTER_LIFE_MS: Final = 72 * 3_600_000
"""How long after its issue a roster counts as fresh (safety.md P8). Older, it is still obeyed, and told about."""

MAX_PEOPLE: Final = 20_000
MAX_PEERS: Final = 64
MAX_DOCUMENT_BYTES: Final = 8 * 1024 * 1024
"""The largest document holds about 250 bytes a person and all lists at their limits."""

PART_BYTES: Final = 36 * 1024
"""Of compressed document in one message: 48 KiB as base64, and room for the envelope."""

MAX_PARTS: Final = 128

PERSON_ID: Final = "^[a-z0-9][a-z0-9-]{0,63}$"

PersonId: TypeAlias = Annotated[str, Meta(pattern=PERSON_ID)]
PersonNumber: TypeAlias = Annotated[str, Meta(pattern="^[0-9]{4,8}$")]
Region: TypeAlias = Annotated[str, Meta(pattern="^r-[a-z0-9-]{1,30}$")]
Day: TypeAlias = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]

_DAY_MIN: Final = 24 * 60


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One stretch of opening hours, named for the day on which it begins.

    Attributes:
        opens_min: minute of the day, from 0.
        closes_min: minute counted from the same midnight, not included; beyond 1440 it ends on the next day.
    """

    opens_min: Annotated[int, Meta(ge=0, lt=_DAY_MIN)]
    closes_min: Annotated[int, Meta(gt=0, le=2 * _DAY_MIN)]

    def __post_init__(self) -> None:
        """Refuse a stretch that is empty or longer than a day."""
        if not 0 < self.closes_min - self.opens_min <= _DAY_MIN:
            raise ValueError("an opening lasts from one minute to a day")


Hours: TypeAlias = Annotated[list[Opening], Meta(max_length=8)]


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """People who share opening hours.

    Attributes:
        weekly: hours of Monday to Sunday.
        holiday: hours of a holiday; None when holidays change nothing.
        waits_for: this group's hours only begin once a member of that group has entered (first person in).
        doors: doors they may use; all when empty.
    """

    id: Name
    weekly: Annotated[list[Hours], Meta(min_length=7, max_length=7)]
    holiday: Hours | None = None
    waits_for: Name | None = None
    doors: Annotated[list[Name], Meta(max_length=8)] = []


class SpecialDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A day that is not what its weekday says.

    Attributes:
        kind: ``holiday``, or ``workday``: a make-up workday (调休).
        as_weekday: whose hours a make-up workday has, 0 for Monday; without meaning for a holiday.
    """

    day: Day
    kind: Literal["holiday", "workday"]
    as_weekday: Annotated[int, Meta(ge=0, le=6)] = 0

    def __post_init__(self) -> None:
        """Refuse a day no calendar has."""
        date.fromisoformat(self.day)


class RosterPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One worker.

    Attributes:
        id: pseudonym made by the hub.
        number: short number typed before the PIN; not secret.
        groups: whose hours they have; without any they enter nowhere.
        active: False bars every way in.
        extended: the door stays unlocked longer for them.
        face: entry by face is allowed: there is a consent and it has not been withdrawn.
        consent: version of the face notice they agreed to; 0 for none.
        replication: version of the replication notice they agreed to; 0: templates stay where they were made.
    """

    id: PersonId
    number: PersonNumber | None = None
    groups: Annotated[list[Name], Meta(max_length=8)] = []
    active: bool = True
    extended: bool = False
    face: bool = False
    consent: Count = 0
    replication: Count = 0


class Peer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another station at which people of this one may be let in by face, if they agreed to replication.

    Attributes:
        sealing_key: its public key; what is sealed to it only that station can open.
    """

    station: StationId
    sealing_key: SealingKey


class PassKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A public key the hub signs passes with: raw Ed25519, base64."""

    public: Annotated[str, Meta(min_length=44, max_length=44)]


class EnrolmentCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A one-time code, without the code (``firmware_config.codes``).

    Attributes:
        tag: the code's first group; finds this entry and is not secret.
        salt: hexadecimal.
        digest: slow hash of the whole code, hexadecimal.
    """

    person: PersonId
    tag: Annotated[str, Meta(pattern="^[0-9A-HJKMNP-TV-Z]{4}$")]
    salt: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    expires_ms: Milliseconds


class GuestRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Guest passes at this station.

    Attributes:
        group: whose hours and doors guests have.
        daily_cap: most guest passes a day.
    """

    group: Name
    daily_cap: Annotated[int, Meta(ge=0, le=1000)]


class RosterDocument(Message, frozen=True):
    """The whole roster of one station.

    Attributes:
        version: only ever increases.
        expires_ms: at most ``ROSTER_LIFE_MS`` after ``issued_ms``.
        region: whose passes count here beside those that name the station.
        guests: None: no guest passes.
        revoked_passes: ids of passes that no longer count, 16 hexadecimal digits each.
        peers: where templates may be sent, and come from.
    """

    version: Annotated[int, Meta(ge=1, le=2**53)]
    issued_ms: Milliseconds
    expires_ms: Milliseconds
    region: Region | None = None
    groups: Annotated[list[Group], Meta(max_length=64)] = msgspec.field(default_factory=list)
    calendar: Annotated[list[SpecialDay], Meta(max_length=400)] = msgspec.field(default_factory=list)
    people: Annotated[list[RosterPerson], Meta(max_length=MAX_PEOPLE)] = msgspec.field(default_factory=list)
    guests: GuestRules | None = None
    pass_keys: Annotated[list[PassKey], Meta(max_length=4)] = msgspec.field(default_factory=list)
    revoked_passes: Annotated[list[Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]], Meta(max_length=2000)] = (
        msgspec.field(default_factory=list)
    )
    enrolment_codes: Annotated[list[EnrolmentCode], Meta(max_length=500)] = msgspec.field(
        default_factory=list
    )
    peers: Annotated[list[Peer], Meta(max_length=MAX_PEERS)] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse a document that contradicts itself."""
        if faults := list(_faults(self)):
            raise ValueError("; ".join(faults))


def _faults(roster: RosterDocument) -> Iterable[str]:
    if not 0 < roster.expires_ms - roster.issued_ms <= ROSTER_LIFE_MS:
        yield "it must expire within 72 h of its issue"
    yield from _doubled("group", [group.id for group in roster.groups])
    yield from _doubled("person", [person.id for person in roster.people])
    yield from _doubled("number", [person.number for person in roster.people if person.number])
    yield from _doubled("special day", [special.day for special in roster.calendar])
    yield from _doubled("peer", [peer.station for peer in roster.peers])
    yield from _doubled("enrolment code", [code.tag for code in roster.enrolment_codes])
    waits = {group.id: group.waits_for for group in roster.groups}
    for group, awaited in waits.items():
        if awaited is not None and (awaited not in waits or waits[awaited] is not None):
            yield f"group {group} waits for {awaited}, which is unknown or waits itself"
    named = {group for person in roster.people for group in person.groups}
    named |= {roster.guests.group} if roster.guests else set()
    if unknown := sorted(named - set(waits)):
        yield f"unknown groups: {', '.join(unknown)}"


def _doubled(what: str, names: Sequence[str]) -> Iterable[str]:
    if doubled := sorted(name for name, count in Counter(names).items() if count > 1):
        yield f"{what} named twice: {', '.join(doubled)}"


_DOCUMENT: Final = msgspec.json.Decoder(RosterDocument)


def content_digest(raw: bytes) -> str:
    """Digest that names one roster's content, hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def split(document: RosterDocument) -> list[RosterPart]:
    """The parts of a roster, to be signed and sent one by one.

    Raises:
        ValueError: larger than ``MAX_DOCUMENT_BYTES`` or ``MAX_PARTS`` parts.
    """
    raw = msgspec.json.encode(document)
    packed = zlib.compress(raw, 9)
    chunks = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
    if len(raw) > MAX_DOCUMENT_BYTES or len(chunks) > MAX_PARTS:
        raise ValueError(f"a roster of {len(raw)} bytes in {len(chunks)} parts is too large")
    return [
        RosterPart(
            station=document.station,
            version=document.version,
            part=number,
            parts=len(chunks),
            digest=content_digest(raw),
            chunk=base64.b64encode(chunk).decode(),
        )
        for number, chunk in enumerate(chunks, start=1)
    ]


def seal(document: RosterDocument, signer: Signer) -> list[bytes]:
    """The signed messages that carry a roster, for ``down/roster``.

    Raises:
        ValueError: as for ``split``.
    """
    return [signer.seal("roster", part) for part in split(document)]


def join(parts: Sequence[RosterPart]) -> RosterDocument:
    """The roster that these parts make up.

    Args:
        parts: all of one roster, in order.

    Raises:
        Refused: ``incomplete``, ``malformed``, ``too_large``, ``bad_digest``, or ``wrong_station`` when the document
            is not of the parts' station and version.
    """
    first = parts[0]
    if [part.part for part in parts] != list(range(1, first.parts + 1)):
        raise Refused("incomplete", f"{len(parts)} of {first.parts} parts")
    raw = _unpack(parts)
    if any(content_digest(raw) != part.digest for part in parts):
        raise Refused("bad_digest")
    try:
        document = _DOCUMENT.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refused("malformed", str(error)) from error
    if any((part.station, part.version) != (document.station, document.version) for part in parts):
        raise Refused("wrong_station", f"{document.station} version {document.version}")
    return document


def _unpack(parts: Sequence[RosterPart]) -> bytes:
    """Decompress, but never more than a document may be."""
    inflater = zlib.decompressobj()
    try:
        packed = b"".join(base64.b64decode(part.chunk, validate=True) for part in parts)
        raw = inflater.decompress(packed, MAX_DOCUMENT_BYTES + 1)
    except (ValueError, zlib.error) as error:  # not base64, or not even ASCII
        raise Refused("malformed", str(error)) from error
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise Refused("too_large", "decompressed")
    if not inflater.eof or inflater.unused_data:
        raise Refused("malformed", "compressed data cut short or too long")
    return raw
