"""Event streams of all stations, in memory and in the database: what came, what is missing, what is lost.

Writer thread only. A stream is read once, when its station is first heard, and compared with the events that are stored:
a database that was restored from an older copy lacks what its newest events say it has.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud_hub import upsert
from cloud_hub.ingest import gaps
from cloud_hub.ingest.gaps import Asked, Gap, Span, Store, Stream
from cloud_hub.models.event import Event, EventStream
from firmware_config import wire
from firmware_config.vocabulary import lane_of

WRITE_EVERY: Final = 256
"""Numbers that may come in order before a stream is written; as many are looked through again after a restart."""

QUESTIONS: Final = 20
"""In one second, to all stations together: a hub that lost a day must not call for all of it at once."""

_SECOND: Final = timedelta(seconds=1)


class Streams:
    """All stations' streams. Changes are tried first and kept only once their transaction is committed."""

    def __init__(self) -> None:
        self._kept: dict[Store, Stream] = {}
        self._tried: dict[Store, Stream] = {}
        self._written: dict[Store, Stream] = {}
        self._asked: dict[Store, Asked] = {}
        self._waiting: dict[Store, int] = {}
        self._second: tuple[datetime | None, int] = (None, 0)

    def load(self, session: Session, wanted: Iterable[Store], *, now: datetime) -> None:
        """Read what is not in memory."""
        missing = {store for store in wanted if store not in self._kept}
        if not missing:
            return
        top = (
            select(func.max(Event.seq))
            .where(Event.station_id == EventStream.station_id, Event.install_id == EventStream.install_id)
            .scalar_subquery()
        )
        query = select(EventStream, top).where(
            EventStream.station_id.in_({station for station, _ in missing}),
            EventStream.install_id.in_({install for _, install in missing}),
        )
        for row, newest in session.execute(query):
            store = (row.station_id, row.install_id)
            if store in missing:
                missing.discard(store)
                self._written[store] = _read(row, now)
                self._kept[store] = _compared(session, store, self._written[store], newest or 0, now)
        for store in missing:
            self._kept[store] = _compared(session, store, Stream(), _newest(session, store), now)

    def get(self, store: Store) -> Stream:
        """As it is now, tried changes included. ``load`` has read it."""
        return self._tried.get(store) or self._kept[store]

    def asked_for(self, store: Store, number: int) -> bool:
        """The hub asked for it, so it is no news, however young."""
        asked = self._asked.get(store)
        return asked is not None and asked.span[0] <= number <= asked.span[1]

    def came(self, store: Store, events: Sequence[wire.Event], at: datetime) -> None:
        """These events are stored now."""
        numbers = ((event.seq, lane_of(event.kind)) for event in events)
        self._tried[store] = gaps.came(self.get(store), numbers, at)

    def told(self, beat: wire.Heartbeat, at: datetime) -> None:
        """A signed heartbeat that was believed."""
        store = (beat.station, beat.install_id)
        stream = self.get(store)
        told = gaps.told(stream, event_seq=beat.event_seq, waiting=beat.backlog, at=at)
        if told is not stream:
            self._tried[store] = told
        self._waiting[store] = beat.backlog

    def gone(self, session: Session, store: Store, spans: Sequence[wire.Span]) -> list[Span]:
        """The station says that these will never come. What is lost now and was not before."""
        return self._lose(session, store, [(span.first, span.last) for span in spans])

    def replaced(self, session: Session, store: Store) -> list[Span]:
        """The station has another store now: what is missing of this one will never come."""
        return self._lose(session, store, [(gap.first, gap.last) for gap in self.get(store).gaps])

    def question(self, store: Store, now: datetime) -> Span | None:
        """What to ask the station for now, if anything. Asking is remembered at once: a question may get lost too."""
        since, count = self._second
        if since is None or not timedelta() <= now - since < _SECOND:
            since, count = now, 0
        if count >= QUESTIONS or not self.get(store).gaps:
            return None
        waiting = self._waiting.get(store, 0)
        asked = gaps.question(self.get(store), self._asked.get(store), waiting=waiting, now=now)
        if asked is None:
            return None
        self._asked[store], self._second = asked, (since, count + 1)
        return asked.span

    def write(self, session: Session, *, now: datetime) -> None:
        """What has changed enough, into the session's transaction."""
        rows = [
            {
                "station_id": station,
                "install_id": install,
                "high": stream.high,
                "missing": [[gap.first, gap.last] for gap in stream.gaps],
                "lost": stream.lost,
                "lost_count": stream.lost_count,
                "updated_at": now,
            }
            for (station, install), stream in sorted(self._tried.items())
            if _differs(self._written.get((station, install)), stream)
        ]
        if not rows:
            return
        statement = upsert.insert(session, EventStream)
        names = ("high", "missing", "lost", "lost_count", "updated_at")
        changes = {name: statement.excluded[name] for name in names}
        session.connection().execute(
            statement.on_conflict_do_update(index_elements=["station_id", "install_id"], set_=changes), rows
        )

    def keep(self) -> None:
        """The transaction is committed."""
        for store, stream in self._tried.items():
            if _differs(self._written.get(store), stream):
                self._written[store] = stream
            if not stream.gaps:
                self._asked.pop(store, None)
        self._kept.update(self._tried)
        self._tried = {}

    def drop(self) -> None:
        """The transaction was rolled back, and with it what may have been read in it."""
        self._tried = {}

    def forget(self, stations: Sequence[str]) -> None:
        """They are no longer served."""
        gone = {store for store in self._kept if store[0] in set(stations)}
        for store in gone:
            for table in (self._kept, self._written, self._asked, self._waiting):
                table.pop(store, None)

    def _lose(self, session: Session, store: Store, spans: Sequence[Span]) -> list[Span]:
        stream = self.get(store)
        within = [
            (max(gap.first, first), min(gap.last, last))
            for first, last in spans
            for gap in stream.gaps
            if gap.first <= last and gap.last >= first
        ]
        if not within:
            return []
        here: set[int] = set()
        for first, last in within:
            here |= _stored(session, store, first, last)
        self._tried[store], lost = gaps.gone(stream, within, here=here)
        return lost


def _read(row: EventStream, now: datetime) -> Stream:
    return Stream(
        high=row.high,
        gaps=tuple(Gap(first, last, now) for first, last in row.missing),
        lost=tuple((first, last) for first, last in row.lost),
        lost_count=row.lost_count,
    )


def _compared(session: Session, store: Store, stream: Stream, newest: int, now: datetime) -> Stream:
    """A stream as the stored events have it: those since it was written, or all when some of them are gone."""
    if newest > stream.high:
        found = _holes(session, store, after=stream.high)
        return replace(stream, high=newest, gaps=(*stream.gaps, *(Gap(*hole, now) for hole in found)))
    if newest == _expected(stream):
        return stream
    found = _holes(session, store, after=0)
    lost = gaps.cut(stream.lost, newest + 1, stream.high)
    for first, last in lost:
        found = list(gaps.cut(found, first, last))
    return Stream(
        high=newest,
        gaps=tuple(Gap(*hole, now) for hole in found),
        lost=lost,
        lost_count=sum(last - first + 1 for first, last in lost),
    )


def _expected(stream: Stream) -> int:
    """The highest number that must be stored."""
    number = stream.high
    for first, last in reversed(gaps.join([*((gap.first, gap.last) for gap in stream.gaps), *stream.lost])):
        if last == number:
            number = first - 1
    return number


def _newest(session: Session, store: Store) -> int:
    station, install = store
    query = select(func.max(Event.seq)).where(Event.station_id == station, Event.install_id == install)
    return session.scalar(query) or 0


def _holes(session: Session, store: Store, *, after: int) -> list[Span]:
    """Numbers above ``after`` that are not stored, below the highest that is."""
    station, install = store
    number = (
        select(Event.seq, func.lag(Event.seq, 1, after).over(order_by=Event.seq).label("before"))
        .where(Event.station_id == station, Event.install_id == install, Event.seq > after)
        .subquery()
    )
    query = (
        select(number.c.before, number.c.seq)
        .where(number.c.seq > number.c.before + 1)
        .order_by(number.c.seq)
        .limit(gaps.MOST_GAPS)
    )
    return [(before + 1, seq - 1) for before, seq in session.execute(query)]


def _stored(session: Session, store: Store, first: int, last: int) -> set[int]:
    station, install = store
    query = select(Event.seq).where(
        Event.station_id == station, Event.install_id == install, Event.seq.between(first, last)
    )
    return set(session.scalars(query))


def _differs(written: Stream | None, stream: Stream) -> bool:
    if written is None or stream.high - written.high >= WRITE_EVERY or stream.high < written.high:
        return True
    return (written.lost, written.lost_count) != (stream.lost, stream.lost_count) or [
        (gap.first, gap.last) for gap in written.gaps
    ] != [(gap.first, gap.last) for gap in stream.gaps]
