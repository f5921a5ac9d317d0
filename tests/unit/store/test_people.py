"""Templates at rest: sealed, bound to whom and what they are for, gone when erased; beside a plain dict."""

import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from firmware_config.replica import public_half
from station_agent.core.retention import Kept
from station_agent.store.db import Schema, StoreBusyError, open_database
from station_agent.store.gallery_key import GalleryKeyError, gallery_key, sealing_key
from station_agent.store.keeping import Keeping
from station_agent.store.people import SCHEMA, PeopleStore, Person, TemplateDamagedError

ENGINE, DIGEST = "opencv", "a" * 64
ANNA = Person(id="p-anna", enrolled_at_ms=1_700_000_000_000, consent="consent-1")
BO = Person(id="p-bo", enrolled_at_ms=1_700_000_000_001, consent="consent-2")


def templates(seed: int, count: int = 3) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(count, 128))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def open_store(folder: Path) -> Iterator[Callable[..., PeopleStore]]:
    opened: list[PeopleStore] = []

    def reopen(station: str = "st-test0001", key: str = "gallery.key") -> PeopleStore:
        for store in opened:
            store.close()
        opened.append(PeopleStore(folder / "people.db", folder / key, station=station))
        return opened[-1]

    yield reopen
    for store in opened:
        store.close()


def enrol(
    store: PeopleStore, person: Person, seed: int, *, engine: str = ENGINE, digest: str = DIGEST
) -> None:
    store.enrol(person, templates(seed), engine=engine, digest=digest)


def loaded(store: PeopleStore) -> dict[str, NDArray[np.float32]]:
    return dict(store.load(ENGINE, DIGEST).rows)


def files(folder: Path) -> bytes:
    """Everything the database has on disk."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("people.db*")))


def sealed_of(folder: Path, person: str) -> list[bytes]:
    with sqlite3.connect(f"file:{folder / 'people.db'}?mode=ro", uri=True) as reader:
        rows = [
            bytes(row[0]) for row in reader.execute("SELECT sealed FROM template WHERE person = ?", (person,))
        ]
    reader.close()
    return rows


def one(folder: Path, select: str) -> bytes:
    reader = sqlite3.connect(folder / "people.db")
    (value,) = reader.execute(select).fetchone()
    reader.close()
    return bytes(value)


def alter(folder: Path, statement: str, *values: object) -> None:
    writer = sqlite3.connect(folder / "people.db")
    with writer:
        assert writer.execute(statement, values).rowcount == 1
    writer.close()


def test_what_was_enrolled_is_loaded_after_a_restart(open_store: Callable[..., PeopleStore]) -> None:
    enrol(open_store(), ANNA, 1)
    store = open_store()
    assert store.people() == [ANNA]
    assert np.array_equal(loaded(store)["p-anna"], templates(1))


def test_no_template_byte_is_on_disk(open_store: Callable[..., PeopleStore], folder: Path) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    on_disk = files(folder)
    for row in templates(1):
        clear = row.tobytes()
        assert not any(clear[at : at + 8] in on_disk for at in range(0, len(clear), 8))
    store.close()
    assert sealed_of(folder, "p-anna")[0] in files(folder)


def test_only_the_agent_can_read_key_and_database(
    open_store: Callable[..., PeopleStore], folder: Path
) -> None:
    enrol(open_store(), ANNA, 1)
    modes = {
        path.name: stat.S_IMODE(path.stat().st_mode)
        for path in (folder / "people.db", folder / "gallery.key")
    }
    assert modes == {"people.db": 0o600, "gallery.key": 0o600}


def test_enrolling_again_replaces_what_was_there(open_store: Callable[..., PeopleStore]) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    store.enrol(ANNA, templates(2, 1), engine=ENGINE, digest=DIGEST)
    assert np.array_equal(loaded(store)["p-anna"], templates(2, 1))


def test_templates_of_another_engine_or_weights_are_never_loaded(
    open_store: Callable[..., PeopleStore],
) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    enrol(store, BO, 2, engine="face-recognition")
    enrol(store, BO, 3, digest="b" * 64)
    assert list(loaded(store)) == ["p-anna"]
    assert list(dict(store.load("face-recognition", DIGEST).rows)) == ["p-bo"]


def test_an_erased_person_is_gone_at_once_and_after_a_restart(open_store: Callable[..., PeopleStore]) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    enrol(store, BO, 2)
    assert store.erase("p-anna", erased_at_ms=5)
    assert (list(loaded(store)), store.people()) == (["p-bo"], [BO])
    assert list(loaded(open_store())) == ["p-bo"]


def test_nobody_is_erased_twice(open_store: Callable[..., PeopleStore]) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    assert [store.erase(who, erased_at_ms=5) for who in ("p-anna", "p-anna", "p-nobody")] == [
        True,
        False,
        False,
    ]


def test_erasure_leaves_no_sealed_byte_and_no_consent_on_disk(
    open_store: Callable[..., PeopleStore], folder: Path
) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    enrol(store, BO, 2)
    sealed = sealed_of(folder, "p-anna")
    assert len(sealed) == 3
    store.erase("p-anna", erased_at_ms=5)
    on_disk = files(folder)
    assert not any(part[at : at + 16] in on_disk for part in sealed for at in range(0, len(part) - 16, 16))
    assert b"consent-1" not in on_disk


def test_an_erased_person_may_enrol_anew(open_store: Callable[..., PeopleStore]) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    store.erase("p-anna", erased_at_ms=5)
    enrol(store, ANNA, 2)
    assert np.array_equal(loaded(store)["p-anna"], templates(2))


FLIP: dict[str, tuple[str, str]] = {
    column: (
        f"SELECT {column} FROM template WHERE person = 'p-anna' AND number = 1",  # noqa: S608 (a literal below)
        f"UPDATE template SET {column} = ? WHERE person = 'p-anna' AND number = 1",  # noqa: S608 (a literal below)
    )
    for column in ("sealed", "nonce")
}


@pytest.mark.parametrize("column", FLIP)
def test_a_flipped_byte_denies_its_person_and_nobody_else(
    open_store: Callable[..., PeopleStore], folder: Path, column: str
) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    enrol(store, BO, 2)
    store.close()
    select, update = FLIP[column]
    before = one(folder, select)
    alter(folder, update, before[:5] + bytes([before[5] ^ 1]) + before[6:])
    result = open_store().load(ENGINE, DIGEST)
    assert [person for person, _ in result.rows] == ["p-bo"]
    (fault,) = result.damaged
    assert isinstance(fault, TemplateDamagedError)
    assert (fault.person, "template 1 of person p-anna" in str(fault)) == ("p-anna", True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            "UPDATE template SET person = 'p-bo' WHERE person = 'p-anna' AND number = 0", id="another person"
        ),
        pytest.param(
            "UPDATE template SET number = 7 WHERE person = 'p-anna' AND number = 0", id="another number"
        ),
    ],
)
def test_a_template_moved_elsewhere_does_not_open(
    open_store: Callable[..., PeopleStore], folder: Path, change: str
) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    store.enrol(BO, templates(2, 1), engine=ENGINE, digest="b" * 64)
    store.close()
    alter(folder, change)
    assert len(open_store().load(ENGINE, DIGEST).damaged) == 1


def test_another_station_or_key_opens_nothing(open_store: Callable[..., PeopleStore]) -> None:
    enrol(open_store(), ANNA, 1)
    for elsewhere in ({"station": "st-other001"}, {"key": "other.key"}):
        result = open_store(**elsewhere).load(ENGINE, DIGEST)
        assert (list(result.rows), [fault.person for fault in result.damaged]) == ([], ["p-anna"])


def test_a_damaged_file_is_set_aside_and_said_so(
    open_store: Callable[..., PeopleStore], folder: Path
) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    store.close()
    (folder / "people.db").write_bytes(b"no database at all" * 100)
    store = open_store()
    assert store.set_aside is not None
    assert store.people() == []


def test_a_second_agent_is_refused(open_store: Callable[..., PeopleStore], folder: Path) -> None:
    open_store()
    with pytest.raises(StoreBusyError):
        PeopleStore(folder / "people.db", folder / "gallery.key", station="st-test0001")


@pytest.mark.parametrize("name", ["Anna Müller", "", "a|b", "-a", "a" * 65, "a/b", "p-anna\n"])
def test_only_pseudonyms_are_ids(open_store: Callable[..., PeopleStore], name: str) -> None:
    with pytest.raises(ValueError, match="is not a person's id"):
        enrol(open_store(), Person(id=name, enrolled_at_ms=0, consent="c"), 1)


@pytest.mark.parametrize("rows", [templates(1, 0), templates(1)[0]])
def test_enrolling_without_templates_is_refused(
    open_store: Callable[..., PeopleStore], rows: NDArray[np.float32]
) -> None:
    with pytest.raises(ValueError, match="is expected"):
        open_store().enrol(ANNA, rows, engine=ENGINE, digest=DIGEST)


def test_a_failed_enrolment_changes_nothing(open_store: Callable[..., PeopleStore]) -> None:
    store = open_store()
    enrol(store, ANNA, 1)
    store._opened.connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.enrol(ANNA, templates(2, 200), engine=ENGINE, digest=DIGEST)
    assert np.array_equal(loaded(store)["p-anna"], templates(1))


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    first = gallery_key(tmp_path / "deep" / "gallery.key")
    assert len(first.secret) == 32
    assert gallery_key(tmp_path / "deep" / "gallery.key") == first
    assert gallery_key(tmp_path / "other.key").secret != first.secret


def test_a_key_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gallery.key"
    gallery_key(file)
    file.chmod(0o640)
    with pytest.raises(GalleryKeyError, match=r"gallery\.key has mode 640"):
        gallery_key(file)


def test_a_torn_key_is_set_aside_and_another_made(tmp_path: Path) -> None:
    file = tmp_path / "gallery.key"
    for number, text in enumerate((b"short", b"")):
        file.touch(0o600)
        file.write_bytes(text)
        key = gallery_key(file)
        assert key.set_aside is not None
        assert key.set_aside.name == "gallery.key.damaged" + ("-1" if number else "")
        assert key.set_aside.read_bytes() == text
        assert len(key.secret) == 32
        assert gallery_key(file) == (key.secret, None)


def test_a_key_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "gallery.key").mkdir()
    with pytest.raises(GalleryKeyError, match=r"gallery\.key cannot be used: Is a directory"):
        gallery_key(tmp_path / "gallery.key")


def test_a_sealing_key_is_made_once_and_is_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "sealing.key"
    first = sealing_key(file)
    assert public_half(sealing_key(file)) == public_half(first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    with pytest.raises(GalleryKeyError, match=r"sealing key .*sealing\.key has mode 644"):
        sealing_key(file)


def test_people_of_an_earlier_release_are_kept_and_counted_from_today(
    folder: Path, open_store: Callable[..., PeopleStore]
) -> None:
    older = Schema(migrations=SCHEMA.migrations[:2], synchronous="FULL")
    opened = open_database(folder / "people.db", older)
    opened.connection.execute("INSERT INTO person (id, enrolled_at_ms, consent) VALUES ('p-anna', 1, 'c')")
    opened.connection.execute("INSERT INTO person VALUES ('p-bo', 1, '', 2)")
    opened.close()
    assert Keeping(open_store()).kept() == [Kept(person="p-anna")]


class PeopleBesideADict(RuleBasedStateMachine):
    """The real store, with real restarts, does what a dict does."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="people-"))
        self.model: dict[str, NDArray[np.float32]] = {}
        self.store = self._open()

    def _open(self) -> PeopleStore:
        return PeopleStore(self.folder / "people.db", self.folder / "gallery.key", station="st-test0001")

    @rule(person=st.sampled_from(["a", "b", "c"]), seed=st.integers(0, 5), count=st.integers(1, 3))
    def enrol(self, person: str, seed: int, count: int) -> None:
        self.store.enrol(
            Person(id=person, enrolled_at_ms=seed, consent="c"),
            templates(seed, count),
            engine=ENGINE,
            digest=DIGEST,
        )
        self.model[person] = templates(seed, count)

    @rule(person=st.sampled_from(["a", "b", "c"]))
    def erase(self, person: str) -> None:
        assert self.store.erase(person, erased_at_ms=1) == (person in self.model)
        self.model.pop(person, None)

    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = self._open()

    @invariant()
    def agrees(self) -> None:
        rows = loaded(self.store)
        assert sorted(rows) == sorted(self.model) == [person.id for person in self.store.people()]
        assert all(np.array_equal(rows[person], self.model[person]) for person in rows)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


TestPeopleBesideADict = PeopleBesideADict.TestCase
TestPeopleBesideADict.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
