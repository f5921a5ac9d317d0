"""What was seen of a running system, put into one order of time: the material of the checker.

Four witnesses that cannot copy from one another: the relay's wire (the trace), the hub's database, what an operator was
shown over HTTP, and what the campaign itself did. All times are seconds of this machine's wall clock.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Door = tuple[str, str]
"""Station and door."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A wire changed."""

    t: float
    station: str
    wire: str
    value: int


@dataclass(frozen=True, slots=True)
class Step:
    """The hub wrote down a hop of an order."""

    t: float
    command: str
    state: str


@dataclass(frozen=True, slots=True)
class Audited:
    """The hub wrote an audit entry."""

    t: float
    action: str
    target: str


@dataclass(frozen=True, slots=True)
class Shown:
    """An operator was shown an order's state: asked at ``t``, answered at ``until``."""

    t: float
    until: float
    command: str
    state: str
    final: bool


@dataclass(frozen=True, slots=True)
class Placed:
    """The hub told an operator that it has an order."""

    t: float
    command: str


@dataclass(frozen=True, slots=True)
class Put:
    """Something happened at a station; ``kept``: the station promised that it is on disk."""

    t: float
    station: str
    door: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Row:
    """An event in the hub's database."""

    t: float
    station: str
    install: str
    seq: int
    kind: str
    door: str


@dataclass(frozen=True, slots=True)
class Order:
    """An order in the hub's database, as it ended."""

    id: str
    station: str
    door: str
    pulse_s: float
    state: str
    final: bool
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Died:
    """A process was killed, or died where it was armed to."""

    t: float
    part: str


@dataclass(frozen=True, slots=True)
class Stood:
    """A process stood still from ``t`` to ``until``."""

    t: float
    until: float
    part: str


@dataclass
class History:
    """All that is known of one run.

    Attributes:
        settled: everything was up, and left alone for as long as the rules need, when the history was taken.
        stores_lost: stations whose store was lost: nobody can know what became of their orders.
    """

    edges: list[Edge] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    audit: list[Audited] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    puts: list[Put] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    deaths: list[Died] = field(default_factory=list)
    stood: list[Stood] = field(default_factory=list)
    settled: bool = True
    stores_lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Pulse:
    """The relay of a door was energised; ``end`` is None while it still is."""

    start: float
    end: float | None


def pulses(edges: Iterable[Edge]) -> dict[Door, list[Pulse]]:
    """Each door's pulses, in order."""
    wires: dict[Door, list[Edge]] = defaultdict(list)
    for edge in edges:
        if edge.wire.startswith("relay:"):
            wires[edge.station, edge.wire.removeprefix("relay:")].append(edge)
    found: dict[Door, list[Pulse]] = {}
    for door, own in wires.items():
        own.sort(key=lambda edge: edge.t)
        ups = [number for number, edge in enumerate(own) if edge.value]
        found[door] = [
            Pulse(own[number].t, next((edge.t for edge in own[number + 1 :] if not edge.value), None))
            for number in ups
        ]
    return found


def openings(edges: Iterable[Edge]) -> dict[Door, list[float]]:
    """When each door's contact opened."""
    found: dict[Door, list[float]] = defaultdict(list)
    for edge in edges:
        if edge.wire.startswith("contact:") and edge.value:
            found[edge.station, edge.wire.removeprefix("contact:")].append(edge.t)
    return {door: sorted(times) for door, times in found.items()}


@dataclass
class Attributed:
    """Which order each pulse belongs to: the one authorised last before it.

    Attributes:
        of: pulses by order.
        orphans: pulses before which nothing was authorised for their door.
    """

    of: dict[str, list[Pulse]] = field(default_factory=lambda: defaultdict(list))
    orphans: list[tuple[Door, Pulse]] = field(default_factory=list)


def attribute(history: History) -> Attributed:
    """Join the wire with the hub's rows. No clock is shared but this machine's, no id at all."""
    where = {order.id: (order.station, order.door) for order in history.orders}
    authorised: dict[Door, list[tuple[float, str]]] = defaultdict(list)
    for step in history.steps:
        if step.state == "AUTHORISED" and step.command in where:
            authorised[where[step.command]].append((step.t, step.command))
    found = Attributed()
    for door, own in pulses(history.edges).items():
        row = sorted(authorised[door])
        times = [t for t, _ in row]
        for pulse in own:
            place = bisect_right(times, pulse.start)
            if place:
                found.of[row[place - 1][1]].append(pulse)
            else:
                found.orphans.append((door, pulse))
    return found
