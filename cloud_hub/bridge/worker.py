"""A thread of the bridge that takes one item after the other, looks up in between, and outlives an absent database."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

RETRY_S: Final = 0.5
"""Pause after the database did not answer, so that a queue full of items does not spin."""

Item = TypeVar("Item")


class Worker(Generic[Item]):
    """One thread with a queue.

    An item that meets an absent database is given up: what it was about is in the database, and the next look finds it.
    Said once when the database goes, and not again until it was back.

    Attributes:
        thread: ends with ``stop``, or by a fault, which is logged.
    """

    def __init__(
        self, name: str, handle: Callable[[Item | None], None], *, pause_s: Callable[[], float]
    ) -> None:
        """Prepare.

        Args:
            name: of the thread.
            handle: gets each item; None when it is time to look.
            pause_s: longest wait for an item before ``handle`` gets None.
        """
        self._handle = handle
        self._pause_s = pause_s
        self._items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._lost = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def put(self, item: Item | None) -> None:
        """Hand in an item; None asks for a look. Returns at once."""
        self._items.put(item)

    def stop(self) -> None:
        """Finish the item in hand and take no other."""
        self._stopping.set()
        self._items.put(None)
        if self.thread.is_alive():
            self.thread.join(10)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    item = self._items.get(timeout=self._pause_s())
                except queue.Empty:
                    item = None
                if not self._stopping.is_set():
                    self._guarded(item)
        except Exception:
            log.exception("thread died", extra={"part": self.thread.name})
            raise

    def _guarded(self, item: Item | None) -> None:
        try:
            self._handle(item)
        except SQLAlchemyError as error:
            if not self._lost:
                self._lost = True
                detail = {"part": self.thread.name, "error": str(error).splitlines()[0]}
                log.error("waiting for the database", extra=detail)  # noqa: TRY400 (one line, said once)
            self._stopping.wait(RETRY_S)
        else:
            self._lost = False
