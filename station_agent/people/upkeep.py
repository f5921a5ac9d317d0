"""One thread for what takes its time with templates: copies to and from other stations, and destroying in time.

Others hand it jobs and never wait for it. Every ``TURN_S``, and whenever somebody says ``look``, it takes its turns.
"""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Final, TypeAlias

log = logging.getLogger(__name__)

TURN_S: Final = 5.0
MOST_WAITING: Final = 256
END_S: Final = 5.0

Job: TypeAlias = Callable[[], None]


class Upkeep:
    """One for the station."""

    def __init__(self, *turns: Job, turn_s: float = TURN_S) -> None:
        """Prepare.

        Args:
            *turns: done one after the other, at the start first.
            turn_s: longest pause between two of them.
        """
        self._turn_s = turn_s
        self._turns = turns
        self._jobs: queue.Queue[Job] = queue.Queue(MOST_WAITING)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin, with a turn."""
        self._thread.start()

    def stop(self) -> None:
        """End after the job in hand."""
        self._stopping.set()
        self.look()
        if self._thread.is_alive():
            self._thread.join(END_S)

    def look(self) -> None:
        """Something changed: take a turn soon. Any thread; returns at once."""
        self.do(_nothing)

    def do(self, job: Job) -> None:
        """Do it soon. Any thread; returns at once. Dropped when too much waits: whoever sent it sends it again."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            log.warning("upkeep_full")

    def _run(self) -> None:
        while not self._stopping.is_set():
            for turn in self._turns:
                self._guarded(turn)
            try:
                job = self._jobs.get(timeout=self._turn_s)
            except queue.Empty:
                continue
            while not self._stopping.is_set():
                self._guarded(job)
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break

    @staticmethod
    def _guarded(job: Job) -> None:
        try:
            job()
        except Exception:
            log.exception("upkeep_failed")


def _nothing() -> None:
    return
