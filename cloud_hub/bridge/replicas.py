"""The replicas thread: sends sealed templates on to their stations, and destroys what nobody fetched.

Rules
  1. What waits is sent at a sign of life of its station, a few at a time, and again after a growing pause until the
     station has said what it did with it (``template.replicated``).
  2. What waits longer than seven days is destroyed, and what may not be carried any more is destroyed by whoever
     withdrew or erased, in their own transaction.
  3. Nothing here can open a replica: it is sealed to the receiving station's key.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.bridge.mqtt import Link
from cloud_hub.bridge.worker import Worker
from cloud_hub.models import Replica
from cloud_hub.replicas import services
from firmware_config.replica import Delivery
from firmware_config.signing import Signer
from firmware_config.topics import Topic

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
"""The table is looked at this often even when nothing came."""

RESEND_S: Final = 30.0
LONGEST_RESEND_S: Final = 3_600.0
AT_ONCE: Final = 8
"""Replicas in one go: about 100 KB, so that they never stand before other messages for long."""

ALIVE_S: Final = 30.0
"""A station heard within this time is worth sending to."""


@dataclass(slots=True)
class _Tries:
    """How often one replica was sent, and when it is due again, in monotonic seconds."""

    count: int
    due_s: float


@dataclass(frozen=True, slots=True)
class _Heard:
    """Stations that something waits for gave a sign of life.

    Attributes:
        born: those that have just come (back): what was sent to them before may be lost.
    """

    stations: frozenset[str]
    born: frozenset[str]


class Replicas:
    """Owns the sending of replicas."""

    def __init__(
        self, *, sessions: sessionmaker[Session], link: Link, signer: Signer, clock: Callable[[], datetime]
    ) -> None:
        """Prepare.

        Args:
            sessions: writing sessions.
            link: for publishing.
            signer: holds the command key.
            clock: aware UTC now.
        """
        self._sessions = sessions
        self._link = link
        self._signer = signer
        self._clock = clock
        self._receivers: frozenset[str] = frozenset()
        self._heard_s: dict[str, float] = {}
        self._tries: dict[str, _Tries] = {}
        self._worker: Worker[_Heard] = Worker("replicas", self._handle, pause_s=lambda: LOOK_S)
        self.thread = self._worker.thread

    def start(self) -> None:
        """See what waits, then listen."""
        self.look()
        self._worker.start()

    def stop(self) -> None:
        """Send nothing more."""
        self._worker.stop()

    def look(self) -> None:
        """Something came that is to be sent on."""
        self._worker.put(None)

    def heard(self, reports: Mapping[str, int | None]) -> None:
        """Stations gave a sign of life; None from one that has just come. Cheap while nothing waits for them."""
        now_s = time.monotonic()
        self._heard_s.update(dict.fromkeys(reports, now_s))
        if due := self._receivers.intersection(reports):
            self._worker.put(_Heard(due, frozenset(name for name in due if reports[name] is None)))

    def _handle(self, item: _Heard | None) -> None:
        heard = item or _Heard(self._look(), frozenset())
        for station in sorted(heard.stations):
            self._send_on(station, anew=station in heard.born)

    def _look(self) -> frozenset[str]:
        """Destroy what is too old, and see for whom something waits. Returns those that are there."""
        with self._sessions.begin() as session:
            services.drop_late(session, now=self._clock())
            self._receivers = frozenset(services.receivers(session))
        recent_s = time.monotonic() - ALIVE_S
        return frozenset(name for name in self._receivers if self._heard_s.get(name, 0.0) > recent_s)

    def _send_on(self, station: str, *, anew: bool) -> None:
        with self._sessions() as session:
            rows = services.waiting(session, station, now=self._clock())
        if not rows:
            self._receivers -= {station}
            return
        if anew:
            for row in rows:
                self._tries.pop(row.id, None)
        now_s = time.monotonic()
        due = [row for row in rows if row.id not in self._tries or self._tries[row.id].due_s <= now_s]
        sent = [row.id for row in due[:AT_ONCE] if self._send(row, now_s)]
        self._tries = {
            name: tries for name, tries in self._tries.items() if tries.due_s > now_s - LONGEST_RESEND_S
        }
        if sent:
            with self._sessions.begin() as session:
                session.execute(update(Replica).where(Replica.id.in_(sent)).values(sent_at=self._clock()))

    def _send(self, row: Replica, now_s: float) -> bool:
        if row.sealed is None:
            return False
        body = Delivery(
            station=row.to_station,
            id=row.id,
            sender=row.from_station,
            person=row.person_id,
            sealed=row.sealed,
        )
        payload = self._signer.seal("replica.delivery", body)
        if self._link.publish(Topic.DELIVERY, row.to_station, payload) is None:
            return False
        tries = self._tries.setdefault(row.id, _Tries(0, now_s))
        tries.due_s = now_s + min(LONGEST_RESEND_S, RESEND_S * 2.0**tries.count)
        tries.count += 1
        return True
