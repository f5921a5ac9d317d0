"""When something happened, by the hub's clock (safety.md D10). PURE.

Every boot of a station has one ``Relation`` between its monotonic clock and the hub's, and everything of that boot is
dated by it, whenever it comes and on whatever way, so what happened later is never dated earlier.

Rules
  1. The boot that sends is related by what it sends: nothing arrives before it was sent, so the least delayed message
     counts. A clock that drifts is followed, forwards and back, without turning the order of what was dated before.
  2. An earlier boot is dated by the relation the hub learnt while it was heard, else by the anchor that the station
     gives for it, else by its wall clock while that was synchronised. Where there is nothing better the time is an
     estimate, and says so.
  3. Nothing happened after it was received; only where the hub's own clock was set back by less than ``STEP_US`` since,
     the order counts for more.
  4. The hub's process sees its own clock being set (``Relation.shift``); rule 1 finds out alone, but needs a minute to
     tell a clock that was set forward from messages that are late.
  5. Events are not signed: they may make a boot's first relation, and move it by no more than ``UNSIGNED_US``.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from cloud_hub.models.event import Dated
from firmware_config import wire

BACKFILL_AFTER: Final = timedelta(seconds=60)
"""Older than this when it was sent: history, not news."""

TOLERANCE_US: Final = 1_000_000
"""A boot's clock may seem to be this slow before its relation is corrected; half of what D10 allows."""

STEP_US: Final = 5_000_000
"""No drift and no ordinary delay: one of the clocks was set."""

WINDOW_MS: Final = 60_000
"""Seeming slow for this long without exception is no delay on the way."""

UNSIGNED_US: Final = 120_000_000
"""What is not signed moves a relation by no more than this, which is more than any message is late."""

MOST_KNOTS: Final = 64

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_AGE: Final = timedelta(days=3_650)
_MICROSECOND: Final = timedelta(microseconds=1)

Knot = tuple[int, int]
"""Monotonic milliseconds of a boot, and microseconds since the epoch by the hub's clock."""


class Relation:
    """One boot's clock by the hub's: straight between its knots, and as fast as the hub's beyond them.

    Attributes:
        source: how it is known.
        signed: a signed message stands behind it.
        knots: in order of both clocks.
        changed: since it was last written to the database.
    """

    __slots__ = ("_dated_ms", "_good_ms", "_seen_ms", "_slow_us", "changed", "knots", "signed", "source")

    def __init__(self, source: Dated, knots: Sequence[Knot], *, signed: bool, changed: bool = True) -> None:
        self.source = source
        self.knots = list(knots)
        self.signed = signed
        self.changed = changed
        self._seen_ms = -1
        self._good_ms = self.knots[-1][0]
        self._dated_ms = -1
        self._slow_us: int | None = None

    def at_us(self, mono_ms: int) -> int:
        """When it was, before any limit."""
        knots = self.knots
        last_ms, last_us = knots[-1]
        if mono_ms >= last_ms:
            return last_us + (mono_ms - last_ms) * 1_000
        index = bisect_right(knots, (mono_ms, 2**63))
        if index == 0:
            first_ms, first_us = knots[0]
            return first_us - (first_ms - mono_ms) * 1_000
        (low_ms, low_us), (high_ms, high_us) = knots[index - 1], knots[index]
        return low_us + (mono_ms - low_ms) * (high_us - low_us) // (high_ms - low_ms)

    def date(self, mono_ms: int, *, received_at: datetime) -> datetime:
        """When something happened. What was dated keeps its place."""
        limit_us = _us(received_at)
        if self._dated_ms >= 0:
            limit_us = max(limit_us, self.at_us(self._dated_ms))
        at_us = self.at_us(mono_ms)
        if at_us <= limit_us:
            self._dated_ms = max(self._dated_ms, mono_ms)
        return _time(min(at_us, limit_us), received_at)

    def observe(self, mono_ms: int, received_at: datetime, *, signed: bool) -> None:
        """A message of this boot, sent at ``mono_ms`` by its clock, has arrived."""
        if mono_ms <= max(self._seen_ms, self._dated_ms):
            return
        received_us = _us(received_at)
        late_us = received_us - self.at_us(mono_ms)
        if self.signed and not signed and abs(late_us) > UNSIGNED_US:
            return
        if self._seen_ms < 0 and self._dated_ms < 0 and not self.changed:
            # read from the database: it may have dated whatever is not in the future
            self._dated_ms = min(mono_ms - 1, mono_ms + late_us // 1_000)
        self._seen_ms = mono_ms
        if signed and not self.signed:
            self.signed = self.changed = True
            if late_us > STEP_US:
                self._bend(mono_ms, received_us)
                return
        if late_us < 0:
            self._hurry(mono_ms, received_us)
        elif late_us <= TOLERANCE_US:
            self._good(mono_ms)
        else:
            self._slow_us = late_us if self._slow_us is None else min(self._slow_us, late_us)
            if mono_ms - self._good_ms >= WINDOW_MS:
                self._bend(mono_ms, received_us - late_us + self._slow_us)

    def shift(self, by_us: int) -> None:
        """The hub's clock was set by so much: what is dated from now on follows it, what was dated stays."""
        last_ms, last_us = self.knots[-1]
        self._restart(last_ms, last_us + by_us)

    def _hurry(self, mono_ms: int, received_us: int) -> None:
        """It arrived before it was sent: the relation is too late by that much, or the hub's clock was set back."""
        floor_us = self.at_us(self._dated_ms) if self._dated_ms >= 0 else received_us
        if received_us < floor_us - STEP_US:
            self._restart(mono_ms, received_us)
        else:
            self._bend(mono_ms, max(received_us, floor_us))

    def _bend(self, mono_ms: int, at_us: int) -> None:
        """Go on through this point; what was dated stays."""
        known_ms = self._dated_ms
        if mono_ms - self._good_ms >= WINDOW_MS:
            known_ms = max(known_ms, self._good_ms)  # after a pause: what lies between is shared out evenly
        kept = [knot for knot in self.knots if knot[0] <= known_ms]
        if 0 <= known_ms < mono_ms and (not kept or kept[-1][0] < known_ms):
            kept.append((known_ms, self.at_us(known_ms)))
        at_us = max(at_us, kept[-1][1]) if kept else at_us
        self.knots = [*kept, (mono_ms, at_us)][-MOST_KNOTS:]
        self.changed = True
        self._good(mono_ms)

    def _restart(self, mono_ms: int, at_us: int) -> None:
        """The hub's clock was set: what it says now counts, for everything that is dated from now on."""
        self.knots = [(mono_ms, at_us)]
        self.changed = True
        self._dated_ms = -1
        self._good(mono_ms)

    def _good(self, mono_ms: int) -> None:
        self._good_ms, self._slow_us = mono_ms, None


def live(mono_ms: int, received_at: datetime, *, signed: bool) -> Relation:
    """Of a boot that is heard now for the first time."""
    made = Relation(Dated.LIVE, [(mono_ms, _us(received_at))], signed=signed)
    made.observe(mono_ms, received_at, signed=signed)
    return made


def earlier(
    known: Relation | None,
    anchor: wire.Anchor | None,
    items: Iterable[wire.Event | wire.Reading],
    *,
    received_at: datetime,
) -> Relation:
    """Of a boot that is over, by the best there is.

    Args:
        known: what it was related by before, if anything.
        anchor: the station's word, from the batch.
        items: of this boot, at least one.
        received_at: when the batch came.
    """
    if known is not None and known.source in {Dated.LIVE, Dated.ANCHORED}:
        return known
    if anchor is not None:
        return Relation(Dated.ANCHORED, [(anchor.mono_ms, anchor.wall_ms * 1_000)], signed=False)
    last = max(items, key=lambda item: (item.clock == "synced", item.mono_ms))
    source = Dated.STATION_CLOCK if last.clock == "synced" else Dated.ESTIMATED
    if known is not None and (source, known.source) != (Dated.STATION_CLOCK, Dated.ESTIMATED):
        return known
    wall_us = min(last.wall_ms * 1_000, _us(received_at))
    return Relation(source, [(last.mono_ms, wall_us)], signed=False)


def how(relation: Relation, *, same_boot: bool) -> Dated:
    """What a time is worth that ``relation`` gave."""
    if relation.source is Dated.LIVE and not same_boot:
        return Dated.ANCHORED
    return relation.source


def is_backfill(*, sent_mono_ms: int, mono_ms: int, same_boot: bool) -> bool:
    """It was sent too late to be news: it notifies nobody and changes no current state."""
    return not same_boot or (sent_mono_ms - mono_ms) > BACKFILL_AFTER / timedelta(milliseconds=1)


def _us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _time(at_us: int, received_at: datetime) -> datetime:
    """No age is believed that is longer than this project may be."""
    age_us = min(_us(received_at) - at_us, _LONGEST_AGE // _MICROSECOND)
    return received_at - age_us * _MICROSECOND
