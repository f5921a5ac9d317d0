"""Sealed templates on their way from one station to another. The hub cannot open them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_hub.db import Base


class Replica(Base):
    """One sealed replica. Its row stays as a record of who got a copy; its ciphertext goes as soon as it may.

    Attributes:
        id: chosen by the sending station.
        person_id: no foreign key: the record outlives the row.
        digest: SHA-256 of the ciphertext as it came.
        sealed: base64; None once it has arrived, was refused, or may not be carried any more.
        sent_at: last sent on.
        received_at: the receiving station said what it did with it.
        ended: empty while it is under way; else ``received``, the receiver's reason to refuse it, ``late``,
            ``withdrawn``, ``erased`` or why it was not taken.
    """

    __tablename__ = "replica"
    __table_args__ = (
        Index("ix_replica_person_id", "person_id"),
        Index("ix_replica_ended_to_station", "ended", "to_station"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(64))
    from_station: Mapped[str] = mapped_column(ForeignKey("station.id"))
    to_station: Mapped[str] = mapped_column(ForeignKey("station.id"))
    digest: Mapped[str] = mapped_column(String(64))
    sealed: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    ended: Mapped[str] = mapped_column(String(48), default="")
