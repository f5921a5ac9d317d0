"""The parsers, each with good inputs to begin from and the one way in which it may say no.

An ``outer`` target takes the bytes of the network; an ``inner`` one signs the bytes with the right key first, so that
what lies behind the signature is reached as by a hub or station that somebody took over.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cloud_hub.ingest.decoding import BODIES, Arrival, StationKeys, open_arrival
from firmware_config import codes, passes, receipts, replica, roster
from firmware_config.profiles import load_profile
from firmware_config.signing import Refused, Signer, Verifier, encode_public
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind, Outcome
from firmware_config.wire import (
    SIGNED,
    Ack,
    Ask,
    Birth,
    Challenge,
    Erase,
    ErasureReceipt,
    Event,
    EventBatch,
    Go,
    Heartbeat,
    Message,
    OccupancyStatus,
    Order,
    Reading,
    Reply,
    Result,
    TelemetryBatch,
    encode,
)
from station_agent.clock import Stamp, SystemClock
from station_agent.link.client import Raw
from station_agent.link.intake import Intake
from station_agent.simulate.control import ControlSocket
from station_agent.simulate.trace import Trace
from station_agent.simulate.world import World
from tests.faults.fuzz import kiosk
from tests.support.scratch import lasting

STATION: Final = "st-test0001"
SIGNER: Final = Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
PASS_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
NORTH, SOUTH = (X25519PrivateKey.from_private_bytes(byte * 32) for byte in (b"n", b"o"))
AT: Final = datetime(2026, 5, 6, tzinfo=UTC)
NOW: Final = Stamp(boot_id="b" * 32, mono_ms=5_000, wall_ms=1_700_000_000_000, trust="synced")
H: Final = "a" * 32
_MOMENT: Final[dict[str, Any]] = {"mono_ms": 1, "wall_ms": NOW.wall_ms, "clock": "synced"}
_UNLOCK: Final[dict[str, Any]] = {"cmd_id": H, "door": "main", "verb": "unlock", "pulse_ms": 3_000}
_HOME: Final[dict[str, Any]] = {"station": STATION, "boot_id": H, "install_id": H}


@dataclass(frozen=True, slots=True)
class Target:
    """One parser.

    Attributes:
        seeds: good inputs.
        feed: takes any bytes; raises only one of ``verdicts``.
        verdicts: how it says no.
        is_json: the seeds are JSON text, so that a mutation can know their shape.
    """

    name: str
    seeds: Sequence[bytes]
    feed: Callable[[bytes], object]
    verdicts: tuple[type[Exception], ...] = (Refused,)
    is_json: bool = True


class _Keys(StationKeys):
    def __init__(self) -> None:
        super().__init__()
        self._verifiers = {STATION: Verifier.of(encode_public(SIGNER.public))}


class _Inside:
    """An agent that nothing asked of it changes."""

    def settle(self) -> None:
        return

    def set_network(self, *, up: bool) -> None:
        del up

    def set_clock(self, *, synced: bool) -> None:
        del synced

    def enrol(self, person: str, image: Path) -> int:
        del person, image
        return 0

    def erase(self, person: str) -> bool:
        del person
        return False

    def status(self) -> Mapping[str, Any]:
        return {}


@cache
def targets() -> dict[str, Target]:
    """All, by name. Made once: sealing and issuing take a while."""
    pin = Target("kiosk pin", kiosk.SEEDS, kiosk.poster("/pin"), verdicts=())
    found = [*_hub(), *_station(), *_files(), _control(), pin]
    return {target.name: target for target in found}


def _samples() -> dict[type[Message], Message]:
    delivery = replica.Delivery(station=STATION, id=H, sender="st-north001", person="anna", sealed=_sealed())
    document = roster.RosterDocument(
        station=STATION, version=1, issued_ms=1, expires_ms=2,
        groups=[roster.Group(id="always", weekly=[[roster.Opening(0, 1440)]] * 7)],
        people=[roster.RosterPerson(id="anna", number="1042", groups=["always"], face=True, consent=1)],
    )  # fmt: skip
    crowd = OccupancyStatus(estimate=1, low=0, high=2, capacity=4)
    found: list[Message] = [
        Order(station=STATION, issued_ms=NOW.wall_ms, **_UNLOCK),
        Go(station=STATION, issued_ms=NOW.wall_ms, boot_id=H, nonce=H, **_UNLOCK),
        Challenge(station=STATION, boot_id=H, nonce=H, **_UNLOCK),
        Result(cmd_id=H, outcome=Outcome.OPENED, **_HOME, **_MOMENT),
        Reply(cmd_id=H, **_HOME),
        Ask(station=STATION, what="result", cmd_id=H),
        Ack(station=STATION, install_id=H, events=[1, 2], results=[H]),
        Erase(station=STATION, request_id=H, person="anna", issued_ms=1),
        Birth(
            online=True, conn_no=1, agent_version="1", time_zone="Asia/Shanghai", doors=[], lock_kinds={"main": "fail_safe"},
            sensors=[], capacity=4, liveness="off", engine="", **_HOME, **_MOMENT,
        ),
        Heartbeat(
            conn_no=1, interval_s=5.0, doors=[], occupancy=crowd, backlog=0, backlog_age_s=0.0, cameras={"main": "ok"},
            rejected={"stale": 1}, **_HOME, **_MOMENT,
        ),
        EventBatch(
            sent_mono_ms=9, items=[Event(seq=1, kind=EventKind.DOOR_OPENED, boot_id=H, data={"door": "main"}, **_MOMENT)],
            **_HOME,
        ),
        TelemetryBatch(
            sent_mono_ms=9, items=[Reading(seq=1, name="co2", value=400.0, boot_id=H, **_MOMENT)], **_HOME
        ),
        replica.Replica(
            station=STATION, install_id=H, id=H, to="st-south001", person="anna", sealed=_sealed()
        ),
        delivery,
        *roster.split(document),
    ]  # fmt: skip
    return {type(body): body for body in found}


def _sealed() -> str:
    header = replica.Header(
        sender="st-north001", receiver=STATION, person="anna", engine="opencv", digest="a" * 64, replication=2,
        sealed_ms=2_000, sender_key=replica.raw_key(replica.public_half(NORTH)),
        receiver_key=replica.raw_key(replica.public_half(SOUTH)),
    )  # fmt: skip
    content = replica.Content(templates=[bytes(512)], face=3, replication=2, enrolled_ms=1_000)
    return replica.seal(header, content, private=NORTH)


_KIND_OF: Final = {body: kind for kind, body in (*SIGNED.items(), *replica.KINDS.items())}


def _sign(kind: str, body: bytes) -> bytes:
    """An envelope around any text, under a signature that holds."""
    text = body.decode("utf-8", "replace")
    raw: Any = msgspec.Raw(text.encode())
    return SIGNER.seal(kind, raw)


def _both(name: str, body: Message, open_: Callable[[bytes], object]) -> list[Target]:
    kind = _KIND_OF.get(type(body))
    if kind is None:
        return [Target(name, [encode(body)], open_)]
    return [
        Target(f"{name} outer", [SIGNER.seal(kind, body)], open_),
        Target(f"{name} inner", [encode(body)], lambda data: open_(_sign(kind, data))),
    ]


def _hub() -> list[Target]:
    samples, keys = _samples(), _Keys()

    def open_(topic: Topic, payload: bytes) -> object:
        return open_arrival(Arrival(topic.of(STATION), payload, False, 1, 1, 1, 0.0), keys, received_at=AT)

    return [
        target
        for topic, body in BODIES.items()
        for target in _both(f"hub {topic.value.tail}", samples[body], partial(open_, topic))
    ]


def _station() -> list[Target]:
    samples = _samples()
    intake = Intake(station=STATION, verifier=Verifier.of(encode_public(SIGNER.public)))

    def open_(topic: Topic, payload: bytes) -> object:
        return intake.judge(Raw(topic.of(STATION), payload), NOW)

    down: list[tuple[str, Topic, type[Message]]] = [
        ("req", Topic.REQUEST, Order),
        ("ask", Topic.REQUEST, Ask),
        ("go", Topic.GO, Go),
        ("ack", Topic.ACK, Ack),
        ("config", Topic.CONFIG, Ack),
        ("roster", Topic.ROSTER, next(body for body in samples if body.__name__ == "RosterPart")),
        ("erase", Topic.ERASE, Erase),
        ("replica", Topic.DELIVERY, replica.Delivery),
    ]
    return [
        target
        for name, topic, body in down
        for target in _both(f"station {name}", samples[body], partial(open_, topic))
    ]


def _files() -> list[Target]:
    """What is opened after the message that carried it."""
    samples = _samples()
    keyring = passes.Keyring([encode_public(PASS_KEY.public_key())])
    ticket = passes.Pass(
        v=1, id=b"12345678", kid=passes.short_key_id(PASS_KEY.public_key()), holder="p-3f9c2d81", scope=[STATION],
        not_before=1_780_000_000, not_after=1_780_086_400, uses=1,
    )  # fmt: skip
    part = next(body for kind, body in samples.items() if kind.__name__ == "RosterPart")
    request = Erase(station=STATION, request_id=H, person="anna", issued_ms=1)
    receipt = ErasureReceipt(
        station=STATION, request_id=H, person="anna", found=True, root="0" * 64, people=3, wall_ms=2, clock="synced"
    )  # fmt: skip
    verifier = Verifier.of(encode_public(SIGNER.public))
    part_of = msgspec.json.Decoder(type(part))

    def join(data: bytes) -> object:
        try:
            found: Any = part_of.decode(data)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return None  # the intake refuses it before
        return roster.join([found])

    def replica_of(data: bytes) -> object:
        sealed = replica.parse(data.decode("utf-8", "replace"))
        return replica.unseal(sealed, private=SOUTH, sender_key=replica.public_half(NORTH))

    def receipt_of(data: bytes) -> object:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return None
        return receipts.verify(found if isinstance(found, dict) else {}, verifier, request=request)

    return [
        Target("pass", [passes.issue(ticket, PASS_KEY).encode()], lambda data: keyring.open(data.decode("utf-8", "replace")), is_json=False),
        Target("roster", [encode(part)], join),
        Target("replica", [_sealed().encode()], replica_of, is_json=False),
        Target("receipt", [json.dumps(receipts.event_data(receipt, SIGNER)).encode()], receipt_of),
        Target("code", [b"ABCD-EFGH-JKLM", codes.new_code().encode()], lambda data: codes.normalise(data.decode("utf-8", "replace")), is_json=False),
        Target("envelope", [SIGNER.seal("ask", Ask(station=STATION, what="rebirth"))], lambda data: verifier.open(data, kind="ask")),
    ]  # fmt: skip


def _control() -> Target:
    folder = lasting("yz-fuzz-")
    world = World(
        load_profile("bench-fake", beside=folder / "station.toml"), Trace(Path(os.devnull), SystemClock())
    )
    control = ControlSocket(folder / "c", world=world, doorways={}, inside=_Inside())
    lines = [
        b'{"op": "contact", "door": "main", "open": true}',
        b'{"op": "sensor", "name": "co2", "value": 400}',
        b'{"op": "show", "image": "/nowhere", "seconds": 2}',
        b'{"op": "enrol", "person": "anna", "image": "/nowhere"}',
        b'{"op": "status"}',
    ]

    def feed(line: bytes) -> object:
        return json.dumps(control.obey(line), ensure_ascii=False).encode()

    return Target("control", lines, feed, verdicts=())
