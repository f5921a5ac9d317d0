"""The audit log as a hash chain: each entry's hash covers its own columns and the hash before it.

Whoever edits, deletes or reorders an entry breaks the chain from there on. A cut-off tail cannot be seen from inside:
compare with a head kept elsewhere (``verify(expected=…)``, safety.md W8).

Lock order: ``record`` comes after every other row lock of its transaction, because its own is held until the commit.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import msgspec
from sqlalchemy import Table, insert, select, text
from sqlalchemy.orm import Session

from cloud_hub.models import AuditEntry

GENESIS: Final = "0" * 64
"""What the first entry holds in place of a hash before it."""

_PAGE: Final = 1_000

_COVERED: Final = ("id", "at", "actor", "action", "target", "detail", "previous_hash")
"""Columns that an entry's hash is made of."""

_TABLE: Final = cast("Table", AuditEntry.__table__)
_TAIL: Final = select(_TABLE.c.id, _TABLE.c.hash).order_by(_TABLE.c.id.desc()).limit(1)
_APPEND: Final = insert(_TABLE)
"""Past the mapper: every order waits for two entries before it moves on."""

_LOCK: Final = 0x79_7A_61_75
"""PostgreSQL advisory lock that makes writers of the chain take turns. SQLite has one writer anyway."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check of the whole chain found.

    Attributes:
        entries: how many were read, up to the fault.
        head: ``id:hash`` of the last good entry; keep it elsewhere.
        fault: the first thing wrong, None when all is well.
    """

    entries: int
    head: str
    fault: str | None

    @property
    def ok(self) -> bool:
        """Nothing was changed."""
        return self.fault is None


def record(
    session: Session, *, actor: str, action: str, target: str, detail: dict[str, Any], now: datetime
) -> None:
    """Append one entry in the session's transaction.

    Args:
        session: a writing session.
        actor: ``user:NAME``, ``token:NAME``, ``station:ID`` or ``hub``.
        action: ``subject:action:result``.
        target: id of what it was done to.
        detail: values that JSON can hold.
        now: aware time.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    session.flush()
    connection = session.connection()
    tail = connection.execute(_TAIL).first()
    row = {
        "id": 1 if tail is None else tail.id + 1,
        "at": now,
        "actor": actor,
        "action": action,
        "target": target,
        "detail": msgspec.json.decode(msgspec.json.encode(detail)),
        "previous_hash": GENESIS if tail is None else tail.hash,
    }
    connection.execute(_APPEND, {**row, "hash": _digest(row)})


def verify(session: Session, *, expected: str | None = None) -> Report:
    """Walk the whole chain.

    Args:
        session: reading is enough.
        expected: a ``head`` of an earlier report that must still be part of the chain.
    """
    count, previous, wanted_at = 0, GENESIS, int(expected.partition(":")[0]) if expected else 0
    for entry in _entries(session):
        fault = _fault(entry, count + 1, previous)
        if fault is None and entry.id == wanted_at and f"{entry.id}:{entry.hash}" != expected:
            fault = f"entry {entry.id}: is not the one that the given head names"
        if fault is not None:
            return Report(entries=count, head=f"{count}:{previous}", fault=fault)
        count, previous = entry.id, entry.hash
    fault = f"entries {count + 1} to {wanted_at} are missing at the end" if wanted_at > count else None
    return Report(entries=count, head=f"{count}:{previous}", fault=fault)


def _entries(session: Session) -> Iterator[AuditEntry]:
    """All entries by number, a page at a time."""
    query = select(AuditEntry).order_by(AuditEntry.id).limit(_PAGE)
    page = session.scalars(query).all()
    while page:
        yield from page
        page = session.scalars(query.where(AuditEntry.id > page[-1].id)).all()


def _fault(entry: AuditEntry, expected_id: int, previous: str) -> str | None:
    if entry.id != expected_id:
        return f"entry {expected_id} is missing"
    if entry.previous_hash != previous:
        return f"entry {entry.id}: does not follow the entry before it"
    if entry.hash != _hash(entry):
        return f"entry {entry.id}: was changed"
    return None


def _hash(entry: AuditEntry) -> str:
    return _digest({name: getattr(entry, name) for name in _COVERED})


def _digest(row: Mapping[str, Any]) -> str:
    columns = {**row, "at": row["at"].isoformat(timespec="microseconds")}
    return hashlib.sha256(msgspec.json.encode(columns, order="deterministic")).hexdigest()
