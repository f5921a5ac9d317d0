"""The roster on disk is what the hub signed, whole or not at all, and never an older one."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.roster import RosterDocument, RosterPerson, seal
from firmware_config.signing import Refused, Signer, Verifier, encode_public
from station_agent.clock import Stamp
from station_agent.store.roster import RosterStore
from tests.support.rosters import ANNA, NOON, STATION, at, document

HUB = Signer(Ed25519PrivateKey.generate())
VERIFIER = Verifier.of(encode_public(HUB.public))
UNSYNCED = at("1970-01-01", trust="unsynced")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "roster"


def open_store(path: Path, *, verifier: Verifier = VERIFIER, station: str = STATION) -> RosterStore:
    return RosterStore(path, verifier=verifier, station=station)


def send(
    store: RosterStore, roster: RosterDocument, *, signer: Signer = HUB, moment: Stamp = NOON
) -> list[int | None]:
    """Deliver all parts; the version each brought into force."""
    taken = [store.take(payload, moment) for payload in seal(roster, signer)]
    return [None if found is None else found.roster.version for found in taken]


def refusal(store: RosterStore, roster: RosterDocument, *, signer: Signer = HUB) -> str:
    with pytest.raises(Refused) as refused:
        send(store, roster, signer=signer)
    return refused.value.reason


def held(path: Path) -> int:
    current = open_store(path).current
    return 0 if current is None else current.version


def crowd() -> list[RosterPerson]:
    return [
        msgspec.structs.replace(ANNA, id=f"p-{os.urandom(16).hex()}", number=f"{n + 1000}")
        for n in range(3000)
    ]


def test_a_new_station_has_no_roster(path: Path) -> None:
    store = open_store(path)
    assert (store.current, store.set_aside) == (None, None)


def test_a_roster_survives_a_restart(path: Path) -> None:
    assert send(open_store(path), document(ANNA, version=3)) == [3]
    current = open_store(path).current
    assert current is not None
    assert current.document == document(ANNA, version=3)
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_changes_before_the_last_part(path: Path) -> None:
    store = open_store(path)
    send(store, document(ANNA, version=1))
    payloads = seal(document(*crowd(), version=2), HUB)
    assert len(payloads) > 1
    assert [store.take(payload, NOON) for payload in payloads[:-1]] == [None] * (len(payloads) - 1)
    assert held(path) == 1
    taken = store.take(payloads[-1], NOON)
    assert taken is not None
    assert (taken.roster.version, taken.kept) == (2, True)
    assert held(path) == 2


def test_an_older_roster_is_never_taken_again(path: Path) -> None:
    store = open_store(path)
    send(store, document(ANNA, version=1))
    send(store, document(version=2))
    assert refusal(store, document(ANNA, version=1)) == "stale_roster"
    assert refusal(open_store(path), document(ANNA, version=1)) == "stale_roster"
    assert open_store(path).current is not None
    assert held(path) == 2


def test_the_same_version_with_other_content_is_refused_and_with_the_same_ignored(path: Path) -> None:
    store = open_store(path)
    send(store, document(ANNA, version=2))
    assert send(store, document(ANNA, version=2)) == [None]
    assert refusal(store, document(version=2)) == "stale_roster"


def test_a_roster_that_expired_on_its_way_is_refused(path: Path) -> None:
    late = document(version=2, issued_ms=NOON.wall_ms - 73 * 3_600_000)
    assert refusal(open_store(path), late) == "roster_expired"
    assert held(path) == 0


def test_an_old_roster_is_still_in_force_after_a_restart(path: Path) -> None:
    late = document(version=2, issued_ms=NOON.wall_ms - 73 * 3_600_000)
    store = open_store(path)
    assert send(store, late, moment=UNSYNCED) == [2]
    assert held(path) == 2


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_file_cut_short_is_set_aside_and_denies(path: Path, length: int) -> None:
    send(open_store(path), document(ANNA, version=2))
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    store = open_store(path)
    assert store.current is None
    assert store.set_aside is not None
    assert store.set_aside.read_bytes() == whole[:length]
    assert not path.exists()


def test_no_flipped_bit_of_the_file_is_believed(path: Path) -> None:
    send(open_store(path), document(ANNA, version=2))
    whole = path.read_bytes()
    believed = []
    for place in range(0, len(whole), 3):
        altered = bytearray(whole)
        altered[place] ^= 1 << (place % 8)
        path.write_bytes(altered)
        if held(path) != 0:
            believed.append(place)
    assert believed == []


def test_an_empty_list_is_no_roster(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(msgspec.msgpack.encode([]))
    assert open_store(path).set_aside is not None


def test_whoever_writes_the_disk_lets_nobody_in(path: Path) -> None:
    """A file signed by another key, or for another station, is not believed."""
    stranger = Signer(Ed25519PrivateKey.generate())
    theirs = Verifier.of(encode_public(stranger.public))
    send(open_store(path, verifier=theirs), document(ANNA), signer=stranger)
    assert held(path) == 0
    send(open_store(path), document(ANNA))
    assert open_store(path, station="st-other001").current is None


def test_a_roster_signed_by_nobody_known_is_refused(path: Path) -> None:
    stranger = Signer(Ed25519PrivateKey.generate())
    assert refusal(open_store(path), document(ANNA), signer=stranger) == "unknown_key"


@pytest.fixture
def sealed_folder(path: Path) -> Iterator[Path]:
    """A disk that refuses: the new file's name is taken by a folder."""
    path.parent.mkdir(parents=True)
    blocked = path.with_name(f"{path.name}.new")
    blocked.mkdir()
    yield path
    blocked.rmdir()


def test_a_roster_the_disk_refuses_is_obeyed_until_the_restart(sealed_folder: Path) -> None:
    store = open_store(sealed_folder)
    (payload,) = seal(document(ANNA, version=4), HUB)
    taken = store.take(payload, NOON)
    assert taken is not None
    assert not taken.kept
    assert store.current is taken.roster
    assert held(sealed_folder) == 0
