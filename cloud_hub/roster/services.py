"""Versions of rosters. They only increase, and each is stored before it is sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_hub import upsert
from cloud_hub.models import RosterRevision, RosterState, Station
from cloud_hub.roster.build import build
from firmware_config.roster import RosterDocument, content_digest

REFRESH: Final = timedelta(hours=24)
"""An unchanged roster is issued anew after this long: it counts as fresh for 72 hours (safety.md P8)."""

_ROW: Final = 1


def touch(session: Session) -> None:
    """Something that rosters are made of has changed. Before the audit entry: its lock comes last."""
    statement = upsert.insert(session, RosterRevision).values(id=_ROW, number=1)
    session.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_={"number": RosterRevision.number + 1})
    )


def revision(session: Session) -> int:
    """Counts changes; 0 before the first, when there is nothing to tell any station."""
    return session.scalar(select(RosterRevision.number)) or 0


def current(
    session: Session, station: Station, *, pass_keys: Sequence[str], reported: int, now: datetime
) -> RosterDocument | None:
    """The roster as last issued, when it is still what the rows say; else it must be issued anew.

    Args:
        session: reading is enough.
        station: whose.
        pass_keys: public keys, base64.
        reported: version that the station says it has.
        now: aware time.
    """
    state = session.get(RosterState, station.id)
    if state is None or state.version < reported or now - state.issued_at > REFRESH:
        return None
    document = build(session, station, version=state.version, issued_at=state.issued_at, pass_keys=pass_keys)
    return document if digest_of(document) == state.digest else None


def issue(
    session: Session, station: Station, *, pass_keys: Sequence[str], reported: int, now: datetime
) -> RosterDocument:
    """A new version, in the session's transaction: send it only after the commit.

    Args:
        session: a writing session.
        station: whose.
        pass_keys: public keys, base64.
        reported: version that the station says it has; after a restore of the database it may be ahead of ours.
        now: aware time.

    Raises:
        ValueError: the rows contradict each other; the roster before stays in force.
    """
    state = session.get(RosterState, station.id, with_for_update=True)
    version = max(0 if state is None else state.version, reported) + 1
    issued_at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    document = build(session, station, version=version, issued_at=issued_at, pass_keys=pass_keys)
    if state is None:
        state = RosterState(station_id=station.id, applied_version=0, applied_at=None)
        session.add(state)
    state.version = version
    state.digest = digest_of(document)
    state.people = len(document.people)
    state.issued_at = issued_at
    session.flush()
    return document


def note_applied(session: Session, station_id: str, version: int, *, now: datetime) -> bool:
    """A station told which roster it has. True when that is news."""
    state = session.get(RosterState, station_id)
    if state is None or state.applied_version == version:
        return False
    state.applied_version = version
    state.applied_at = now
    return True


def digest_of(document: RosterDocument) -> str:
    """SHA-256 of a document as it is sent."""
    return content_digest(msgspec.json.encode(document))
