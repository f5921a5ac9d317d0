"""Who may enter, when, and what they agreed to. No name, face, template or PIN: pseudonyms, numbers and flags only."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_hub.db import Base, BigId


class ConsentKind(StrEnum):
    """What somebody agreed to. Each is asked for by itself."""

    FACE = "face"
    REPLICATION = "replication"


class Person(Base):
    """A worker.

    Attributes:
        id: pseudonym made by the hub.
        number: typed before a PIN; not secret.
        active: False bars every way in.
        extended: the door stays unlocked longer for them.
        erased_at: their data is to be erased; they are on no roster any more.
    """

    __tablename__ = "person"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[str | None] = mapped_column(String(8), unique=True)
    active: Mapped[bool] = mapped_column(default=True)
    extended: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]


class PeopleGroup(Base):
    """People who share opening hours.

    Attributes:
        stations: ids of stations it counts at; all when empty.
        weekly: from Monday to Sunday, lists of ``{"opens_min", "closes_min"}``.
        holiday: the same for a holiday; None when holidays change nothing.
        waits_for: its hours only begin once a member of that group has entered.
        doors: doors they may use; all when empty.
        guest_cap: its hours are those of guests, and this many guest passes count a day; None: not for guests.
    """

    __tablename__ = "people_group"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    stations: Mapped[list[Any]] = mapped_column(default=list)
    weekly: Mapped[list[Any]]
    holiday: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    waits_for: Mapped[str | None] = mapped_column(String(32))
    doors: Mapped[list[Any]] = mapped_column(default=list)
    guest_cap: Mapped[int | None]
    created_at: Mapped[datetime]


class Membership(Base):
    """A person belongs to a group."""

    __tablename__ = "membership"

    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True)
    group_id: Mapped[str] = mapped_column(ForeignKey("people_group.id"), primary_key=True, index=True)


class CalendarDay(Base):
    """A day that is not what its weekday says.

    Attributes:
        kind: ``holiday``, or ``workday``: a make-up workday (调休).
        as_weekday: whose hours a make-up workday has, 0 for Monday.
    """

    __tablename__ = "calendar_day"

    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    as_weekday: Mapped[int] = mapped_column(default=0)


class Consent(Base):
    """What a person agreed to at a station. Rows are never deleted: they are the proof.

    Attributes:
        version: of the notice they read.
        channel: where it was given, ``kiosk``.
        withdrawn_by: ``station:ID`` when at the kiosk, else who did it for them.
    """

    __tablename__ = "consent"
    __table_args__ = (Index("ix_consent_person_id_kind", "person_id", "kind"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"))
    kind: Mapped[str] = mapped_column(String(16))
    version: Mapped[int] = mapped_column(BigId)
    channel: Mapped[str] = mapped_column(String(16))
    given_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None] = mapped_column(String(80))


class EnrolmentCode(Base):
    """A one-time code, without the code.

    Attributes:
        tag: first group of the code; finds this row and is not secret.
        digest: slow hash of the whole.
        used_at: the person enrolled, or it was replaced by a newer one.
    """

    __tablename__ = "enrolment_code"
    __table_args__ = (Index("ix_enrolment_code_person_id", "person_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"))
    tag: Mapped[str] = mapped_column(String(4))
    salt: Mapped[str] = mapped_column(String(32))
    digest: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(80))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class EntryPass(Base):
    """A QR pass, without its signature: whoever reads this table can make none.

    Attributes:
        id: 16 hexadecimal digits.
        key_id: first 8 digits of the signing key's id.
        person_id: None for a guest.
        holder: the person's id, or a guest's pseudonym made by the hub.
        scope: station ids, regions, or ``*``.
        uses: how often it opens; 0 for any number.
    """

    __tablename__ = "entry_pass"
    __table_args__ = (Index("ix_entry_pass_revoked_at_not_after", "revoked_at", "not_after"),)

    number: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(16), unique=True)
    key_id: Mapped[str] = mapped_column(String(8))
    person_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"), index=True)
    holder: Mapped[str] = mapped_column(String(64))
    scope: Mapped[list[Any]]
    not_before: Mapped[datetime]
    not_after: Mapped[datetime]
    uses: Mapped[int]
    extended: Mapped[bool]
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(80))
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None] = mapped_column(String(80))


class RosterRevision(Base):
    """Counts changes of anything that rosters are made of. One row; none before the first change."""

    __tablename__ = "roster_revision"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigId)


class RosterState(Base):
    """The roster a station should have, and the one it says it has.

    Attributes:
        version: only ever increases; stored before the roster is sent.
        digest: SHA-256 of the document of this version.
        issued_at: makes the same document again, with the rows it was made of.
        applied_version: of the last heartbeat that told another one; 0 for none.
    """

    __tablename__ = "roster_state"

    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"), primary_key=True)
    version: Mapped[int] = mapped_column(BigId)
    digest: Mapped[str] = mapped_column(String(64))
    people: Mapped[int]
    issued_at: Mapped[datetime]
    applied_version: Mapped[int] = mapped_column(BigId, default=0)
    applied_at: Mapped[datetime | None]


class Erasure(Base):
    """A station must destroy what it keeps of a person; with its signed receipt once it has.

    Attributes:
        person_id: no foreign key: the proof outlives the row, and a station may erase whom the hub never knew.
        requested_by: who asked; ``station:ID`` when it began at the kiosk.
        sent_at: last sent.
        receipt: as signed by the station; None until it came.
        found: the station had something of them.
        root: of its gallery without them.
    """

    __tablename__ = "erasure"
    __table_args__ = (
        Index("ix_erasure_person_id", "person_id"),
        Index("ix_erasure_receipted_at_station_id", "receipted_at", "station_id"),
    )

    request_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(64))
    station_id: Mapped[str] = mapped_column(ForeignKey("station.id"))
    reason: Mapped[str] = mapped_column(String(200))
    requested_at: Mapped[datetime]
    requested_by: Mapped[str] = mapped_column(String(80))
    sent_at: Mapped[datetime | None]
    receipted_at: Mapped[datetime | None]
    receipt: Mapped[str | None] = mapped_column(Text)
    found: Mapped[bool | None]
    root: Mapped[str | None] = mapped_column(String(64))
