"""Opens one SQLite file: lock, WAL, STRICT tables by numbered migrations, and a damaged file set aside, never mended.

One process and one connection per file (safety.md D4): several writers or checkpointers have corrupted WAL files before
SQLite 3.51.3. The lock file says so to a second agent instead of letting it try.
"""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from station_agent.errors import AgentError
from station_agent.store.sums import teach

_LOG = logging.getLogger(__name__)

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_COMPANIONS: Final = ("", "-wal", "-shm")


class StoreError(AgentError, RuntimeError):
    """A store file cannot be used; the message names the file and what to do."""


class StoreBusyError(StoreError):
    """Another process, or another part of this one, already holds the file."""


@dataclass(frozen=True, slots=True)
class Schema:
    """What one file holds.

    Attributes:
        migrations: SQL scripts; ``user_version`` counts those applied. Only ever append.
        synchronous: FULL where a commit must survive a power cut, NORMAL where the last seconds may be lost (D3).
        functions: of one argument, that its scripts call beside ``row_sum``.
    """

    migrations: tuple[str, ...]
    synchronous: Literal["FULL", "NORMAL"]
    functions: Mapping[str, Callable[[str], int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file.

    Attributes:
        connection: autocommit; whoever writes begins and commits by hand. Usable from any one thread at a time.
        set_aside: where a damaged file was moved, when there was one.
        lock: descriptor of the lock file; closing it lets the next process in.
    """

    connection: sqlite3.Connection
    set_aside: Path | None
    lock: int

    def close(self) -> None:
        """Close the file, then give up the lock."""
        self.connection.close()
        os.close(self.lock)


def open_database(path: Path, schema: Schema) -> Opened:
    """Lock, check, migrate and open a file, making it and its folder when missing.

    Raises:
        StoreBusyError: the lock is taken.
        StoreError: the file was written by a newer release.
        sqlite3.OperationalError: the disk refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(path)
    try:
        set_aside = None
        if not _sound(path):
            set_aside = _set_aside(path)
            _LOG.error("store_damaged", extra={"file": str(path), "set_aside": str(set_aside)})
        connection = _connect(path)
        _migrate(connection, path, schema)
    except BaseException:
        os.close(lock)
        raise
    _LOG.info("store_opened", extra={"file": str(path), "sqlite": sqlite3.sqlite_version})
    return Opened(connection=connection, set_aside=set_aside, lock=lock)


def is_damage(error: sqlite3.Error) -> bool:
    """The file itself is bad, as opposed to full, busy or unreadable."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED


def _lock(path: Path) -> int:
    file = path.with_name(path.name + ".lock")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StoreBusyError(f"{path} is in use by process {holder or '?'} (lock file {file})") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    path.chmod(0o600)
    return connection


def _sound(path: Path) -> bool:
    if not path.exists():
        return True
    # read-only: closing it must not fold a log into a file that may be bad
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        return [row[0] for row in connection.execute("PRAGMA quick_check(1)")] == ["ok"]
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return False
    finally:
        connection.close()


def _set_aside(path: Path) -> Path:
    """Move the file, its log and its index together: a log without its file, or with another, corrupts (D5)."""
    stem = f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    target, number = path.with_name(stem), 1
    while target.exists():
        target, number = path.with_name(f"{stem}-{number}"), number + 1
    for companion in _COMPANIONS:
        source = path.with_name(path.name + companion)
        if source.exists():
            source.rename(target.with_name(target.name + companion))
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return target


def _migrate(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {schema.synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        teach(connection)
        for name, function in schema.functions.items():
            connection.create_function(name, 1, function, deterministic=True)
        applied = int(connection.execute("PRAGMA user_version").fetchone()[0])
        _refuse_newer(path, applied, known=len(schema.migrations))
        for number, script in enumerate(schema.migrations[applied:], start=applied + 1):
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {number};\nCOMMIT;")
    except BaseException:
        connection.close()
        raise


def _refuse_newer(path: Path, applied: int, *, known: int) -> None:
    if applied > known:
        raise StoreError(
            f"{path} has schema {applied}; this release knows {known}. "
            "Install the newer release again, or move the file away"
        )
