"""Messages between the network thread and the writer thread: bounded, cheap to put into, and in two lanes.

What can wait is history and readings. Everything else goes before it, so that neither an alarm nor a sign of life waits
behind the backlog of a hundred stations that come back at once (safety.md D8). Within a lane order is kept.
"""

import threading
from collections import deque
from typing import Final

from cloud_hub.ingest.decoding import Arrival
from firmware_config.topics import Topic
from firmware_config.vocabulary import EventKind, Lane, lane_of

LIMIT: Final = 50_000
"""More than the broker may have under way (``RECEIVE_MAXIMUM``), so only QoS 0 can ever overflow it."""

BATCH: Final = 2_000
PATIENT_BYTES: Final = 512 * 1024
"""Of what can wait, in one batch: bounds how long a transaction takes, and so how long an alarm waits for it."""

LINGER_S: Final = 0.02
"""How long a batch waits for company. Orders do not wait: they never come through here."""

_EVENTS: Final = f"/{Topic.EVENT.value.tail}"
_READINGS: Final = f"/{Topic.TELEMETRY.value.tail}"
_FIRST_KIND: Final = b'\\"kind\\":\\"'
"""As it stands in the text of a signed body."""
_LONGEST_KIND: Final = 48
_ALARMS: Final = frozenset(kind.value.encode() for kind in EventKind if lane_of(kind) is Lane.ALARM)


def can_wait(arrival: Arrival) -> bool:
    """Whether it is history or readings. A station fills a message from one lane, so its first event tells.

    Looked at before anything is checked: a wrong guess costs time, nothing else.
    """
    if arrival.topic.endswith(_READINGS):
        return True
    if not arrival.topic.endswith(_EVENTS):
        return False
    begin = arrival.payload.find(_FIRST_KIND) + len(_FIRST_KIND)
    return arrival.payload[begin : begin + _LONGEST_KIND].partition(b"\\")[0] not in _ALARMS


class Inbox:
    """One reader, one writer."""

    def __init__(self) -> None:
        self._urgent: deque[Arrival] = deque()
        self._patient: deque[Arrival] = deque()
        self._some = threading.Event()
        self._hurry = threading.Event()
        self._alone = False

    def put(self, arrival: Arrival, *, urgent: bool) -> bool:
        """Add one; False when it is full and the message was dropped.

        Args:
            arrival: a message.
            urgent: do not let it wait for company.
        """
        if len(self._urgent) + len(self._patient) >= LIMIT:
            return False
        (self._patient if can_wait(arrival) else self._urgent).append(arrival)
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
        """The next batch; empty after ``timeout_s`` seconds without any.

        When there is a backlog what is urgent goes alone, and every second batch takes of the backlog too, so that
        neither stands still.
        """
        if not self._urgent and not self._patient:
            self._some.wait(timeout_s)
        self._some.clear()
        if 0 < len(self._urgent) + len(self._patient) < BATCH:
            self._hurry.wait(LINGER_S)
        self._hurry.clear()
        batch = [self._urgent.popleft() for _ in range(min(BATCH, len(self._urgent)))]
        self._alone = bool(batch) and bool(self._patient) and not self._alone
        if not self._alone:
            room = PATIENT_BYTES
            while self._patient and room > 0 and len(batch) < BATCH:
                batch.append(self._patient.popleft())
                room -= len(batch[-1].payload)
        return batch
