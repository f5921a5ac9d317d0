"""Damage of every kind to the files: the store always opens, and no answer of it is silently wrong (safety.md D5)."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from firmware_config.vocabulary import EventKind, Lane, Outcome
from firmware_config.wire import Ack, Event, Result
from station_agent.core.commands import Known
from station_agent.store.store import Store
from tests.support.station_store import BOOT, STATION, open_store, stamp

KINDS = (EventKind.TAMPER_OPENED, EventKind.DOOR_OPENED, EventKind.STATION_STARTED)
SEEDS_EACH = 12
PAGE = 4096


@dataclass(frozen=True)
class Truth:
    """What was in the files, and an older and a newer copy of them, taken while they were open."""

    install_id: str
    events: dict[int, Event]
    waiting: set[int]
    readings: dict[int, float]
    answers: dict[str, Known]
    older: Path
    newer: Path


def fill(store: Store, count: int, *, seed: int) -> None:
    pick = Random(seed)  # noqa: S311
    for number in range(count):
        kind = pick.choice(KINDS)
        store.put_event(kind, {"n": number, "text": "门" * pick.randrange(80)}, stamp(number))
        store.put_reading("co2", 400 + number, stamp(number))
        if number % 10 == 0:
            store.put_result(a_result(store, f"{seed:016x}{number:016x}"), digest="d" * 64)
    assert store.barrier(10)
    assert store.telemetry.barrier(10)
    seqs = [seq for seq in range(1, store.event_seq + 1) if pick.random() < 0.5]
    store.acknowledge(Ack(station=STATION, install_id=store.install_id, events=seqs))
    assert store._safety.barrier(10)


def a_result(store: Store, cmd_id: str) -> Result:
    return Result(
        station=STATION,
        cmd_id=cmd_id,
        install_id=store.install_id,
        boot_id=BOOT,
        mono_ms=1,
        wall_ms=1,
        clock="unsynced",
        outcome=Outcome.OPENED,
    )


def events_of(store: Store) -> dict[int, Event]:
    return {event.seq: event for lane in Lane for event in store.outbox.events(lane, 10_000)}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    folder = tmp_path_factory.mktemp("truth")
    store = open_store(folder / "live")
    fill(store, 150, seed=1)
    shutil.copytree(folder / "live", folder / "older")
    fill(store, 250, seed=2)
    shutil.copytree(folder / "live", folder / "newer")
    waiting = events_of(store)
    store.resend(store.install_id, 1, 1000)
    everything = events_of(store)
    yield Truth(
        install_id=store.install_id,
        events=everything,
        waiting=set(waiting),
        readings={reading.seq: reading.value for reading in store.telemetry.readings(10_000)},
        answers=store.recall(),
        older=folder / "older",
        newer=folder / "newer",
    )
    store.close()


Harm = Callable[[Path, Path, Random], None]


def flip_bits(file: Path, _older: Path, pick: Random) -> None:
    raw = bytearray(file.read_bytes())
    for _ in range(pick.choice([1, 1, 1, 8])):
        raw[pick.randrange(len(raw))] ^= 1 << pick.randrange(8)
    file.write_bytes(raw)


def flip_in_a_row(file: Path, _older: Path, pick: Random) -> None:
    """Where SQLite's own check sees nothing: inside of a text."""
    raw = bytearray(file.read_bytes())
    places = [
        at for at in range(len(raw) - 9) if bytes(raw[at : at + 4]) in {b'"n":', b"open", b"text", b"unsy"}
    ]
    at = pick.choice(places) + pick.randrange(4)
    raw[at] ^= 1 << pick.randrange(3)
    file.write_bytes(raw)


def cut(file: Path, _older: Path, pick: Random) -> None:
    raw = file.read_bytes()
    size = pick.choice([0, 1, 100, PAGE, pick.randrange(len(raw)), len(raw) // PAGE * PAGE - PAGE])
    file.write_bytes(raw[: max(0, size)])


def zero_a_page(file: Path, _older: Path, pick: Random) -> None:
    raw = bytearray(file.read_bytes())
    at = pick.randrange(max(1, len(raw) // PAGE)) * PAGE
    raw[at : at + PAGE] = bytes(len(raw[at : at + PAGE]))
    file.write_bytes(raw)


def older_chunk(file: Path, older: Path, pick: Random) -> None:
    raw, old = bytearray(file.read_bytes()), (older / file.name).read_bytes()
    at = pick.randrange(max(1, min(len(raw), len(old)) // PAGE)) * PAGE
    size = PAGE * pick.choice([1, 2, 8])
    piece = old[at : at + size]
    raw[at : at + len(piece)] = piece
    file.write_bytes(raw)


def older_whole(file: Path, older: Path, _pick: Random) -> None:
    shutil.copy(older / file.name, file)


def noise_behind(file: Path, _older: Path, pick: Random) -> None:
    file.write_bytes(file.read_bytes() + pick.randbytes(pick.randrange(1, 3 * PAGE)))


def gone(file: Path, _older: Path, _pick: Random) -> None:
    file.unlink()


HARMS = (flip_bits, flip_in_a_row, cut, zero_a_page, older_chunk, older_whole, noise_behind, gone)


@pytest.mark.parametrize("name", ["safety.db", "safety.db-wal"])
@pytest.mark.parametrize("harm", HARMS)
def test_no_damage_of_the_safety_file_makes_it_tell_something_wrong(
    truth: Truth, tmp_path: Path, harm: Harm, name: str
) -> None:
    for seed in range(SEEDS_EACH):
        folder = tmp_path / str(seed)
        shutil.copytree(truth.newer, folder)
        if name == "safety.db":  # all of it in one file, or every harm would be healed from the log
            checkpoint(folder)
        harm(folder / name, truth.older, Random(seed))  # noqa: S311
        judge(truth, folder, f"{harm.__name__} {name} seed {seed}")


@pytest.mark.parametrize("harm", HARMS)
def test_no_damage_of_the_telemetry_file_makes_up_a_reading(truth: Truth, tmp_path: Path, harm: Harm) -> None:
    for seed in range(SEEDS_EACH):
        folder = tmp_path / str(seed)
        shutil.copytree(truth.newer, folder)
        open_store(folder).close()
        harm(folder / "telemetry.db", truth.older, Random(seed))  # noqa: S311
        store = open_store(folder)
        told = [reading.value for reading in store.telemetry.readings(10_000)]
        assert set(told) <= set(truth.readings.values())
        assert (
            len(told) == len(truth.readings)
            or told_of_damage(store)
            or store._telemetry.rolled_back
            or harm is gone
        )
        store.close()


def checkpoint(folder: Path) -> None:
    """A clean end, and the count of commits outside of the file as a crash leaves it."""
    witness = (folder / "safety.db.lock").read_bytes()
    store = open_store(folder)
    store.close()
    (folder / "safety.db.lock").write_bytes(witness)


def told_of_damage(store: Store) -> bool:
    return any(event.kind is EventKind.STORAGE_DAMAGED for event in store.outbox.events(Lane.ALARM, 10_000))


def judge(truth: Truth, folder: Path, what: str) -> None:
    store = open_store(folder)
    assert store.barrier(10)
    found, answers = events_of(store), store.recall()
    if store.install_id == truth.install_id and not store.set_aside:
        assert found == {seq: truth.events[seq] for seq in truth.waiting}, what
        assert answers == truth.answers, what
        assert store.event_seq == max(truth.events), what
    else:
        assert told_of_damage(store) or "gone" in what, what
        for event in found.values():
            if event.kind is not EventKind.STORAGE_DAMAGED:
                was = int(str(event.data["salvaged"]).rpartition(":")[2])
                original = truth.events[was]
                assert (event.kind, event.mono_ms) == (original.kind, original.mono_ms), what
                assert event.data | {"salvaged": ""} == original.data | {"salvaged": ""}, what
        for cmd_id, known in answers.items():
            assert known.result.outcome is truth.answers[cmd_id].result.outcome, what
    store.close()


def test_rows_that_are_sound_are_moved_into_the_new_file(truth: Truth, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(truth.newer, folder)
    checkpoint(folder)
    flip_in_a_row(folder / "safety.db", truth.older, Random(4))  # noqa: S311
    store = open_store(folder)
    assert store.set_aside
    assert store.barrier(10)
    salvaged = [event for event in events_of(store).values() if "salvaged" in event.data]
    assert len(salvaged) >= len(truth.waiting) - 1
    results = store.outbox.results(1000)
    assert len(results) >= len(truth.answers) - 1
    assert {item.result.install_id for item in results} == {store.install_id}
    store.close()


def test_what_is_saved_twice_names_both_files(truth: Truth, tmp_path: Path) -> None:
    """The hub may have had it under either name."""
    folder = tmp_path / "data"
    shutil.copytree(truth.newer, folder)
    names = []
    for seed in (4, 5):
        checkpoint(folder)
        flip_in_a_row(folder / "safety.db", truth.older, Random(seed))  # noqa: S311
        store = open_store(folder)
        assert store.set_aside
        assert store.barrier(10)
        names.append(store.install_id)
        found = events_of(store)
        store.close()
    places = [str(event.data["salvaged"]).split() for event in found.values() if "salvaged" in event.data]
    both = [[place.rpartition(":")[0] for place in each] for each in places if len(each) > 1]
    assert len(both) >= len(truth.waiting) - 2
    assert {tuple(each) for each in both} == {(truth.install_id, names[0])}


def test_a_row_that_rots_while_running_is_never_sent_and_is_told(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(3):
        store.put_event(KINDS[1], {"n": number}, stamp())
    assert store.barrier(10)
    store._safety.call(
        lambda disk: disk.execute("UPDATE event SET data = '{\"n\":7}' WHERE seq = 2").rowcount
    )
    assert [event.seq for event in store.outbox.events(Lane.ACCESS, 10)] == [1, 3]
    assert store.barrier(10)
    (told,) = store.outbox.events(Lane.ALARM, 10)
    assert (told.kind, told.data) == (EventKind.STORAGE_DAMAGED, {"file": "safety.db", "rows": 1})
    assert store.health().events_lost == 1
    assert store.backlog().rows == 3
    store.close()
    store = open_store(tmp_path)
    assert store.set_aside == []
    assert store.health().events_lost == 1
    store.close()


def test_a_file_that_turns_out_bad_while_open_is_not_believed_again(truth: Truth, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(truth.newer, folder)
    checkpoint(folder)
    store = open_store(folder)
    ended: list[bool] = []
    store.report(record=lambda _kind, _data: None, damaged=lambda: ended.append(True), lost=lambda *_: None)
    raw = bytearray((folder / "safety.db").read_bytes())
    raw[PAGE:] = bytes(len(raw) - PAGE)
    (folder / "safety.db").write_bytes(raw)
    store._safety.call(lambda disk: disk.execute("PRAGMA shrink_memory").fetchall())
    with pytest.raises(Exception, match="malformed"):
        store._safety.call(lambda disk: disk.execute("SELECT count(*) FROM event NOT INDEXED").fetchall())
    store.close()
    assert ended == [True]
    store = open_store(folder)
    assert [file.name[:18] for file in store.set_aside] == ["safety.db.damaged-"]
    store.close()
