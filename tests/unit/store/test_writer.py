"""One thread per file, jobs in order, a failing job alone in its failure, and no second owner."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from station_agent.store.db import Schema, StoreBusyError, StoreError
from station_agent.store.writer import Job, Writer

SCHEMA = Schema(migrations=("CREATE TABLE note (n INTEGER PRIMARY KEY) STRICT",), synchronous="FULL")


def add(number: int) -> Job[int]:
    return lambda connection: connection.execute("INSERT INTO note VALUES (?)", (number,)).rowcount


def notes(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT n FROM note ORDER BY rowid")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "note.db"


@pytest.fixture
def writer(path: Path) -> Iterator[Writer]:
    writer = Writer(path, SCHEMA)
    yield writer
    writer.close()


def hold(writer: Writer) -> threading.Event:
    """Keep the writer thread busy until the returned event is set, so that what follows queues up."""
    started, release = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        started.set()
        assert release.wait(10)

    writer.submit(wait)
    assert started.wait(10)
    return release


def test_what_is_queued_together_shares_one_transaction(writer: Writer) -> None:
    release = hold(writer)
    commits: list[str] = []
    futures = [writer.submit(add(number)) for number in range(50)]
    writer._opened.connection.set_trace_callback(commits.append)
    release.set()
    assert [future.result(10) for future in futures] == [1] * 50
    assert commits.count("COMMIT") == 2  # the holding job's, and one for all fifty


def test_a_failing_job_neither_spoils_its_neighbours_nor_ends_the_thread(writer: Writer) -> None:
    release = hold(writer)
    first, twice, third = writer.submit(add(1)), writer.submit(add(1)), writer.submit(add(3))
    release.set()
    assert (first.result(10), third.result(10)) == (1, 1)
    with pytest.raises(sqlite3.IntegrityError):
        twice.result(10)
    assert writer.call(notes, timeout_s=10) == [1, 3]


def test_a_future_is_done_only_after_its_commit(path: Path, writer: Writer) -> None:
    seen: list[list[int]] = []

    def look(_: Future[int]) -> None:
        other = sqlite3.connect(path)
        seen.append(notes(other))
        other.close()

    release = hold(writer)
    writer.submit(add(7)).add_done_callback(look)
    release.set()
    assert writer.barrier(10)
    assert seen == [[7]]


def test_a_patient_job_waits_for_company_and_an_urgent_one_takes_it_along(path: Path) -> None:
    writer = Writer(path, SCHEMA, linger_s=3600)
    patient = writer.submit(add(1), urgent=False)
    assert not patient.done()
    assert writer.call(notes, timeout_s=10) == [1]
    assert patient.done()
    writer.close()


def test_a_barrier_says_when_the_disk_is_too_slow(writer: Writer) -> None:
    release = hold(writer)
    assert not writer.barrier(timeout_s=0.01)
    release.set()
    assert writer.barrier(10)


def test_closing_finishes_what_is_queued_and_refuses_more(path: Path) -> None:
    writer = Writer(path, SCHEMA, linger_s=3600)
    future = writer.submit(add(1), urgent=False)
    writer.close()
    writer.close()
    assert future.result(0) == 1
    with pytest.raises(RuntimeError, match="closed"):
        writer.submit(add(2))


def test_a_cancelled_job_is_not_run(writer: Writer) -> None:
    release = hold(writer)
    assert writer.submit(add(1)).cancel()
    release.set()
    assert writer.call(notes, timeout_s=10) == []


def test_the_writer_refuses_to_wait_for_itself(writer: Writer) -> None:
    with pytest.raises(RuntimeError, match="itself"):
        writer.call(lambda _: writer.call(notes), timeout_s=10)


def test_a_second_writer_on_the_same_file_is_refused_by_name(path: Path, writer: Writer) -> None:
    with pytest.raises(
        StoreBusyError, match=r"note\.db is in use by process \d+ \(lock file .*note\.db\.lock\)"
    ):
        Writer(path, SCHEMA)
    writer.close()
    Writer(path, SCHEMA).close()


def test_a_second_process_is_refused_too(path: Path, writer: Writer) -> None:
    assert writer.barrier(10)
    program = (
        "import sys, pathlib; from station_agent.store.db import *; "
        "open_database(pathlib.Path(sys.argv[1]), Schema(migrations=(), synchronous='FULL'))"
    )
    child = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "StoreBusyError" in child.stderr


def test_migrations_apply_once_and_in_order(path: Path) -> None:
    Writer(path, SCHEMA).close()
    longer = Schema(migrations=(*SCHEMA.migrations, "INSERT INTO note VALUES (9)"), synchronous="NORMAL")
    for _ in range(2):
        writer = Writer(path, longer)
        assert writer.call(notes) == [9]
        writer.close()


def test_a_file_of_a_newer_release_is_left_alone(path: Path) -> None:
    Writer(path, Schema(migrations=(*SCHEMA.migrations, "SELECT 1"), synchronous="FULL")).close()
    with pytest.raises(StoreError, match="newer release"):
        Writer(path, SCHEMA)


def test_a_commit_is_flushed_to_disk_as_the_schema_asks(writer: Writer) -> None:
    assert writer.call(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]) == 2
    assert writer.call(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b"not a database" * 1000), id="not a database"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:4096]), id="cut off"),
    ],
)
def test_a_damaged_file_is_set_aside_with_its_companions_and_a_new_one_begins(
    path: Path, spoil: Callable[[Path], object]
) -> None:
    writer = Writer(path, SCHEMA)
    writer.call(add(1))
    writer.close()
    spoil(path)
    path.with_name("note.db-wal").write_bytes(b"left over")
    writer = Writer(path, SCHEMA)
    assert writer.call(notes) == []
    assert writer.set_aside is not None
    assert writer.set_aside.name.startswith("note.db.damaged-")
    assert writer.set_aside.with_name(writer.set_aside.name + "-wal").read_bytes() == b"left over"
    writer.close()


def test_damage_twice_in_one_second_keeps_both_files(path: Path) -> None:
    kept = set()
    for _ in range(3):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"not a database" * 1000)
        writer = Writer(path, SCHEMA)
        kept.add(writer.set_aside)
        writer.close()
    assert len(kept) == 3
    assert all(file is not None and file.exists() for file in kept)
