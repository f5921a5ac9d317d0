"""Joins the doors to the room, the orders and the store. Control thread only."""

from collections.abc import Callable, Mapping
from typing import Protocol

from firmware_config.vocabulary import EventKind, Outcome
from firmware_config.wire import Evidence, Scalar
from station_agent.admission import Admission
from station_agent.clock import Clock, Stamp
from station_agent.doorkeeper import Cause
from station_agent.orders import Orders
from station_agent.room import Room


class EventStore(Protocol):
    """Where events are kept until the hub has them."""

    def put_event(self, kind: EventKind, data: Mapping[str, Scalar], stamp: Stamp) -> None:
        """Keep one event; returns at once."""


class Ledger:
    """What the doorkeepers tell. ``join`` it to the others before the first fact."""

    def __init__(self, store: EventStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._room: Room | None = None
        self._admission: Admission | None = None
        self._orders: Orders | None = None
        self._visited: Callable[[str], None] = _nobody

    def join(
        self,
        *,
        room: Room,
        orders: Orders,
        admission: Admission,
        visited: Callable[[str], None] | None = None,
    ) -> None:
        """Say who is to hear of openings, of ended orders, and of people who came in; none of them may wait."""
        self._room = room
        self._admission = admission
        self._orders = orders
        self._visited = visited or _nobody

    def record(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        """Keep an event, stamped now."""
        self._store.put_event(kind, data, self._clock.stamp())

    def passed(self, door: str, cause: Cause) -> None:
        """Somebody opened a door legally."""
        if self._room:
            self._room.passed(cause)
        if self._admission:
            self._admission.entered(door, cause)
        if cause.person is not None:
            self._visited(cause.person)

    def forced(self, door: str) -> None:
        """A door opened without a grant."""
        if self._room:
            self._room.forced(door)

    def closed(self, door: str) -> None:
        """A door was closed."""
        if self._room:
            self._room.closed(door)

    def order_ended(self, cmd_id: str, outcome: Outcome, evidence: Evidence, code: str | None) -> None:
        """An order's window is over."""
        if self._orders:
            self._orders.ended(cmd_id, outcome, evidence, code)


def _nobody(_person: str) -> None:
    return
