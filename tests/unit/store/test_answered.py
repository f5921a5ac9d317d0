"""An order is begun on disk before its pulse, ended once, and never run again after a crash."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_config.vocabulary import Outcome
from firmware_config.wire import Ack, Evidence, Result
from station_agent.core.commands import Known
from station_agent.store import answered
from station_agent.store.store import Store
from tests.support.station_store import STATION, open_store, stamp

CMD = "c" * 32
DIGEST = "d" * 64


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path)
    yield store
    store.close()


def result(
    store: Store, outcome: Outcome, mono_ms: int = 1, *, cmd_id: str = CMD, synced: bool = False
) -> Result:
    at = stamp(mono_ms, synced=synced)
    return Result(
        station=STATION,
        cmd_id=cmd_id,
        install_id=store.install_id,
        boot_id=at.boot_id,
        mono_ms=at.mono_ms,
        wall_ms=at.wall_ms,
        clock=at.trust,
        outcome=outcome,
        evidence=Evidence(energised_mono_ms=mono_ms),
    )


def intend(store: Store, cmd_id: str = CMD) -> bool:
    told: list[bool] = []
    done = threading.Event()

    def on_done(ok: bool) -> None:  # noqa: FBT001 (the callback's signature)
        told.append(ok)
        done.set()

    store.commit_intent(cmd_id, DIGEST, on_done)
    assert done.wait(10)
    return told == [True]


def pending(store: Store) -> list[Outcome]:
    assert store.barrier(10)
    return [item.result.outcome for item in store.outbox.results(100)]


def ack(store: Store, *cmd_ids: str) -> None:
    store.acknowledge(Ack(station=STATION, install_id=store.install_id, results=list(cmd_ids)))


def test_an_intent_is_committed_once(store: Store) -> None:
    assert intend(store)
    assert not intend(store)


def test_an_intent_is_refused_by_a_full_disk(store: Store) -> None:
    assert store.barrier(10)
    pages = "PRAGMA max_page_count = 1"
    store._safety.call(lambda connection: connection.execute(pages).fetchall())
    assert not all(intend(store, f"{number:032x}") for number in range(200))


def test_an_intent_is_refused_by_a_closed_store(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.close()
    assert not intend(store)


@pytest.mark.parametrize("pulsing", [False, True])
def test_an_order_cut_off_by_a_crash_is_interrupted_with_its_evidence(
    tmp_path: Path, *, pulsing: bool
) -> None:
    store = open_store(tmp_path)
    assert intend(store)
    if pulsing:
        store.put_result(result(store, Outcome.PULSING, 77))
        assert store.barrier(10)
    store.close()
    store = open_store(tmp_path, stamp(5, boot_id="e" * 32))
    known = store.recall()[CMD]
    assert (known.digest, known.result.outcome, known.result.code) == (
        DIGEST,
        Outcome.INTERRUPTED,
        "restarted",
    )
    assert known.result.evidence.energised_mono_ms == (77 if pulsing else None)
    assert known.result.boot_id == "e" * 32
    assert pending(store) == [Outcome.INTERRUPTED]
    store.close()
    again = open_store(tmp_path)
    assert again.recall() == {CMD: known}
    again.close()


def test_the_final_result_replaces_the_first_word_and_is_recalled(store: Store) -> None:
    assert intend(store)
    store.put_result(result(store, Outcome.PULSING))
    assert pending(store) == [Outcome.PULSING]
    final = result(store, Outcome.OPENED)
    store.put_result(final)
    assert pending(store) == [Outcome.OPENED]
    assert store.recall() == {CMD: Known(DIGEST, final)}


def test_the_first_final_result_stays_whatever_is_put_later(store: Store) -> None:
    first = result(store, Outcome.OPENED)
    store.put_result(first, digest=DIGEST)
    store.put_result(result(store, Outcome.REJECTED))
    store.put_result(result(store, Outcome.PULSING))
    assert pending(store) == [Outcome.OPENED]
    assert store.recall() == {CMD: Known(DIGEST, first)}


def test_an_acknowledged_result_goes_and_comes_back_only_when_put_again(store: Store) -> None:
    final = result(store, Outcome.OPENED)
    store.put_result(final)
    assert pending(store) == [Outcome.OPENED]
    ack(store, CMD)
    assert pending(store) == []
    assert store.backlog().rows == 0
    store.put_result(final)
    assert pending(store) == [Outcome.OPENED]


def test_an_acknowledgement_of_the_first_word_removes_nothing(store: Store) -> None:
    store.put_result(result(store, Outcome.PULSING))
    assert pending(store) == [Outcome.PULSING]
    ack(store, CMD)
    assert pending(store) == [Outcome.PULSING]
    store.put_result(result(store, Outcome.OPENED))
    assert store.barrier(10)
    ack(store, CMD)  # of the first word: the final one was not yet given to the pump
    assert pending(store) == [Outcome.OPENED]
    ack(store, CMD)
    assert pending(store) == []


def test_a_result_put_again_is_sent_again_under_a_new_number(store: Store) -> None:
    final = result(store, Outcome.OPENED)
    store.put_result(final)
    assert store.barrier(10)
    (first,) = store.outbox.results(9)
    store.put_result(final)
    assert store.barrier(10)
    (second,) = store.outbox.results(9, after=first.seq)
    assert second.result == final
    assert store.backlog().rows == 1


def test_answers_older_than_a_week_go_once_acknowledged(store: Store) -> None:
    week = answered.KEPT_MS
    old, unsure, unsent = (f"{number:032x}" for number in (1, 2, 3))
    store.put_result(result(store, Outcome.OPENED, 0, cmd_id=old, synced=True))
    store.put_result(result(store, Outcome.OPENED, 0, cmd_id=unsure))
    store.put_result(result(store, Outcome.OPENED, 0, cmd_id=unsent, synced=True))
    assert len(pending(store)) == 3
    ack(store, old, unsure)
    store.put_result(result(store, Outcome.OPENED, week + 1, synced=True))
    assert store.barrier(10)
    assert list(store.recall()) == [unsure, unsent, CMD]


def test_only_the_newest_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answered, "REMEMBERED", 2)
    store = open_store(tmp_path)
    cmd_ids = [f"{number:032x}" for number in range(4)]
    for cmd_id in cmd_ids:
        store.put_result(result(store, Outcome.REJECTED, cmd_id=cmd_id))
    assert len(pending(store)) == 4
    ack(store, *cmd_ids)
    store.close()
    store = open_store(tmp_path, stamp(9, synced=True))
    assert list(store.recall()) == cmd_ids[2:]
    store.close()


def test_a_lost_file_means_a_new_install(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    before = store.install_id
    store.close()
    (tmp_path / "safety.db").write_bytes(b"gone" * 5000)
    store = open_store(tmp_path)
    assert store.install_id != before
    assert [file.name[:18] for file in store.set_aside] == ["safety.db.damaged-"]
    assert store.recall() == {}
    store.close()
