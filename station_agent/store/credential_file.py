"""The file of ``store.credentials``: its tables, its transactions, and the erasures that are written in it."""

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from firmware_config.wire import Erase
from station_agent.store.db import Schema, open_database

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

SCHEMA: Final = Schema(
    synchronous="FULL",
    migrations=(
        """
        CREATE TABLE pin (
            person TEXT NOT NULL CONSTRAINT pk_pin PRIMARY KEY,
            salt BLOB NOT NULL,
            digest BLOB NOT NULL,
            duress BLOB NOT NULL,
            scheme TEXT NOT NULL
        ) STRICT;
        CREATE TABLE pass_use (
            pass TEXT NOT NULL CONSTRAINT pk_pass_use PRIMARY KEY,
            holder TEXT NOT NULL,
            used INTEGER NOT NULL CONSTRAINT ck_pass_use_used CHECK (used > 0)
        ) STRICT;
        CREATE INDEX ix_pass_use_holder ON pass_use (holder);
        CREATE TABLE tally (
            method TEXT NOT NULL,
            scope TEXT NOT NULL,
            id TEXT NOT NULL,
            failures INTEGER NOT NULL CONSTRAINT ck_tally_failures CHECK (failures > 0),
            CONSTRAINT pk_tally PRIMARY KEY (method, scope, id)
        ) STRICT;
        CREATE TABLE group_entry (
            name TEXT NOT NULL CONSTRAINT pk_group_entry PRIMARY KEY,
            wall_ms INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE guest_day (
            day TEXT NOT NULL CONSTRAINT pk_guest_day PRIMARY KEY,
            admitted INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE erasure (
            id INTEGER CONSTRAINT pk_erasure PRIMARY KEY AUTOINCREMENT,
            request_id TEXT NOT NULL CONSTRAINT uq_erasure_request_id UNIQUE,
            person TEXT NOT NULL,
            receipt TEXT
        ) STRICT;
        CREATE TABLE loss (
            id INTEGER NOT NULL CONSTRAINT pk_loss PRIMARY KEY CONSTRAINT ck_loss_one CHECK (id = 1),
            wall_ms INTEGER
        ) STRICT;
        """,
        """
        ALTER TABLE erasure ADD COLUMN face_only INTEGER NOT NULL DEFAULT 0
            CONSTRAINT ck_erasure_face_only CHECK (face_only IN (0, 1));
        """,
        """
        CREATE TABLE key_check (
            id INTEGER NOT NULL CONSTRAINT pk_key_check PRIMARY KEY CONSTRAINT ck_key_check_one CHECK (id = 1),
            value BLOB NOT NULL
        ) STRICT;
        """,
    ),
)

KEPT_ERASURES: Final = 10_000
"""Receipts kept to answer an old request again."""


class Unfinished(NamedTuple):
    """A request that was begun and not finished: a crash cut it off.

    Attributes:
        face_only: the person withdrew their face; PIN and passes stay.
    """

    request_id: str
    person: str
    face_only: bool


class CredentialFile:
    """One open file. Any thread; transactions take turns.

    Attributes:
        set_aside: where a damaged file was moved when this one was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            StoreError: it cannot be used.
        """
        self._turn = threading.Lock()
        self._opened = open_database(path, SCHEMA)
        self._closed = False
        self.set_aside = self._opened.set_aside
        # what is deleted is overwritten with zeros, not only unlinked
        self._opened.connection.execute("PRAGMA secure_delete = ON")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and on disk when it ends.

        Raises:
            sqlite3.Error: the disk refused; nothing was changed.
        """
        connection = self._opened.connection
        with self._turn:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # a full disk rolls back by itself
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def fold(self) -> None:
        """Fold the log in and cut it to nothing: it still holds deleted pages as they were."""
        with self._turn:
            self._opened.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close it and give up its lock. A second call does nothing."""
        with self._turn:
            if not self._closed:
                self._closed = True
                self._opened.close()


class Erasures:
    """Requests to erase a person: begun, finished, answered again. They wait for the disk."""

    def __init__(self, file: CredentialFile) -> None:
        self._file = file

    def begin(self, request: Erase, *, face_only: bool = False) -> str | None:
        """Put on disk that a person is to be erased, before anything is. Returns the receipt when it was done before."""
        with self._file.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO erasure (request_id, person, face_only) VALUES (?, ?, ?)",
                (request.request_id, request.person, face_only),
            )
            row = connection.execute(
                "SELECT receipt FROM erasure WHERE request_id = ?", (request.request_id,)
            ).fetchone()
        return None if row[0] is None else str(row[0])

    def unfinished(self) -> list[Unfinished]:
        """In the order in which they were begun."""
        with self._file.transaction() as connection:
            rows = connection.execute(
                "SELECT request_id, person, face_only FROM erasure WHERE receipt IS NULL ORDER BY id"
            ).fetchall()
        return [Unfinished(request_id, person, bool(face_only)) for request_id, person, face_only in rows]

    def finish(self, request_id: str, receipt: str) -> None:
        """Everything is erased: keep the receipt's event data, JSON text, to answer the same request again."""
        with self._file.transaction() as connection:
            connection.execute(
                "UPDATE erasure SET receipt = ?, person = '' WHERE request_id = ?", (receipt, request_id)
            )
            connection.execute(
                "DELETE FROM erasure WHERE receipt IS NOT NULL AND id <= (SELECT max(id) FROM erasure) - ?",
                (KEPT_ERASURES,),
            )


def later(thread: ThreadPoolExecutor, job: Callable[[], T], on_done: Callable[[T | None], None]) -> None:
    """Run a job on a thread; ``on_done`` hears from it, and hears None when the job failed or came too late."""

    def run() -> None:
        try:
            result = job()
        except Exception:  # noqa: BLE001 (top of the thread: doubt opens nothing)
            _LOG.exception("credentials_job_failed")
            on_done(None)
        else:
            on_done(result)

    try:
        thread.submit(run)
    except RuntimeError:  # closed
        on_done(None)
