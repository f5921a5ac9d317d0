"""Sealed templates under way: taken in, ended, destroyed. What is destroyed is the ciphertext; the row is the record."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, CursorResult, or_, select, update
from sqlalchemy.orm import Session

from cloud_hub.models import Consent, Person, Replica, Station
from cloud_hub.models.people import ConsentKind
from firmware_config import replica as wire
from firmware_config.replica import REPLICA_LIFE_MS

log = logging.getLogger(__name__)

LIFE: Final = timedelta(milliseconds=REPLICA_LIFE_MS)
RECEIVED: Final = "received"
LATE: Final = "late"
WITHDRAWN: Final = "withdrawn"
ERASED: Final = "erased"
SUPERSEDED: Final = "superseded"
MOST_WAITING: Final = 100
"""Of one station, looked at together."""

_LONGEST_REASON: Final = 48


def take(session: Session, arrived: Sequence[wire.Replica], *, now: datetime) -> bool:
    """Keep what stations sent to be carried on; what may not be carried is recorded without its ciphertext.

    Args:
        session: a writing session.
        arrived: in the order in which they came; the same id counts once.
        now: aware time.

    Returns:
        True when there is something to be sent on.
    """
    if not arrived:
        return False
    # locked, as by whoever withdraws or erases: one of the two sees what the other did
    named = sorted({replica.person for replica in arrived})
    living = set(
        session.scalars(
            select(Person.id)
            .where(Person.id.in_(named), Person.erased_at.is_(None))
            .order_by(Person.id)
            .with_for_update()
        )
    )
    agreed = _agreed(session, living)
    named_stations = select(Station).where(Station.id.in_({replica.to for replica in arrived}))
    served = {row.id: row.retired_at is None for row in session.scalars(named_stations)}
    fresh = False
    for replica in arrived:
        if replica.to not in served or session.get(Replica, replica.id) is not None:
            continue
        ended = _refusal(replica, served=served[replica.to], living=living, agreed=agreed)
        if not ended:
            _end(session, _under_way(replica.person, replica.station, replica.to), ended=SUPERSEDED)
        session.add(
            Replica(
                id=replica.id,
                person_id=replica.person,
                from_station=replica.station,
                to_station=replica.to,
                digest=hashlib.sha256(replica.sealed.encode()).hexdigest(),
                sealed=None if ended else replica.sealed,
                created_at=now,
                sent_at=None,
                received_at=None,
                ended=ended,
            )
        )
        session.flush()
        fresh = fresh or not ended
        if ended:
            log.warning("replica not carried", extra={"station": replica.station, "reason": ended})
    return fresh


def note_answer(
    session: Session, *, replica_id: str, station_id: str, refused: str | None, now: datetime
) -> bool:
    """The receiving station said what it did; its ciphertext goes. True when that is news.

    Args:
        session: a writing session.
        replica_id: which; that of another station counts for nothing.
        station_id: who says so.
        refused: reason; None when it is in force there.
        now: aware time.
    """
    mine = (Replica.id == replica_id, Replica.to_station == station_id, Replica.received_at.is_(None))
    reason = RECEIVED if refused is None else (refused or "refused")[:_LONGEST_REASON]
    result = session.execute(update(Replica).where(*mine).values(received_at=now, ended=reason, sealed=None))
    return isinstance(result, CursorResult) and result.rowcount == 1


def drop(session: Session, *, person: str, reason: str, station: str | None = None) -> None:
    """Nobody may get a copy of this person's templates any more: destroy what is under way.

    Args:
        session: a writing session.
        person: whose.
        reason: for the record.
        station: only what was sent from there.
    """
    which = [Replica.person_id == person, Replica.ended == ""]
    if station is not None:
        which.append(Replica.from_station == station)
    _end(session, which, ended=reason)


def drop_late(session: Session, *, now: datetime) -> None:
    """Destroy what nobody fetched within ``LIFE``, or what no station will fetch any more."""
    retired = select(Station.id).where(Station.retired_at.is_not(None))
    late = or_(Replica.created_at < now - LIFE, Replica.to_station.in_(retired))
    _end(session, [Replica.ended == "", late], ended=LATE)


def waiting(session: Session, station_id: str, *, now: datetime) -> Sequence[Replica]:
    """What a station is to be sent, oldest first."""
    query = (
        select(Replica)
        .where(Replica.to_station == station_id, Replica.ended == "", Replica.created_at >= now - LIFE)
        .order_by(Replica.created_at, Replica.id)
        .limit(MOST_WAITING)
    )
    return session.scalars(query).all()


def receivers(session: Session) -> Sequence[str]:
    """Stations that something waits for."""
    return session.scalars(select(Replica.to_station).where(Replica.ended == "").distinct()).all()


def _end(session: Session, which: Iterable[ColumnElement[bool]], *, ended: str) -> None:
    session.execute(update(Replica).where(*which).values(ended=ended, sealed=None))


def _under_way(person: str, sender: str, receiver: str) -> list[ColumnElement[bool]]:
    return [
        Replica.person_id == person,
        Replica.from_station == sender,
        Replica.to_station == receiver,
        Replica.ended == "",
    ]


def _refusal(replica: wire.Replica, *, served: bool, living: set[str], agreed: set[str]) -> str:
    if not served or replica.to == replica.station:
        return "unknown_receiver"
    if replica.person not in living:
        return "unknown_person"
    return "" if replica.person in agreed else "no_replication_consent"


def _agreed(session: Session, people: set[str]) -> set[str]:
    query = select(Consent.person_id).where(
        Consent.person_id.in_(people),
        Consent.kind == ConsentKind.REPLICATION,
        Consent.withdrawn_at.is_(None),
    )
    return set(session.scalars(query))
