"""Two real stations, a real broker and the real bridge: a face enrolled at one opens the other, and the hub never sees it."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cloud_hub.bell import BRIDGE, PEOPLE, Ringer
from cloud_hub.db import utc_now
from cloud_hub.models import Erasure, Event, Replica, Station
from cloud_hub.models.people import ConsentKind
from cloud_hub.people import hours, services
from cloud_hub.people.hours import GroupRules
from cloud_hub.stations.services import register
from firmware_config import replica
from firmware_config.replica import Sealed, parse, unseal
from firmware_config.signing import encode_public
from firmware_config.vocabulary import EventKind
from tests.support.bridge import STATIONS, Field, MakeField
from tests.support.faces import stranger, worker
from tests.support.outpost import Outpost
from tests.support.station import wait_for

pytestmark = pytest.mark.parametrize(
    ("make_broker", "database_url"), [pytest.param("iotcore", "sqlite", id="iotcore-sqlite")], indirect=True
)
"""Brokers and databases differ in nothing that matters here; test_bridge.py runs on all of them."""

ALWAYS = [[{"opens_min": 0, "closes_min": 1440}]] * 7
BY = "user:lin"


class Town:
    """A hub and its stations."""

    def __init__(self, field: Field, folder: Path, stack: ExitStack) -> None:
        self.field = field
        self.hub_folder = folder / "hub"
        public = encode_public(field.signer.public)
        self.north, self.south = (
            Outpost(name, folder / name, hub_public=public, port=field.broker.port) for name in STATIONS
        )
        for outpost in (self.north, self.south):
            stack.callback(outpost.stop)
            with field.sessions.begin() as session:
                register(
                    session, station_id=outpost.name, name="测试驿站", region="", time_zone="Asia/Shanghai",
                    public_key=outpost.public, actor="test", now=utc_now(),
                )  # fmt: skip
            outpost.start()
        wait_for(lambda: all(station.sealing_key for station in field.all(Station)), what="both keys")
        with field.sessions.begin() as session:
            hours.create_group(
                session, group_id="workers", rules=GroupRules(weekly=ALWAYS), actor=BY, now=utc_now()
            )
            self.person = services.create_person(
                session, groups=("workers",), number=None, extended=False, actor=BY, now=utc_now()
            ).id
        self.ring()

    def ring(self) -> None:
        ringer = Ringer(self.field.hub.data_dir / "bells")
        ringer.ring(BRIDGE, PEOPLE)
        ringer.close()

    def replica(self) -> Replica:
        (row,) = self.field.all(Replica)
        return row  # type: ignore[no-any-return]

    def await_people(self, outpost: Outpost, *people: str) -> None:
        wait_for(lambda: outpost.people() == list(people), within_s=30, what=f"{people} at {outpost.name}")


MakeTown = Callable[[], Town]


@pytest.fixture
def make_town(make_field: MakeField, tmp_path: Path) -> Iterator[MakeTown]:
    with ExitStack() as stack:
        yield lambda: Town(make_field(), tmp_path, stack)


def test_a_face_enrolled_at_one_station_opens_the_other_until_it_is_erased(make_town: MakeTown) -> None:
    town = make_town()
    town.north.agree(town.person, worker(), replication=True)
    town.await_people(town.south, town.person)
    assert town.south.visit(worker()) == town.person
    assert town.south.visit(stranger()) is None
    wait_for(lambda: town.replica().ended == "received", what="the receiver's word")
    assert town.replica().sealed is None
    wait_for(lambda: not town.north.unsent(), what="the hub's acknowledgement")
    with town.field.sessions.begin() as session:
        services.erase_person(session, person_id=town.person, reason="asked", actor=BY, now=utc_now())
    town.ring()
    for outpost in (town.north, town.south):
        town.await_people(outpost)
        assert outpost.visit(worker()) is None
    wait_for(lambda: [row.found for row in town.field.all(Erasure)] == [True, True], what="both receipts")


def test_the_hub_holds_ciphertext_that_no_key_of_its_own_opens(make_town: MakeTown) -> None:
    town = make_town()
    town.south.stop()
    town.north.agree(town.person, worker(), replication=True)
    wait_for(lambda: len(town.field.all(Replica)) == 1, within_s=30, what="the replica at the hub")
    sealed = parse(str(town.replica().sealed))
    vectors = town.north.eyes.templates(town.person)
    assert vectors is not None

    found = list(keys_in(town.hub_folder))
    assert len(found) >= 10  # command key, pass key, web key, and every string that could be one
    assert [key for key in found if opens(sealed, key)] == []
    assert opens(sealed, (town.south.data / "sealing.key").read_bytes())
    assert not opens(sealed, (town.north.data / "sealing.key").read_bytes())
    content = unseal(
        sealed,
        private=X25519PrivateKey.from_private_bytes((town.south.data / "sealing.key").read_bytes()),
        sender_key=town.north.copying.sealing_key,
    )
    assert content.templates == [row.tobytes() for row in vectors]
    needles = [base64.b64encode(vectors.tobytes())[4:-8], *(row.tobytes() for row in vectors)]
    for path in town.hub_folder.rglob("*"):
        if path.is_file():
            assert not any(needle in path.read_bytes() for needle in needles), path

    town.south.start()
    town.await_people(town.south, town.person)
    assert town.south.visit(worker()) == town.person

    with town.field.sessions.begin() as session:
        services.withdraw_for(
            session,
            person_id=town.person,
            kind=ConsentKind.REPLICATION,
            reason="asked",
            actor=BY,
            now=utc_now(),
        )
    town.ring()
    town.await_people(town.south)
    assert town.south.visit(worker()) is None
    assert (town.north.people(), town.north.visit(worker())) == ([town.person], town.person)
    wait_for(
        lambda: [row.station_id for row in town.field.all(Erasure) if row.receipted_at] == [town.south.name],
        what="the receipt",
    )
    (event,) = [row for row in town.field.all(Event) if row.kind == EventKind.TEMPLATE_EXPIRED]
    assert (event.station_id, event.data["reason"]) == (town.south.name, "face_not_allowed")


def test_without_the_second_consent_nothing_leaves_the_station(make_town: MakeTown) -> None:
    town = make_town()
    town.north.agree(town.person, worker(), replication=False)
    wait_for(lambda: town.north.visit(worker()) == town.person, within_s=30, what="entry at the first")
    assert (town.field.all(Replica), town.south.people()) == ([], [])
    assert town.south.visit(worker()) is None


def keys_in(folder: Path) -> Iterator[bytes]:
    """Everything under a folder that could be 32 bytes of a key: PEM, hexadecimal, base64, and small files as they are."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        raw = path.read_bytes()
        if raw.startswith(b"-----BEGIN"):
            key = load_pem_private_key(raw, password=None)
            assert isinstance(key, Ed25519PrivateKey)
            seed = key.private_bytes_raw()
            yield from (seed, hashlib.sha512(seed).digest()[:32], hashlib.sha256(seed).digest())
        yield from (bytes.fromhex(text.decode()) for text in re.findall(rb"[0-9a-f]{64}", raw))
        yield from (base64.b64decode(text) for text in re.findall(rb"[0-9A-Za-z+/]{43}=", raw))
        if len(raw) <= 4_096:
            yield from (raw[start : start + 32] for start in range(max(0, len(raw) - 31)))


def opens(sealed: Sealed, raw: bytes) -> bool:
    """Whether 32 bytes open a replica, as the receiver's key, as the sender's, or as the content key itself."""
    private = X25519PrivateKey.from_private_bytes(raw)
    once, sender, receiver = (
        X25519PublicKey.from_public_bytes(key)
        for key in (sealed.ephemeral, sealed.header.sender_key, sealed.header.receiver_key)
    )
    shared = [private.exchange(once) + private.exchange(sender), private.exchange(receiver) * 2]
    derived = [replica._key(secret, sealed.ephemeral, sealed.header) for secret in shared]
    return any(_decrypts(key, sealed) for key in (raw, *derived))


def _decrypts(key: bytes, sealed: Sealed) -> bool:
    try:
        AESGCM(key).decrypt(bytes(12), sealed.content, replica._bound(sealed.header))
    except InvalidTag:
        return False
    return True
