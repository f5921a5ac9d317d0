"""Copies of templates between stations: who gets one, until when it is sent, and everything a receiver refuses."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from firmware_config.replica import Content, Delivery, Header, parse, public_half, raw_key, seal
from firmware_config.roster import Peer, RosterPerson
from station_agent.people.replicating import RESEND_S
from station_agent.store.consents import Said
from tests.support.shelf import AGREED, Shelf, templates

DAY_S = 86_400.0


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Callable[..., Shelf]]:
    made: list[Shelf] = []

    def make(name: str, **fields: Any) -> Shelf:
        made.append(Shelf(f"st-{name}01", tmp_path / name, **fields))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


@pytest.fixture
def north(shelf: Callable[..., Shelf]) -> Shelf:
    return shelf("north")


@pytest.fixture
def south(shelf: Callable[..., Shelf]) -> Shelf:
    return shelf("south")


def agree(north: Shelf, south: Shelf, *people: RosterPerson) -> None:
    """Both stations get the roster that the consent brings."""
    north.allow(*(people or (AGREED,)), peers=[south.peer])
    south.allow(*(people or (AGREED,)), peers=[north.peer])


def replicate(north: Shelf, south: Shelf) -> Delivery:
    """Enrol at one, and bring the copy to the other."""
    north.enrol("anna", 1)
    agree(north, south)
    north.replicating.turn()
    south.adopting.arrived(north.carried()[-1])
    return north.carried()[-1]


def answer(south: Shelf) -> object:
    """The reason of the last refusal; None when the last copy was taken."""
    return south.told()[-1].get("refused")


def test_a_copy_is_in_force_where_it_arrives(north: Shelf, south: Shelf) -> None:
    delivery = replicate(north, south)
    assert south.people() == ["anna"]
    known = south.templates("anna")
    assert known is not None
    assert np.array_equal(known, templates(1))
    assert south.told() == [{"id": delivery.id, "person": "anna", "from": north.station, "engine": "opencv"}]


def test_what_arrives_is_sealed_anew_under_the_receiver_s_own_key(north: Shelf, south: Shelf) -> None:
    replicate(north, south)
    with south.store.transaction() as connection:
        nonce, sealed = connection.execute("SELECT nonce, sealed FROM template").fetchone()
    binding = f"anna|{south.station}|opencv|{'a' * 64}|1|0".encode()
    own, other = ((one.folder / "gallery.key").read_bytes() for one in (south, north))
    assert AESGCM(own).decrypt(nonce, sealed, binding) == templates(1)[0].tobytes()
    with pytest.raises(InvalidTag):
        AESGCM(other).decrypt(nonce, sealed, binding)


@pytest.mark.parametrize(
    "person",
    [
        RosterPerson(id="anna", groups=["always"], face=True, consent=3),
        RosterPerson(id="anna", groups=["always"], replication=2),
        RosterPerson(id="berta", groups=["always"], face=True, consent=3, replication=2),
    ],
    ids=["no second consent", "face withdrawn", "not on the roster"],
)
def test_no_copy_is_made_of_who_did_not_agree_to_it(north: Shelf, south: Shelf, person: RosterPerson) -> None:
    north.enrol("anna", 1)
    agree(north, south, person)
    north.replicating.turn()
    assert (north.sent, north.book.copies()) == ([], {})


def test_a_station_that_does_not_know_the_time_seals_nothing(north: Shelf, south: Shelf) -> None:
    north.trust = "unsynced"
    north.enrol("anna", 1)
    agree(north, south)
    north.replicating.turn()
    assert north.sent == []
    north.trust = "synced"
    north.replicating.turn()
    assert len(north.sent) == 1


def test_each_peer_gets_a_copy_that_only_it_can_open(
    north: Shelf, south: Shelf, shelf: Callable[..., Shelf]
) -> None:
    west = shelf("west")
    north.enrol("anna", 1)
    north.allow(AGREED, peers=[south.peer, west.peer])
    west.allow(AGREED, peers=[north.peer])
    north.replicating.turn()
    first, second = north.carried()
    assert {first.station, second.station} == {south.station, west.station}
    wrong = msgspec.structs.replace(first if first.station == south.station else second, station=west.station)
    west.adopting.arrived(wrong)
    assert (answer(west), west.people()) == ("misdirected", [])


def test_a_copy_is_sent_until_the_hub_has_it_also_by_the_next_run(north: Shelf, south: Shelf) -> None:
    north.up = False
    north.enrol("anna", 1)
    agree(north, south)
    north.replicating.turn()
    assert north.sent == []
    north.store.close()
    north.open()
    north.up = True
    north.replicating.turn()
    north.replicating.turn()
    assert len(north.sent) == 1
    north.wait(RESEND_S + 1)
    north.replicating.turn()
    assert [one.id for one in north.sent] == [north.sent[0].id] * 2
    north.replicating.acknowledged([north.sent[0].id])
    north.wait(DAY_S)
    north.replicating.turn()
    assert len(north.sent) == 2
    with north.store.transaction() as connection:
        assert connection.execute("SELECT sealed FROM outgoing").fetchall() == [(None,)]


@pytest.mark.parametrize("change", ["enrolled anew", "the receiver has another key", "another notice"])
def test_another_copy_is_made_when_what_it_was_made_of_changed(
    north: Shelf, south: Shelf, change: str
) -> None:
    replicate(north, south)
    north.replicating.acknowledged([north.sent[0].id])
    north.wait(60)
    if change == "enrolled anew":
        north.enrol("anna", 2)
    elif change == "another notice":
        north.allow(msgspec.structs.replace(AGREED, replication=3), peers=[south.peer])
    else:
        north.allow(AGREED, peers=[Peer(south.station, public_half(X25519PrivateKey.generate()))])
    north.replicating.turn()
    assert len(north.sent) == 2
    assert north.sent[0].id != north.sent[1].id


@pytest.mark.parametrize("end", ["erased", "withdrawn"])
def test_nothing_waits_to_be_sent_of_somebody_erased_or_withdrawn(
    north: Shelf, south: Shelf, end: str
) -> None:
    north.up = False
    north.enrol("anna", 1)
    agree(north, south)
    north.replicating.turn()
    if end == "erased":
        north.forget("anna")
    else:
        north.allow(msgspec.structs.replace(AGREED, replication=0), peers=[south.peer])
    north.up = True
    north.replicating.turn()
    assert (north.sent, north.book.waiting(9)) == ([], [])


def test_copies_of_copies_are_not_made(north: Shelf, south: Shelf, shelf: Callable[..., Shelf]) -> None:
    west = shelf("west")
    replicate(north, south)
    south.allow(AGREED, peers=[north.peer, west.peer])
    south.replicating.turn()
    assert south.sent == []


def test_the_same_copy_again_is_answered_again_and_changes_nothing(north: Shelf, south: Shelf) -> None:
    delivery = replicate(north, south)
    changes = south.changes
    south.adopting.arrived(delivery)
    assert (answer(south), len(south.told()), south.changes) == (None, 2, changes)


def test_what_a_roster_does_not_allow_yet_waits_for_the_next_one(north: Shelf, south: Shelf) -> None:
    north.enrol("anna", 1)
    north.allow(AGREED, peers=[south.peer])
    north.replicating.turn()
    (delivery,) = north.carried()
    for people, peers in (((), [north.peer]), ((AGREED,), []), ((RosterPerson(id="anna"),), [north.peer])):
        south.allow(*people, peers=peers)
        south.adopting.turn()
        south.adopting.arrived(delivery)
        assert (south.told(), south.people()) == ([], [])
    south.allow(AGREED, peers=[north.peer])
    south.adopting.turn()
    assert (answer(south), south.people()) == (None, ["anna"])


def test_before_the_first_roster_nothing_is_taken(north: Shelf, south: Shelf) -> None:
    north.enrol("anna", 1)
    north.allow(AGREED, peers=[south.peer])
    north.replicating.turn()
    south.adopting.arrived(north.carried()[0])
    assert (south.told(), south.people()) == ([], [])


def test_who_has_withdrawn_at_this_kiosk_is_not_brought_back_by_an_older_roster(
    north: Shelf, south: Shelf
) -> None:
    north.enrol("anna", 1)
    agree(north, south)
    no = Said(given=False, notice=1, replication=False, said_at_ms=south.now_ms, roster=1)
    south.forget("anna", said=no)
    north.replicating.turn()
    south.adopting.arrived(north.carried()[0])
    assert (south.told(), south.people()) == ([], [])


def test_a_replayed_copy_brings_nobody_back(north: Shelf, south: Shelf) -> None:
    delivery = replicate(north, south)
    south.wait(60)
    south.forget("anna")
    south.adopting.arrived(msgspec.structs.replace(delivery, id="f" * 32))
    assert (answer(south), south.people()) == ("replayed", [])


def test_the_very_same_copy_brings_nobody_back_either(north: Shelf, south: Shelf) -> None:
    delivery = replicate(north, south)
    south.forget("anna")
    south.adopting.arrived(delivery)
    assert (answer(south), south.people()) == ("replayed", [])


def test_a_copy_held_back_until_after_the_erasure_is_refused(north: Shelf, south: Shelf) -> None:
    replicate(north, south)
    north.wait(60)
    north.enrol("anna", 1)
    north.replicating.turn()
    held_back = north.carried()[-1]
    south.wait(120)
    south.forget("anna")
    south.adopting.arrived(held_back)
    assert (answer(south), south.people()) == ("erased_since", [])
    north.wait(120)
    north.enrol("anna", 1)
    north.replicating.turn()
    south.adopting.arrived(north.carried()[-1])
    assert (answer(south), south.people()) == (None, ["anna"])


def test_an_older_copy_never_replaces_a_newer_one(north: Shelf, south: Shelf) -> None:
    north.enrol("anna", 1)
    agree(north, south)
    north.replicating.turn()
    north.wait(60)
    north.enrol("anna", 2)
    north.replicating.turn()
    older, newer = north.carried()
    south.adopting.arrived(newer)
    south.adopting.arrived(older)
    assert answer(south) == "replayed"
    known = south.templates("anna")
    assert known is not None
    assert np.array_equal(known, templates(2))


def forged(north: Shelf, south: Shelf, *, rows: Any = None, **changes: Any) -> Delivery:
    """A copy that the sender itself has made badly."""
    fields: dict[str, Any] = {
        "sender": north.station, "receiver": south.station, "person": "anna", "engine": "opencv",
        "digest": "a" * 64, "replication": 2, "sealed_ms": south.now_ms,
        "sender_key": raw_key(public_half(north.key)), "receiver_key": raw_key(public_half(south.key)),
    }  # fmt: skip
    vectors = templates(1) if rows is None else rows
    content = Content(templates=[row.tobytes() for row in vectors], face=3, replication=2, enrolled_ms=1)
    text = seal(Header(**{**fields, **changes}), content, private=north.key)
    return Delivery(station=south.station, id="e" * 32, sender=north.station, person="anna", sealed=text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"person": "berta"}, "misdirected"),
        ({"receiver_key": raw_key(public_half(X25519PrivateKey.generate()))}, "other_key"),
        ({"engine": "face-recognition"}, "other_engine"),
        ({"digest": "b" * 64}, "other_engine"),
        ({"sealed_ms": 1}, "too_old"),
        ({"sealed_ms": 2**52}, "from_future"),
        ({"rows": templates(1)[:, :64]}, "malformed"),
        ({"rows": templates(1) * 2}, "malformed"),
        ({"rows": np.full((3, 128), np.nan, np.float32)}, "malformed"),
    ],
)
def test_a_copy_that_is_not_right_is_refused_with_its_reason(
    north: Shelf, south: Shelf, changes: dict[str, Any], reason: str
) -> None:
    agree(north, south)
    south.adopting.arrived(forged(north, south, **changes))
    assert (answer(south), south.people()) == (reason, [])


def test_an_altered_copy_is_refused(north: Shelf, south: Shelf) -> None:
    agree(north, south)
    good = forged(north, south)
    raw = bytearray(base64.b64decode(good.sealed))
    raw[-1] ^= 1
    south.adopting.arrived(msgspec.structs.replace(good, sealed=base64.b64encode(raw).decode()))
    assert answer(south) == "unopened"
    assert parse(good.sealed).header.person == "anna"


def test_a_face_that_is_enrolled_under_another_id_is_refused(north: Shelf, south: Shelf) -> None:
    south.enrol("berta", 1)
    replicate(north, south)
    assert (answer(south), south.people()) == ("duplicate", ["berta"])


def test_a_full_gallery_takes_nobody(north: Shelf, south: Shelf) -> None:
    south.room = 1
    south.enrol("berta", 7)
    replicate(north, south)
    assert (answer(south), south.people()) == ("gallery_full", ["berta"])


def test_who_enrolled_here_keeps_what_was_made_here(north: Shelf, south: Shelf) -> None:
    south.enrol("anna", 5)
    replicate(north, south)
    assert answer(south) == "enrolled_here"
    known = south.templates("anna")
    assert known is not None
    assert np.array_equal(known, templates(5))
