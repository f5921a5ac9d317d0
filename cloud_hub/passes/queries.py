"""Reads of passes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_hub.models import EntryPass


def newest(session: Session, *, person_id: str | None, before: int | None, limit: int) -> Sequence[EntryPass]:
    """Passes made before the one of this row number, newest first."""
    query = select(EntryPass).order_by(EntryPass.number.desc()).limit(limit)
    if person_id is not None:
        query = query.where(EntryPass.person_id == person_id)
    if before is not None:
        query = query.where(EntryPass.number < before)
    return session.scalars(query).all()


def state(row: EntryPass, now: datetime) -> str:
    """What a pass is worth now: ``revoked``, ``expired``, ``not_yet`` or ``valid``. Uses are counted at the station."""
    if row.revoked_at is not None:
        return "revoked"
    if now >= row.not_after:
        return "expired"
    return "not_yet" if now < row.not_before else "valid"
