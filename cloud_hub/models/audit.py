"""The audit log: append-only, each entry holds the hash of the one before."""

from datetime import datetime
from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from cloud_hub.db import Base, BigId


class AuditEntry(Base):
    """Who did what to which, when, and with what result.

    Attributes:
        id: counts up without gaps.
        actor: ``user:NAME``, ``token:NAME``, ``station:ID`` or ``hub``.
        action: ``subject:action:result``, for example ``door:unlock:authorised``.
        target: id of what it was done to.
        previous_hash: ``hash`` of entry ``id - 1``.
        hash: SHA-256 over all other columns, see ``cloud_hub.access.audit``.
    """

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(80))
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(80))
    detail: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
