"""The rosters thread: brings every station the roster it should have, and sees that erasures are receipted.

Rules
  1. A version is committed before it is sent (``roster.services``). What is sent again is the same, byte for byte.
  2. A roster goes out when a station says in a heartbeat that it has another one, or when rows change: somebody rings.
     Without either the table is looked at every ``LOOK_S``, because a ring may be lost.
  3. Before the first change of any row no station is told anything.
  4. A roster is built from one view of the database, or a person would be seen whose groups are not.
  5. An erasure is sent at each sign of life of its station, at most every ``RESEND_S``, until its receipt has come.
  6. What is overdue becomes an alert (``roster.overdue``), looked at every ``LOOK_S`` at most.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.bell import WEB, Ringer
from cloud_hub.bridge.mqtt import Link
from cloud_hub.bridge.worker import Worker
from cloud_hub.db import make_sessions, whole_views
from cloud_hub.models import Erasure, Station
from cloud_hub.roster import services
from cloud_hub.roster.build import milliseconds
from cloud_hub.roster.overdue import Overdue
from firmware_config.roster import RosterDocument, seal
from firmware_config.signing import Signer
from firmware_config.topics import Topic
from firmware_config.wire import Erase

log = logging.getLogger(__name__)

LOOK_S: Final = 15.0
RESEND_S: Final = 20.0
"""A station that has not taken what it was sent gets it again after this long."""

REFRESH_LOOK_S: Final = 3_600.0
"""Rosters that nobody changed are looked at this often, to be issued anew before they grow stale."""

Reports: TypeAlias = Mapping[str, int | None]
"""By station the version of its roster, None when it has just come (back)."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a station was sent last.

    Attributes:
        revision: of the rows then.
        at_s: monotonic.
    """

    revision: int
    version: int
    at_s: float


class Rosters:
    """Owns ``RosterState`` and the sending of erasures."""

    def __init__(
        self,
        *,
        sessions: sessionmaker[Session],
        link: Link,
        signer: Signer,
        pass_keys: Sequence[str],
        ringer: Ringer,
        clock: Callable[[], datetime],
    ) -> None:
        """Prepare.

        Args:
            sessions: writing sessions.
            link: for publishing.
            signer: holds the command key.
            pass_keys: public keys of passes, base64.
            ringer: wakes the pages.
            clock: aware UTC now.
        """
        engine = whole_views(sessions.kw["bind"])
        self._sessions = make_sessions(engine)
        self._reading = make_sessions(engine.execution_options(read_only=True))
        self._link = link
        self._signer = signer
        self._pass_keys = tuple(pass_keys)
        self._ringer = ringer
        self._clock = clock
        self._revision = 0
        self._reported: dict[str, int] = {}
        self._checked: dict[str, tuple[int, int]] = {}
        self._sent: dict[str, _Sent] = {}
        self._erasing: dict[str, float] = {}
        self._refreshed_s = time.monotonic()
        self._overdue = Overdue(clock)
        self._overdue_s = -math.inf
        self._worker: Worker[Reports] = Worker("rosters", self._handle, pause_s=lambda: LOOK_S)
        self.thread = self._worker.thread

    def start(self) -> None:
        """Bring what is due, then listen."""
        self.look()
        self._worker.start()

    def stop(self) -> None:
        """Send nothing more."""
        self._worker.stop()

    def look(self) -> None:
        """Rows may have changed."""
        self._worker.put(None)

    def heard(self, reports: Reports) -> None:
        """Stations said which roster they have. Cheap when there is nothing to do."""
        news = {
            station: version
            for station, version in reports.items()
            if version is None
            or station in self._erasing
            or self._checked.get(station) != (self._revision, version)
        }
        if news:
            self._worker.put(news)

    def _handle(self, item: Reports | None) -> None:
        if time.monotonic() - self._overdue_s >= LOOK_S:
            self._overdue_s = time.monotonic()
            self._tell_overdue()
        if item is None:
            self._look()
            return
        for station, version in item.items():
            if version is None:
                self._sent.pop(station, None)
                if station in self._erasing:
                    self._erasing[station] = -RESEND_S
            else:
                self._note(station, version)
                self._reported[station] = version
                self._bring(station)
                self._erase(station)

    def _look(self) -> None:
        with self._reading() as session:
            revision = services.revision(session)
            waiting = session.scalars(
                select(Erasure.station_id).where(Erasure.receipted_at.is_(None)).distinct()
            ).all()
        self._erasing = {station: self._erasing.get(station, -RESEND_S) for station in waiting}
        if time.monotonic() - self._refreshed_s >= REFRESH_LOOK_S:
            self._refreshed_s = time.monotonic()
            self._checked.clear()
        self._revision = revision
        for station in list(self._reported):
            self._bring(station)
        for station in list(self._erasing):
            self._erase(station)

    def _tell_overdue(self) -> None:
        """Alerts about rosters not applied and erasures not proven."""
        with self._reading() as session:
            words = self._overdue.look(session)
        if not words:
            return
        with self._sessions.begin() as session:
            self._overdue.apply(session, words)
        self._ringer.ring(WEB, "alerts", "stations", *(f"station:{word.station}" for word in words))

    def _note(self, station_id: str, version: int) -> None:
        """Write down what a station says it has, also while a newer one is under way to it."""
        if self._reported.get(station_id) == version:
            return
        with self._sessions.begin() as session:
            news = services.note_applied(session, station_id, version, now=self._clock())
        if news:
            self._ringer.ring(WEB, f"station:{station_id}")

    def _bring(self, station_id: str) -> None:
        """Send a station its roster when it has another one."""
        reported, wanted = self._reported[station_id], (self._revision, self._reported[station_id])
        if self._checked.get(station_id) == wanted:
            return
        if not self._revision:
            self._checked[station_id] = wanted
            return
        sent = self._sent.get(station_id)
        if (
            sent is not None
            and sent.revision == self._revision
            and reported < sent.version
            and time.monotonic() - sent.at_s < RESEND_S
        ):
            return
        document = self._document(station_id, reported)
        if document is None or document.version == reported:
            self._checked[station_id] = wanted
        elif self._publish(document):
            self._sent[station_id] = _Sent(self._revision, document.version, time.monotonic())

    def _document(self, station_id: str, reported: int) -> RosterDocument | None:
        """What a station should have, committed; None when it is no longer served or its rows make no roster."""
        now = self._clock()
        try:
            with self._reading() as session:
                station = session.get(Station, station_id)
                if station is None or station.retired_at is not None:
                    return None
                document = services.current(
                    session, station, pass_keys=self._pass_keys, reported=reported, now=now
                )
            if document is None:
                with self._sessions.begin() as session:
                    document = services.issue(
                        session, station, pass_keys=self._pass_keys, reported=reported, now=now
                    )
        except ValueError as error:
            log.error("roster cannot be made", extra={"station": station_id, "error": str(error)[:300]})  # noqa: TRY400 (the rows are wrong, and the text says how)
            return None
        return document

    def _publish(self, document: RosterDocument) -> bool:
        parts = seal(document, self._signer)
        sent = [self._link.publish(Topic.ROSTER, document.station, part) for part in parts]
        log.info(
            "roster sent",
            extra={"station": document.station, "version": document.version, "parts": len(parts)},
        )
        return None not in sent

    def _erase(self, station_id: str) -> None:
        now_s = time.monotonic()
        if station_id not in self._reported or now_s - self._erasing.get(station_id, now_s) < RESEND_S:
            return
        with self._reading() as session:
            waiting = session.scalars(
                select(Erasure)
                .where(Erasure.station_id == station_id, Erasure.receipted_at.is_(None))
                .order_by(Erasure.requested_at, Erasure.request_id)
            ).all()
        if not waiting:
            self._erasing.pop(station_id, None)
            return
        self._erasing[station_id] = now_s
        sent = [erasure for erasure in waiting if self._send_erase(erasure)]
        fresh = [erasure.request_id for erasure in sent if erasure.sent_at is None]
        if fresh:
            with self._sessions.begin() as session:
                session.execute(
                    update(Erasure).where(Erasure.request_id.in_(fresh)).values(sent_at=self._clock())
                )

    def _send_erase(self, erasure: Erasure) -> bool:
        body = Erase(
            station=erasure.station_id,
            request_id=erasure.request_id,
            person=erasure.person_id,
            issued_ms=milliseconds(erasure.requested_at),
        )
        return self._link.publish(Topic.ERASE, body.station, self._signer.seal("erase", body)) is not None
