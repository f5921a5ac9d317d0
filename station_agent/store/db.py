"""Opens one SQLite file: lock, WAL, STRICT tables by numbered migrations, and a damaged file set aside, never mended.

One process and one connection per file (safety.md D4): several writers or checkpointers have corrupted WAL files before
SQLite 3.51.3. The lock file says so to a second agent instead of letting it try.
"""

import errno
import fcntl
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from station_agent.errors import AgentError
from station_agent.store.soundness import Expected, fault_of
from station_agent.store.sums import Summed, seal, teach

_LOG = logging.getLogger(__name__)

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (a folder of its own is made in it, for this process only)
_FULL: Final = frozenset({errno.EROFS, errno.ENOSPC, errno.EDQUOT})
_PAGE_BYTES: Final = 1024
"""A quarter of the default: a commit of one small row writes a third of the bytes (safety.md D11)."""

_WITNESS_AT: Final = 24
_SUSPECT: Final = b"suspect".ljust(20) + b"\n"
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
        summed: tables with checksums, as its last script leaves them; such a file counts its commits too.
    """

    migrations: tuple[str, ...]
    synchronous: Literal["FULL", "NORMAL"]
    functions: Mapping[str, Callable[[str], int]] = field(default_factory=dict)
    summed: tuple[Summed, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """An open file.

    Attributes:
        connection: autocommit; whoever writes begins and commits by hand. Usable from any one thread at a time.
        set_aside: where a damaged file was moved, when there was one.
        rolled_back: commits are missing that were made, where that may be (``NORMAL``).
        lock: descriptor of the lock file; closing it lets the next process in.
        volatile: where the file really is, when its own place takes no writing: in memory, until the end.
    """

    connection: sqlite3.Connection
    set_aside: Path | None
    rolled_back: bool
    lock: int
    volatile: Path | None = None

    def witness(self, commits: int) -> None:
        """Note outside the file how many commits it holds: a log that is cut off later shows.

        Not flushed: what it says may be too little, never too much.
        """
        with suppress(OSError):
            os.pwrite(self.lock, f"{commits:020d}\n".encode(), _WITNESS_AT)

    def suspect(self) -> None:
        """Damage was met: the next start does not believe the file, whatever it finds."""
        with suppress(OSError):
            os.pwrite(self.lock, _SUSPECT, _WITNESS_AT)

    def close(self) -> None:
        """Close the file, then give up the lock."""
        self.connection.close()
        os.close(self.lock)
        if self.volatile:
            shutil.rmtree(self.volatile, ignore_errors=True)


def open_database(path: Path, schema: Schema) -> Opened:
    """Lock, check, migrate and open a file, making it and its folder when missing.

    On a file system that takes no writing a copy is opened in memory, and what is written is lost at the end: doors and
    entry go on (D9). A file with an ``install_id`` begins empty there, because its numbers could not be kept.

    Raises:
        StoreBusyError: the lock is taken.
        StoreError: the file was written by a newer release.
        sqlite3.OperationalError: the disk refuses.
    """
    try:
        return _open(path, schema)
    except (OSError, sqlite3.OperationalError) as error:
        if not _takes_nothing(path, error):
            raise
    folder = Path(tempfile.mkdtemp(prefix="yizhan-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None))
    if not schema.summed:
        for companion in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copy(path.with_name(path.name + companion), folder)
    _LOG.critical("store_in_memory", extra={"file": str(path), "instead": str(folder)})
    return replace(_open(folder / path.name, schema), volatile=folder)


def _takes_nothing(path: Path, error: OSError | sqlite3.OperationalError) -> bool:
    """The file system is full or read-only, as opposed to out of reach for this user."""
    if isinstance(error, OSError):
        return error.errno in _FULL
    if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY}:
        return True
    seen = os.statvfs(path.parent)
    return bool(seen.f_flag & os.ST_RDONLY) or seen.f_bavail == 0


def _open(path: Path, schema: Schema) -> Opened:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(path)
    try:
        commits, suspected = _witnessed(lock)
        set_aside = None
        if fault := "met while running" if suspected else fault_of(path, _expected(schema, commits)):
            set_aside = _set_aside(path)
            commits = 0
            _LOG.error(
                "store_damaged", extra={"file": str(path), "set_aside": str(set_aside), "fault": fault}
            )
        _claim(lock)
        connection = _connect(path)
        if schema.summed:  # a damaged letter shows in the checksum, and must not end the reading of others
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        _migrate(connection, path, schema)
        opened = Opened(
            connection=connection,
            set_aside=set_aside,
            rolled_back=bool(schema.summed) and commits > _commits(connection),
            lock=lock,
        )
        if schema.summed:
            opened.witness(_commits(connection))
    except BaseException:
        os.close(lock)
        raise
    _LOG.info("store_opened", extra={"file": str(path), "sqlite": sqlite3.sqlite_version})
    return opened


def _expected(schema: Schema, commits: int) -> Expected:
    return Expected(
        known=len(schema.migrations),
        summed=schema.summed,
        objects=_objects(schema) if schema.summed else frozenset(),
        commits=commits if schema.summed else 0,
        durable=schema.synchronous == "FULL",  # else a power cut may take the last ones back
    )


def _objects(schema: Schema) -> frozenset[tuple[str, str]]:
    """What a new file would hold."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _apply(connection, schema, applied=0)
    found = frozenset(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    connection.close()
    return found


def _commits(connection: sqlite3.Connection) -> int:
    (commits,) = connection.execute("SELECT value FROM counter WHERE name = 'commits'").fetchone()
    return int(commits)


def _lock(path: Path) -> int:
    file = path.with_name(path.name + ".lock")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").split("\n")[0].strip()
        os.close(descriptor)
        raise StoreBusyError(f"{path} is in use by process {holder or '?'} (lock file {file})") from error
    return descriptor


def _witnessed(lock: int) -> tuple[int, bool]:
    said = os.pread(lock, 21, _WITNESS_AT)
    return (int(said) if said.strip().isdigit() else 0), said == _SUSPECT


def _claim(lock: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    path.chmod(0o600)
    return connection


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
        if schema.summed:
            connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # only a new file heeds it
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {schema.synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        applied = int(connection.execute("PRAGMA user_version").fetchone()[0])
        _refuse_newer(path, applied, known=len(schema.migrations))
        _apply(connection, schema, applied=applied)
    except BaseException:
        connection.close()
        raise


def _apply(connection: sqlite3.Connection, schema: Schema, *, applied: int) -> None:
    teach(connection)
    for name, function in schema.functions.items():
        connection.create_function(name, 1, function, deterministic=True)
    for number, script in enumerate(schema.migrations[applied:], start=applied + 1):
        mark = f"PRAGMA application_id = {seal(number)};" if schema.summed else ""
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {number};{mark}\nCOMMIT;"
        )


def _refuse_newer(path: Path, applied: int, *, known: int) -> None:
    if applied > known:
        raise StoreError(
            f"{path} has schema {applied}; this release knows {known}. "
            "Install the newer release again, or move the file away"
        )
