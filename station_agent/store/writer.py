"""The one thread that touches a store file. Everybody else hands it jobs; the control thread never waits for the disk.

Rules
  1. Jobs run in the order they were handed in, reads too.
  2. What is queued when the thread comes round shares one transaction, so one flush to disk serves many.
  3. A job's future is done only after its transaction is committed.
  4. A job that fails rolls back alone: the batch is undone and every job in it is run again by itself.
     So a job touches nothing but the connection, and may run twice.
  5. Nothing a job does ends the thread.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

from station_agent.store.db import Schema, open_database
from station_agent.store.soundness import is_damage

_LOG = logging.getLogger(__name__)

BATCH: Final = 500
"""Most jobs in one transaction: bounds the wait of the first of them."""

_COUNT: Final = "UPDATE counter SET value = value + 1 WHERE name = 'commits' RETURNING value"

_REFUSED: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})

T = TypeVar("T")
Job: TypeAlias = Callable[[sqlite3.Connection], T]


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    job: Job[T]
    future: Future[T]
    due_s: float


class Writer:
    """Owns one store file and the thread that works on it.

    Attributes:
        set_aside: where a damaged file was moved when this one was opened.
        rolled_back: a power cut took commits back, where that may be.
        volatile: the disk takes nothing, so the file lives in memory and ends with the process.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        linger_s: float = 0.0,
        on_damage: Callable[[], None] | None = None,
    ) -> None:
        """Open the file and start the thread.

        Args:
            path: the file; it is made when missing.
            schema: its tables and how hard its commits are.
            linger_s: how long a job handed in as not urgent may wait for company.
            on_damage: called once, on the writer's thread, when the open file turns out to be bad. Everything that
                touches the bad place fails from then on; the next start sets the file aside.
        """
        self._opened = open_database(path, schema)
        self.path = path
        self.set_aside = self._opened.set_aside
        self.rolled_back = self._opened.rolled_back
        self.volatile = self._opened.volatile
        self._counted = bool(schema.summed)
        self._suspected = False
        self._on_damage = on_damage or (lambda: None)
        self._linger_s = linger_s
        self._wake = threading.Condition()
        self._queue: deque[_Entry[Any]] = deque()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"store:{path.name}", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """Jobs not yet begun."""
        return len(self._queue)

    def submit(self, job: Job[T], *, urgent: bool = True) -> Future[T]:
        """Hand in a job and return at once.

        Raises:
            RuntimeError: the writer is closed.
        """
        future: Future[T] = Future()
        due_s = time.monotonic() + (0.0 if urgent else self._linger_s)
        with self._wake:
            if self._closing:
                raise RuntimeError(f"{self.path} is closed")
            self._queue.append(_Entry(job, future, due_s))
            self._wake.notify()
        return future

    def call(self, job: Job[T], *, timeout_s: float | None = None) -> T:
        """Hand in a job and wait for its commit.

        Raises:
            RuntimeError: called from the writer's own thread, which would wait for itself.
            TimeoutError: not committed in time; it may still be later.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("the writer thread cannot wait for itself")
        return self.submit(job).result(timeout_s)

    def barrier(self, timeout_s: float | None = None) -> bool:
        """Wait until everything handed in before is committed or has failed; False when that takes too long."""
        try:
            self.call(lambda _: None, timeout_s=timeout_s)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Run what is queued, then close the file and give up its lock. A second call does nothing."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._commit(batch)
            except Exception:  # noqa: BLE001 (rule 5: top of the thread)
                _LOG.exception("store_batch_failed", extra={"file": str(self.path)})
        self._opened.close()

    def _next(self) -> list[_Entry[Any]]:
        """Wait for a batch that is due; empty only once the writer is closed and drained."""
        with self._wake:
            while not self._closing:
                # an urgent job behind patient ones pulls them along: order is kept
                due_s = min((entry.due_s for entry in self._queue), default=None)
                left_s = None if due_s is None else due_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    break
                self._wake.wait(left_s)
            return [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]

    def _commit(self, batch: list[_Entry[Any]]) -> None:
        live = [entry for entry in batch if entry.future.set_running_or_notify_cancel()]
        if len(live) > 1:
            try:
                results = self._transact([entry.job for entry in live])
            except Exception as error:  # noqa: BLE001 (rule 4: found out, one by one, below)
                _LOG.debug("store_batch_undone", extra={"file": str(self.path), "error": repr(error)})
            else:
                for entry, result in zip(live, results, strict=True):
                    entry.future.set_result(result)
                return
        for entry in live:
            self._alone(entry)

    def _alone(self, entry: _Entry[Any]) -> None:
        try:
            (result,) = self._transact([entry.job])
        except Exception as error:  # noqa: BLE001 (rule 5: it goes to the job's owner)
            entry.future.set_exception(error)
        else:
            entry.future.set_result(result)

    def _transact(self, jobs: list[Job[Any]]) -> list[Any]:
        connection = self._opened.connection
        commits = 0
        try:
            _begin(connection)
            before = connection.total_changes
            results = [job(connection) for job in jobs]
            if self._counted and connection.total_changes > before:
                (commits,) = connection.execute(_COUNT).fetchone()
            connection.execute("COMMIT")
        except BaseException as error:
            # a full disk rolls back by itself
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and is_damage(error):
                self._damaged(error)
            raise
        if commits:
            self._opened.witness(commits)
        return results

    def _damaged(self, error: sqlite3.Error) -> None:
        self._opened.suspect()
        if not self._suspected:
            self._suspected = True
            _LOG.critical("store_damage_met", extra={"file": str(self.path), "error": repr(error)})
            self._on_damage()


def _begin(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _REFUSED:
            raise
        connection.execute("BEGIN")  # reading may still go; what writes fails by itself
