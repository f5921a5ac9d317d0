"""The way from a thread that must not wait to the writer of a file: in order, bounded, and tried again until it is kept."""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from station_agent.store.writer import Writer

_LOG = logging.getLogger(__name__)

RETRY_S: Final = 1.0
"""Pause after the disk refused; it may be full for hours."""

CLOSE_S: Final = 5.0
"""Longest wait for the disk when the agent ends."""

T = TypeVar("T")
R = TypeVar("R")


class Feed(Generic[T, R]):
    """Holds items in memory until the transaction that keeps them is committed.

    Attributes:
        dropped: items refused because ``limit`` others were waiting.
    """

    def __init__(
        self,
        writer: Writer,
        keep: Callable[[sqlite3.Connection, Sequence[T]], R],
        kept: Callable[[R], None],
        *,
        limit: int,
        urgent: bool = True,
    ) -> None:
        """Connect the two.

        Args:
            writer: of the file.
            keep: a job: stores the items. It may be given an item twice, and must then keep it once.
            kept: called on the writer's thread after the commit, with what ``keep`` returned.
            limit: most items in memory.
            urgent: False lets them wait for company, see ``Writer``.
        """
        self._writer = writer
        self._keep = keep
        self._kept = kept
        self._limit = limit
        self._urgent = urgent
        self._changed = threading.Condition()
        self._waiting: deque[tuple[int, T]] = deque()
        self._last = 0
        self._safe = 0
        self._busy = False
        self._failing = False
        self._closing = False
        self._timer: threading.Timer | None = None
        self.dropped = 0

    @property
    def failing(self) -> bool:
        """The disk refused the last time."""
        return self._failing

    def put(self, item: T, *, share: float = 1.0) -> bool:
        """Hand over an item and return at once; False when there are too many, and the item is lost.

        Args:
            item: to keep.
            share: of the room that an item of this kind may fill; the rest is for more urgent ones.
        """
        with self._changed:
            if len(self._waiting) < self._limit * share:
                self._last += 1
                self._waiting.append((self._last, item))
                self._start()
                return True
            self.dropped += 1
            first = self.dropped == 1
        if first:
            _LOG.error("store_feed_full", extra={"file": str(self._writer.path), "limit": self._limit})
        return False

    def try_again(self) -> None:
        """The disk may write again: do not wait for the next try."""
        with self._changed:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
                self._start()

    def barrier(self, timeout_s: float) -> bool:
        """Wait until everything put before is committed; False when it is not in time."""
        with self._changed:
            last = self._last
            return self._changed.wait_for(lambda: self._safe >= last, timeout_s)

    def close(self) -> None:
        """Try once more, then no more. What is still not kept is lost, and said so."""
        with self._changed:
            self._closing = True
            if self._timer is not None:
                self._timer.cancel()
                self._again()
            self._changed.wait_for(lambda: not self._busy, CLOSE_S)
            left = len(self._waiting)
        if left:
            _LOG.error("store_feed_lost", extra={"file": str(self._writer.path), "items": left})

    def _start(self) -> None:
        """Have the job run once; with the lock held. Never two at a time, and none while a retry is due."""
        if self._busy or self._timer is not None:
            return
        try:
            future = self._writer.submit(self._job, urgent=self._urgent)
        except RuntimeError:
            _LOG.exception("store_closed_too_early", extra={"file": str(self._writer.path)})
            return
        self._busy = True
        future.add_done_callback(self._done)

    def _job(self, connection: sqlite3.Connection) -> tuple[int, R]:
        with self._changed:
            batch = list(self._waiting)
        return batch[-1][0], self._keep(connection, [item for _, item in batch])

    def _done(self, future: Future[tuple[int, R]]) -> None:
        if (error := future.exception()) is not None:
            self._refused(error)
            return
        last, result = future.result()
        self._kept(result)
        with self._changed:
            while self._waiting and self._waiting[0][0] <= last:
                self._waiting.popleft()
            self._safe = last
            recovered, self._failing, self._busy = self._failing, False, False
            if self._waiting:
                self._start()
            self._changed.notify_all()
        if recovered:
            _LOG.warning("store_writes_again", extra={"file": str(self._writer.path)})

    def _refused(self, error: BaseException) -> None:
        with self._changed:
            first, self._failing, self._busy = not self._failing, True, False
            if not self._closing:
                self._timer = threading.Timer(RETRY_S, self._again)
                self._timer.daemon = True
                self._timer.start()
            self._changed.notify_all()
        if first:
            _LOG.error("store_refuses", extra={"file": str(self._writer.path), "error": repr(error)})

    def _again(self) -> None:
        with self._changed:
            if self._timer is not None:  # else somebody else has tried meanwhile
                self._timer = None
                self._start()
