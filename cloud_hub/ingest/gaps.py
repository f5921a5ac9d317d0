"""Which events of one store are missing at the hub, and when to ask for them (safety.md D2). PURE.

Rules
  1. A number below the highest that came is missing until it comes. What the station says is on its disk, and neither
     came nor waits there, is missing too.
  2. A lane keeps its own order, and lanes overtake one another: a number may still be on its way while any lane has not
     got beyond it. So it is asked for when nothing waits at the station, or when every lane has passed it and it has
     been missing for ``OVERDUE``.
  3. One question at a time, the first ``MOST_ASKED`` numbers, and again after a pause that doubles while nothing comes.
  4. What the station says is gone is lost, until it comes after all. Only what was missing can get lost.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from firmware_config.vocabulary import Lane

OVERDUE: Final = timedelta(seconds=60)
SETTLED: Final = timedelta(seconds=10)
"""Nothing waits at the station, and yet it is missing for this long: no message is still on its way."""

MOST_ASKED: Final = 1_000
FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(hours=1)

MOST_GAPS: Final = 256
"""Beyond it the two nearest become one, and what lies between them is asked for again, which does no harm."""

MOST_LOST: Final = 64
"""Spans of what is lost that are kept; all of it is counted."""

Store = tuple[str, str]
"""Station and install."""

Span = tuple[int, int]
"""First and last number."""


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Numbers from ``first`` to ``last`` that did not come, noticed ``since``."""

    first: int
    last: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Stream:
    """One store of one station, as far as the hub has it.

    Attributes:
        high: highest number that came or was told of.
        gaps: what is missing below it, in order.
        lost: newest spans that will not come.
        lost_count: numbers that will not come.
        told: highest number the station has said is on its disk, signed.
        tops: by lane, the highest number that came since the bridge started.
    """

    high: int = 0
    gaps: tuple[Gap, ...] = ()
    lost: tuple[Span, ...] = ()
    lost_count: int = 0
    told: int = 0
    tops: dict[Lane, int] = field(default_factory=dict)

    @property
    def missing(self) -> int:
        """Numbers that may still come."""
        return sum(gap.last - gap.first + 1 for gap in self.gaps)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was last asked for, kept in memory only.

    Attributes:
        missing: how much was missing then; less now means that the answer is coming.
        tries: questions in a row that brought nothing.
    """

    span: Span
    at: datetime
    missing: int
    tries: int = 0


def came(stream: Stream, numbers: Iterable[tuple[int, Lane]], at: datetime) -> Stream:
    """These are stored now, or were before."""
    tops = dict(stream.tops)
    ordered: list[int] = []
    for number, lane in numbers:
        ordered.append(number)
        tops[lane] = max(tops.get(lane, 0), number)
    high, gaps, lost, lost_count = stream.high, stream.gaps, stream.lost, stream.lost_count
    for first, last in runs(sorted(ordered)):
        if first > high + 1:
            gaps = (*gaps, Gap(high + 1, first - 1, at))
        if first <= high:
            gaps = _without(gaps, first, last)
            lost_count -= _overlap(lost, first, last)
            lost = cut(lost, first, last)
        high = max(high, last)
    return replace(
        stream, high=high, gaps=_bounded(gaps), lost=lost, lost_count=max(0, lost_count), tops=tops
    )


def told(stream: Stream, *, event_seq: int, waiting: int, at: datetime) -> Stream:
    """A signed heartbeat: the newest event on the station's disk, and how much waits there."""
    if event_seq <= stream.told and (waiting or event_seq <= stream.high):
        return stream
    stream = replace(stream, told=max(stream.told, event_seq))
    if waiting or event_seq <= stream.high:
        return stream
    gaps = (*stream.gaps, Gap(stream.high + 1, event_seq, at))
    return replace(stream, high=event_seq, gaps=_bounded(gaps))


def gone(stream: Stream, spans: Iterable[Span], *, here: Iterable[int] = ()) -> tuple[Stream, list[Span]]:
    """The station says that these will never come.

    Args:
        stream: as it was.
        spans: from the station; only what is missing counts.
        here: numbers that are stored after all, where gaps were joined.

    Returns:
        The stream, and what is lost now and was not before.
    """
    found: list[Span] = []
    gaps = stream.gaps
    for first, last in spans:
        found += [
            (max(gap.first, first), min(gap.last, last))
            for gap in gaps
            if gap.first <= last and gap.last >= first
        ]
        gaps = _without(gaps, first, last)
    for first, last in runs(sorted(here)):
        found = list(cut(found, first, last))
    if not found:
        return replace(stream, gaps=gaps), []
    lost = join([*stream.lost, *found])[-MOST_LOST:]
    count = stream.lost_count + sum(last - first + 1 for first, last in found)
    return replace(stream, gaps=gaps, lost=tuple(lost), lost_count=count), found


def question(stream: Stream, asked: Asked | None, *, waiting: int, now: datetime) -> Asked | None:
    """What to ask the station for now, if anything."""
    due = _due(stream, waiting=waiting, now=now)
    if not due:
        return None
    tries = 0
    if asked is not None:
        tries = asked.tries + 1 if stream.missing >= asked.missing else 0
        if now - asked.at < min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(tries, 10)):
            return None
    first = due[0][0]
    last = max(min(last, first + MOST_ASKED - 1) for start, last in due if start < first + MOST_ASKED)
    return Asked((first, last), now, stream.missing, tries)


def runs(numbers: Sequence[int]) -> list[Span]:
    """Sorted numbers as spans."""
    found: list[Span] = []
    for number in numbers:
        if found and number <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], number))
        else:
            found.append((number, number))
    return found


def join(spans: Iterable[Span]) -> list[Span]:
    """In order, and as few as possible."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def cut(spans: Iterable[Span], first: int, last: int) -> tuple[Span, ...]:
    """Spans without what lies from ``first`` to ``last``."""
    found: list[Span] = []
    for low, high in spans:
        if high < first or low > last:
            found.append((low, high))
            continue
        if low < first:
            found.append((low, first - 1))
        if high > last:
            found.append((last + 1, high))
    return tuple(found)


def _due(stream: Stream, *, waiting: int, now: datetime) -> list[Span]:
    """What is to be asked for: nobody's word but the station's, signed, makes a number worth asking for."""
    if not stream.gaps:
        return []
    passed = min((stream.tops.get(lane, 0) for lane in Lane), default=0)
    found = []
    for gap in stream.gaps:
        last = min(gap.last, stream.told)
        settled = not waiting and now - gap.since >= SETTLED
        overtaken = now - gap.since >= OVERDUE and last < passed
        if gap.first <= last and (settled or overtaken):
            found.append((gap.first, last))
    return found


def _without(gaps: tuple[Gap, ...], first: int, last: int) -> tuple[Gap, ...]:
    if not any(gap.first <= last and gap.last >= first for gap in gaps):
        return gaps
    found: list[Gap] = []
    for gap in gaps:
        if gap.first > last or gap.last < first:
            found.append(gap)
        else:
            found += [Gap(low, high, gap.since) for low, high in cut([(gap.first, gap.last)], first, last)]
    return tuple(found)


def _overlap(spans: Iterable[Span], first: int, last: int) -> int:
    return sum(max(0, min(high, last) - max(low, first) + 1) for low, high in spans)


def _bounded(gaps: tuple[Gap, ...]) -> tuple[Gap, ...]:
    if len(gaps) <= MOST_GAPS:
        return gaps
    by_distance = sorted(range(1, len(gaps)), key=lambda n: gaps[n].first - gaps[n - 1].last)
    joined = set(by_distance[: len(gaps) - MOST_GAPS])
    shorter: list[Gap] = []
    for number, gap in enumerate(gaps):
        if number in joined:
            shorter[-1] = Gap(shorter[-1].first, gap.last, max(shorter[-1].since, gap.since))
        else:
            shorter.append(gap)
    return tuple(shorter)
