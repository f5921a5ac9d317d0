"""Reads of passes."""

from collections.abc import Sequence

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
