"""What people said at the kiosk and the codes they used are kept with their templates, all or nothing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_config.wire import Erase
from station_agent.core.lockout import Subject
from station_agent.store.consents import Said, UsedCode
from station_agent.store.credentials import Credentials
from station_agent.store.people import CodeUsedError, PeopleStore, Person
from tests.support.rosters import NOON

ENGINE, DIGEST = "opencv", "a" * 64
ANNA = Person(id="p-anna", enrolled_at_ms=NOON.wall_ms, consent="kiosk:1")
SAID = Said(given=True, notice=1, replication=True, said_at_ms=NOON.wall_ms, roster=7)
WITHDREW = Said(given=False, notice=1, replication=False, said_at_ms=NOON.wall_ms + 1, roster=8)
CODE = UsedCode("c" * 64, NOON.wall_ms + 1000)


def templates(seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(3, 128))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def opened(folder: Path) -> PeopleStore:
    return PeopleStore(folder / "people.db", folder / "gallery.key", station="st-test0001")


def enrol(
    store: PeopleStore, *, said: Said | None = SAID, code: UsedCode | None = CODE, seed: int = 1
) -> None:
    store.enrol(ANNA, templates(seed), engine=ENGINE, digest=DIGEST, said=said, code=code)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PeopleStore]:
    people = opened(tmp_path)
    yield people
    people.close()


def test_word_and_used_code_outlive_a_restart(tmp_path: Path) -> None:
    first = opened(tmp_path)
    enrol(first)
    first.close()
    again = opened(tmp_path)
    assert (again.said(), again.used(CODE.digest), again.used("d" * 64)) == ({"p-anna": SAID}, True, False)
    again.close()


def test_a_code_used_before_changes_nothing(store: PeopleStore) -> None:
    enrol(store)
    with pytest.raises(CodeUsedError):
        enrol(store, said=None, seed=2)
    ((_, kept),) = store.load(ENGINE, DIGEST).rows
    assert np.array_equal(kept, templates(1))


def test_a_full_disk_leaves_neither_template_nor_word_nor_used_code(store: PeopleStore) -> None:
    store._opened.connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.enrol(ANNA, np.tile(templates(1), (99, 1)), engine=ENGINE, digest=DIGEST, said=SAID, code=CODE)
    assert (store.said(), store.used(CODE.digest), store.people()) == ({}, False, [])


def test_a_used_code_is_forgotten_once_it_would_have_expired(store: PeopleStore) -> None:
    enrol(store)
    later = Person(id="p-bo", enrolled_at_ms=CODE.expires_ms + 1, consent="kiosk:1")
    other = UsedCode("e" * 64, CODE.expires_ms + 5000)
    store.enrol(later, templates(2), engine=ENGINE, digest=DIGEST, code=other)
    assert (store.used(CODE.digest), store.used(other.digest)) == (False, True)


def test_of_whoever_withdraws_the_withdrawal_is_kept_and_of_whoever_is_erased_nothing(
    store: PeopleStore,
) -> None:
    enrol(store)
    assert store.erase("p-anna", erased_at_ms=NOON.wall_ms, said=WITHDREW)
    assert (store.said(), store.load(ENGINE, DIGEST).rows) == ({"p-anna": WITHDREW}, [])
    enrol(store, code=None)
    assert store.erase("p-anna", erased_at_ms=NOON.wall_ms)
    assert store.said() == {}


@pytest.mark.parametrize("face_only", [True, False])
def test_a_withdrawal_cut_off_is_told_from_a_whole_erasure(tmp_path: Path, *, face_only: bool) -> None:
    def credentials() -> Credentials:
        return Credentials(tmp_path / "credentials.db", tmp_path / "pin.key", station="st-test0001", at=NOON)

    first = credentials()
    request = Erase(station="st-test0001", request_id="a" * 32, person="p-anna", issued_ms=1)
    first.erasures.begin(request, face_only=face_only)
    first.close()
    again = credentials()
    assert again.erasures.unfinished() == [("a" * 32, "p-anna", face_only)]
    again.close()


def test_counts_are_on_disk_when_counting_returns_and_a_closed_store_says_so(tmp_path: Path) -> None:
    subject = Subject("code", "door", "main")
    kept = Credentials(tmp_path / "credentials.db", tmp_path / "pin.key", station="st-test0001", at=NOON)
    kept.count({subject: 3})
    assert kept.remembered().tallies == {subject: 3}
    kept.close()
    with pytest.raises(sqlite3.OperationalError):
        kept.count({subject: 4})
