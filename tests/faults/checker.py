"""Judges a history: the invariants I1-I6 of safety.md, each event once, and nothing lost that was acknowledged.

Pure. A rule that cannot be judged by what the witnesses saw is judged only as far as it can, and never guessed.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tests.faults.history import Attributed, Door, History, Order, Shown, attribute, openings, pulses

NONCE_S: Final = 3.0
ENERGISED_S: Final = 12.0
OPENING_S: Final = 10.0
"""A door-open edge this long after the start of the pulse still belongs to it (safety.md C11)."""

TOLERANCE_S: Final = 0.1
"""Two clocks of one machine are compared, read one after the other."""

BEFORE_GO: Final = frozenset({"REQUESTED", "SENT", "CHALLENGED"})
NEVER_PULSED: Final = frozenset({"DEVICE_OFFLINE", "NO_CHALLENGE", "REJECTED", "EXPIRED"})
PULSED: Final = frozenset({"PULSING", "OPENED", "PULSED_NOT_OPENED", "ACTUATOR_FAULT"})
OPENED_KINDS: Final = frozenset({"door.opened", "door.forced"})


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


def check(history: History) -> list[Violation]:
    """Every rule that the history breaks."""
    joined = attribute(history)
    return [violation for rule in _RULES for violation in rule(history, joined)]


def _once(_: History, joined: Attributed) -> Iterator[Violation]:
    """I1: at most one pulse for an order."""
    for command, own in joined.of.items():
        if len(own) > 1:
            yield Violation("I1", f"{command} pulsed {len(own)} times")


def _in_time(history: History, joined: Attributed) -> Iterator[Violation]:
    """I2: no pulse more than 3 s after its challenge. The hub's receipt of the challenge is later than the nonce, so
    what is found here is a violation, and a nonce that travelled slowly may hide one: the station's own tests look there.
    """
    challenged = {step.command: step.t for step in history.steps if step.state == "CHALLENGED"}
    for command, own in joined.of.items():
        for pulse in own:
            age_s = pulse.start - challenged.get(command, pulse.start)
            if age_s > NONCE_S + TOLERANCE_S:
                yield Violation("I2", f"{command} pulsed {age_s:.2f} s after its challenge")


def _authorised(history: History, joined: Attributed) -> Iterator[Violation]:
    """I3: each pulse has its AUTHORISED row, each such row its audit entry, and the reverse."""
    for door, pulse in joined.orphans:
        yield Violation("I3", f"{door} pulsed at {pulse.start:.3f} and nothing was authorised")
    rows = Counter(step.command for step in history.steps if step.state == "AUTHORISED")
    entries = Counter(entry.target for entry in history.audit if entry.action.endswith(":authorised"))
    for command in rows.keys() | entries.keys():
        if (rows[command], entries[command]) != (1, 1):
            yield Violation(
                "I3", f"{command}: {rows[command]} AUTHORISED rows, {entries[command]} audit entries"
            )


def _truthful(history: History, joined: Attributed) -> Iterator[Violation]:
    """I4: nothing an operator was shown contradicts the wire at that moment, nor what was shown as final before."""
    orders = {order.id: order for order in history.orders}
    opened = openings(history.edges)
    ended: dict[str, str] = {}
    for shown in sorted(history.shown, key=lambda one: one.until):
        order = orders.get(shown.command)
        if order is None:
            yield Violation("lost", f"{shown.command} was shown and is not in the database")
            continue
        fault = _lie(shown, order, joined, opened) or _changed(shown, ended)
        if fault:
            yield Violation("I4", f"{shown.command} shown as {shown.state}: {fault}")
        if shown.final:
            ended[shown.command] = shown.state
    for order in history.orders:
        last = Shown(float("inf"), float("inf"), order.id, order.state, order.final)
        if fault := _lie(last, order, joined, opened):
            yield Violation("I4", f"{order.id} ended as {order.state}: {fault}")
        if order.state == "UNKNOWN_FINAL" and order.station not in history.stores_lost:
            yield Violation("I4", f"{order.id} ended as UNKNOWN_FINAL, and its store was never lost")


def _lie(shown: Shown, order: Order, joined: Attributed, opened: dict[Door, list[float]]) -> str | None:
    """How a state contradicts the wire, or None."""
    own = joined.of.get(order.id, [])
    began = [pulse.start for pulse in own if pulse.start < shown.until]
    if shown.state in BEFORE_GO:
        late = [start for start in began if start < shown.t - TOLERANCE_S]
        return "the relay had moved" if late and shown.t != float("inf") else None
    if shown.state in NEVER_PULSED:
        return "the relay moved" if own else None
    if shown.state in PULSED and not began:
        return "the relay never moved"
    return _door_lie(shown, order, began, opened.get((order.station, order.door), []))


def _door_lie(shown: Shown, order: Order, began: list[float], door: list[float]) -> str | None:
    """How a state of an order that moved the relay contradicts the contact."""
    during = [t for t in door for start in began if start < t < start + order.pulse_s]
    within = [t for t in door for start in began if start <= t <= min(start + OPENING_S, shown.until)]
    if shown.state == "OPENED" and not within:
        return "the door never opened"
    if shown.state == "PULSED_NOT_OPENED" and during:
        return "the door opened during the pulse"
    return "the wire followed" if shown.state == "ACTUATOR_FAULT" else None


def _changed(shown: Shown, ended: dict[str, str]) -> str | None:
    if (first := ended.get(shown.command)) in {None, shown.state, "UNKNOWN_FINAL"}:
        return None
    return f"it had been shown as {first}, finally"


def _ends(history: History, _: Attributed) -> Iterator[Violation]:
    """I5: with everything up for a minute, every order is over."""
    if history.settled:
        for order in history.orders:
            if not order.final:
                yield Violation("I5", f"{order.id} is still {order.state}")


def _bounded(history: History, _: Attributed) -> Iterator[Violation]:
    """I6: no pulse longer than 12 s while its agent runs. While an agent is dead or stands still its relay is the
    one-shot's business: of a dead one only the level at the next start is judged, of one that stood the rest of the time.
    """
    last = max((edge.t for edge in history.edges), default=0.0)
    for (station, door), own in pulses(history.edges).items():
        deaths = [died.t for died in history.deaths if died.part == station]
        stood = [still for still in history.stood if still.part == station]
        for pulse in own:
            end = last if pulse.end is None else pulse.end
            cut_short = any(pulse.start <= t <= end for t in deaths)
            still_s = sum(max(0.0, min(end, one.until) - max(pulse.start, one.t)) for one in stood)
            energised_s = end - pulse.start - still_s
            if energised_s > ENERGISED_S + TOLERANCE_S and not cut_short:
                yield Violation("I6", f"{station}/{door} energised for {energised_s:.1f} s")
            if pulse.end is None and history.settled:
                yield Violation("I6", f"{station}/{door} still energised at the end")


def _orders_kept(history: History, _: Attributed) -> Iterator[Violation]:
    """An order that an operator was told of is in the database."""
    known = {order.id for order in history.orders}
    for placed in history.placed:
        if placed.command not in known:
            yield Violation("lost", f"order {placed.command} was acknowledged and is gone")


def _each_once(history: History, _: Attributed) -> Iterator[Violation]:
    """Each opening of a door becomes one event: never more than the wire saw, never fewer than were promised."""
    rows: Counter[Door] = Counter((row.station, row.door) for row in history.rows if row.kind in OPENED_KINDS)
    kept: Counter[Door] = Counter((put.station, put.door) for put in history.puts if put.kept)
    seen = {door: len(times) for door, times in openings(history.edges).items()}
    for door in rows.keys() | kept.keys():
        if rows[door] > seen.get(door, 0):
            yield Violation("once", f"{door}: opened {seen.get(door, 0)} times, {rows[door]} events")
        if history.settled and rows[door] < kept[door]:
            yield Violation("lost", f"{door}: {kept[door]} openings were promised, {rows[door]} arrived")


def _numbered(history: History, _: Attributed) -> Iterator[Violation]:
    """Numbers of events are unique and without gaps: a gap is a loss, a number twice a duplicate."""
    numbers: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in history.rows:
        numbers[row.station, row.install].append(row.seq)
    for whose, own in numbers.items():
        if len(set(own)) != len(own):
            yield Violation("once", f"{whose}: numbers twice")
        if history.settled and (missing := set(range(1, max(own) + 1)) - set(own)):
            yield Violation("lost", f"{whose}: numbers {sorted(missing)[:10]} of {max(own)} never came")


_RULES: Final[tuple[Callable[[History, Attributed], Iterator[Violation]], ...]] = (
    _once,
    _in_time,
    _authorised,
    _truthful,
    _ends,
    _bounded,
    _orders_kept,
    _each_once,
    _numbered,
)
