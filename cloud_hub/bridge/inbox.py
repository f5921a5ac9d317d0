"""Messages between the network thread and the writer thread: bounded, and cheap to put into."""

import threading
from collections import deque
from typing import Final

from cloud_hub.ingest.decoding import Arrival

LIMIT: Final = 50_000
"""More than the broker may have under way (``RECEIVE_MAXIMUM``), so only QoS 0 can ever overflow it."""

BATCH: Final = 2_000
LINGER_S: Final = 0.02
"""How long a batch waits for company. Orders do not wait: they never come through here."""


class Inbox:
    """One reader, one writer."""

    def __init__(self) -> None:
        self._queue: deque[Arrival] = deque()
        self._some = threading.Event()
        self._hurry = threading.Event()

    def put(self, arrival: Arrival, *, urgent: bool) -> bool:
        """Add one; False when it is full and the message was dropped.

        Args:
            arrival: a message.
            urgent: do not let it wait for company.
        """
        if len(self._queue) >= LIMIT:
            return False
        self._queue.append(arrival)
        if urgent:
            self._hurry.set()
        # an Event's own lock is dear: set it only when somebody may be waiting
        if not self._some.is_set():
            self._some.set()
        return True

    def wake(self) -> None:
        """Let the reader look up."""
        self._some.set()

    def take(self, timeout_s: float) -> list[Arrival]:
        """The next batch, in order of arrival; empty after ``timeout_s`` seconds without any."""
        if not self._queue:
            self._some.wait(timeout_s)
        self._some.clear()
        if 0 < len(self._queue) < BATCH:
            self._hurry.wait(LINGER_S)
        self._hurry.clear()
        return [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
