"""Lanes of the pump: what each carries, what of it is on its way, and how it is packed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from firmware_config.topics import Topic

SIZE_TARGET: Final = 12_000
"""Bytes of one message: below the 16 KiB a careful broker allows (safety.md C15)."""

RESEND_S: Final = 10.0
"""A message the hub has not acknowledged by then is sent again; the wait doubles each time."""

LONGEST_RESEND_S: Final = 60.0

OVERTAKEN_S: Final = 2.0
"""What was sent later is acknowledged: the hub keeps the order within a lane, so this got lost and waits no longer.
Times the tries so far, for what the hub cannot store is never acknowledged at all."""

GOAL_S: Final = 1.0
"""What is not urgent has no more on its way than the line carries in this time: an alarm waits behind it."""

LEAST_WINDOW: Final = 4_000
LARGEST_WINDOW: Final = 16 * SIZE_TARGET
LEAST_MESSAGE: Final = 1_000
"""Bytes."""

_EPSILON: Final = 1e-6

T = TypeVar("T")


@dataclass(slots=True)
class Flight:
    """One message on its way.

    Attributes:
        waiting: rows the hub has not acknowledged yet: number by the name that acknowledgements use.
        sent_s: when it was last sent, monotonic seconds.
        due_s: when to send what is left again.
        size: bytes of its payload.
    """

    waiting: dict[int | str, int]
    sent_s: float
    due_s: float
    size: int
    tries: int = 1


class Window:
    """Bytes that lanes may have on their way together, by what the line has carried so far (safety.md D8).

    A message that is acknowledged fast doubles it; one that was slow sets it to what the line carries in ``GOAL_S``.
    """

    def __init__(self) -> None:
        self.limit = LEAST_WINDOW
        self.flying = 0

    @property
    def shut(self) -> bool:
        """Nothing more may go now."""
        return self.limit - self.flying < LEAST_MESSAGE

    @property
    def left(self) -> int:
        """Bytes that one more message may have."""
        return max(LEAST_MESSAGE, self.limit - self.flying)

    def sent(self, size: int) -> None:
        """So much is on its way."""
        self.flying += size

    def arrived(self, size: int, *, took_s: float, again: bool) -> None:
        """So much has been acknowledged; ``again``: it had to be sent again."""
        self.flying = max(0, self.flying - size)
        if again:
            self.limit = LEAST_WINDOW
        elif took_s > 2 * GOAL_S:
            self.limit = max(LEAST_WINDOW, min(self.limit, int(size * GOAL_S / took_s)))
        elif took_s < GOAL_S:
            self.limit = min(LARGEST_WINDOW, self.limit * 2)

    def reset(self) -> None:
        """A new connection: nothing is on its way, and nothing is known of the line."""
        self.limit, self.flying = LEAST_WINDOW, 0


@dataclass(slots=True)
class Lane(Generic[T]):
    """One kind of row.

    Attributes:
        title: for logs.
        topic: where it goes.
        install_id: of the file its numbers belong to.
        fetch: rows by (limit, after exclusive), in order.
        fetch_these: those of these numbers that still wait, in order.
        number: a row's number.
        name: what an acknowledgement calls a row.
        pack: rows to payload.
        page: most rows in one message.
        room: most messages unacknowledged.
        metered: takes a token for each message.
        patient: waits for that token.
        window: shared with other patient lanes; None for what goes at once.
    """

    title: str
    topic: Topic
    install_id: str
    fetch: Callable[[int, int], Sequence[T]]
    fetch_these: Callable[[Sequence[int]], Sequence[T]]
    number: Callable[[T], int]
    name: Callable[[T], int | str]
    pack: Callable[[Sequence[T]], bytes]
    page: int
    room: int
    metered: bool = True
    patient: bool = True
    window: Window | None = None
    open: bool = False
    fresh: bool = True
    cursor: int = 0
    flights: list[Flight] = field(default_factory=list)

    def reset(self, *, is_open: bool) -> None:
        """The connection came or went: whatever was on its way is sent again from the oldest."""
        self.open, self.fresh, self.cursor = is_open, True, 0
        self.flights.clear()
        if self.window is not None:
            self.window.reset()

    @property
    def full(self) -> bool:
        """No more messages may be on their way."""
        return len(self.flights) >= self.room or (self.window is not None and self.window.shut)

    def rewind(self, first: int) -> None:
        """Rows from ``first`` on may wait again; those on their way are not sent twice."""
        self.cursor, self.fresh = min(self.cursor, first - 1), True

    def next_rows(self) -> Sequence[T]:
        """Rows after the cursor that are not on their way; ``fresh`` ends when there are no more."""
        while rows := self.fetch(self.page, self.cursor):
            flying = {number for flight in self.flights for number in flight.waiting.values()}
            if left := [row for row in rows if self.number(row) not in flying]:
                return left
            self.cursor = self.number(rows[-1])
        self.fresh = False
        return ()

    def sent(self, rows: Sequence[T], now_s: float, size: int) -> None:
        """These are on their way for the first time, in so many bytes."""
        self.cursor = self.number(rows[-1])
        waiting = {self.name(row): self.number(row) for row in rows}
        self.flights.append(Flight(waiting=waiting, sent_s=now_s, due_s=now_s + resend_s(1), size=size))
        if self.window is not None:
            self.window.sent(size)

    def sent_again(self, flight: Flight, rows: Sequence[T], now_s: float) -> None:
        """These are on their way again; what else was left of the message goes back among those that wait."""
        flight.tries += 1
        flight.sent_s = now_s
        flight.due_s = now_s + resend_s(flight.tries)
        before = flight.waiting
        flight.waiting = {self.name(row): self.number(row) for row in rows}
        if parted := [number for name, number in before.items() if name not in flight.waiting]:
            self.rewind(min(parted))

    def acknowledged(self, names: Sequence[int | str], now_s: float) -> None:
        """The hub has these. As long as it works its way through what it got, nothing is sent to it twice."""
        reached_s = -math.inf
        for flight in self.flights:
            before = len(flight.waiting)
            for name in names:
                flight.waiting.pop(name, None)
            if len(flight.waiting) < before:
                reached_s = max(reached_s, flight.sent_s)
        if reached_s == -math.inf:
            return
        for flight in [flight for flight in self.flights if not flight.waiting]:
            self.ended(flight, now_s)
        for flight in self.flights:
            if flight.sent_s < reached_s:
                flight.due_s = min(flight.due_s, now_s + OVERTAKEN_S * flight.tries)
            else:
                patience_s = min(now_s + RESEND_S, flight.sent_s + LONGEST_RESEND_S)
                flight.due_s = max(flight.due_s, patience_s)

    def hasten(self, now_s: float) -> None:
        """The hub has only begun to listen: what is on its way is due, however often it was tried."""
        for flight in self.flights:
            flight.due_s = min(flight.due_s, now_s)

    def ended(self, flight: Flight, now_s: float) -> None:
        """Nothing of it is on its way any more."""
        self.flights.remove(flight)
        if self.window is not None:
            self.window.arrived(flight.size, took_s=now_s - flight.sent_s, again=flight.tries > 1)

    def due_s(self) -> float | None:
        """When the next resend is due."""
        return min((flight.due_s for flight in self.flights), default=None)

    def cut(self, rows: Sequence[T], *, again: bool = False) -> tuple[Sequence[T], bytes]:
        """As many of the rows as fit into one message; the window has counted those that go ``again``."""
        payload = self.pack(rows)
        target = SIZE_TARGET if self.window is None or again else min(SIZE_TARGET, self.window.left)
        while len(payload) > target and len(rows) > 1:
            rows = rows[: max(1, len(rows) * target // len(payload))]
            payload = self.pack(rows)
        return rows, payload


def resend_s(tries: int) -> float:
    """Wait before sending again, after so many tries."""
    return min(LONGEST_RESEND_S, RESEND_S * 2.0 ** (tries - 1))


class TokenBucket:
    """So many messages a second, with a burst of as many (safety.md D8: a station back from an outage must not flood)."""

    def __init__(self, *, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at_s: float | None = None

    def wait_s(self, now_s: float) -> float:
        """Seconds until there is a token; 0 when there is one."""
        if self._at_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        return 0.0 if self._tokens >= 1 - _EPSILON else (1 - self._tokens) / self._rate

    def take(self) -> None:
        """Use one token. What may not wait goes into debt, at most as deep as the burst is high."""
        self._tokens = max(self._tokens - 1, -self._burst)
