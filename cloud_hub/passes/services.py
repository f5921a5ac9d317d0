"""Make and revoke QR passes. The signed text is handed out once and kept nowhere."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.errors import NotFound, TooMany
from cloud_hub.models import EntryPass, Person, Station
from cloud_hub.people.services import invalid
from cloud_hub.roster.services import touch
from firmware_config.passes import EVERYWHERE, EXTENDED, GUEST, Pass, issue, short_key_id

LONGEST_LIFE: Final = timedelta(days=366)
GUEST_LIFE: Final = timedelta(days=7)
GUESTS_A_DAY: Final = 500
"""Guest passes made by a hub within 24 hours; stations have a cap of their own."""

_STATION: Final = re.compile(r"st-[a-z0-9]{4,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PassWish:
    """What a pass should be.

    Attributes:
        person: None for a guest.
        scope: station ids, regions, or ``*``.
        not_before: aware time, in whole seconds.
        not_after: aware time, in whole seconds; not included.
        uses: how often it opens; 0 for any number.
    """

    person: str | None
    scope: Sequence[str]
    not_before: datetime
    not_after: datetime
    uses: int = 0
    extended: bool = False


def create(
    session: Session, wish: PassWish, *, key: Ed25519PrivateKey, actor: str, now: datetime
) -> tuple[EntryPass, str]:
    """Sign a pass. Returns its row, and the text for the QR code, which is kept nowhere.

    Args:
        session: a writing session.
        wish: what it should be.
        key: signs passes.
        actor: who makes it.
        now: aware time.

    Raises:
        NotFound: no such person.
        Invalid: it breaks a rule of passes.
        TooMany: guest passes.
    """
    _check(session, wish, now)
    number = secrets.token_bytes(8)
    holder = wish.person or f"guest-{secrets.token_hex(6)}"
    body = _body(wish, number=number, holder=holder, key=key)
    try:
        text = issue(body, key)
    except ValueError as error:
        raise invalid("scope", str(error)) from error
    row = EntryPass(
        id=body.number,
        key_id=body.kid.hex(),
        person_id=wish.person,
        holder=holder,
        scope=list(body.scope),
        not_before=datetime.fromtimestamp(body.not_before, UTC),
        not_after=datetime.fromtimestamp(body.not_after, UTC),
        uses=body.uses,
        extended=body.extended,
        created_at=now,
        created_by=actor,
        revoked_at=None,
        revoked_by=None,
    )
    session.add(row)
    session.flush()
    detail = {
        "holder": holder,
        "scope": row.scope,
        "not_before": row.not_before.isoformat(),
        "not_after": row.not_after.isoformat(),
        "uses": row.uses,
        "extended": row.extended,
    }
    audit.record(session, actor=actor, action="pass:create:done", target=row.id, detail=detail, now=now)
    return row, text


def revoke(session: Session, *, pass_id: str, actor: str, now: datetime) -> EntryPass:
    """Let a pass count no more, from the next roster on. Harmless when done twice.

    Raises:
        NotFound: no such pass.
    """
    row = session.scalar(select(EntryPass).where(EntryPass.id == pass_id).with_for_update())
    if row is None:
        raise NotFound(f"no pass {pass_id!r}"[:120])
    if row.revoked_at is None:
        row.revoked_at, row.revoked_by = now, actor
        session.flush()
        touch(session)
        detail = {"holder": row.holder}
        audit.record(session, actor=actor, action="pass:revoke:done", target=row.id, detail=detail, now=now)
    return row


def _check(session: Session, wish: PassWish, now: datetime) -> None:
    if wish.not_after <= max(now, wish.not_before):
        raise invalid("not_after", "must lie ahead, and after not_before")
    longest = LONGEST_LIFE if wish.person else GUEST_LIFE
    if wish.not_after - now > longest:
        raise invalid("not_after", f"at most {longest.days} days from now")
    if wish.person is None:
        _check_guests(session, now)
    else:
        person = session.get(Person, wish.person)
        if person is None or person.erased_at is not None:
            raise NotFound(f"no person {wish.person!r}"[:120])
    named = {place for place in wish.scope if _STATION.fullmatch(place)}
    known = session.scalars(select(Station.id).where(Station.id.in_(named), Station.retired_at.is_(None)))
    if unknown := sorted(named - set(known)):
        raise invalid("scope", f"unknown: {', '.join(unknown)}"[:200])


def _check_guests(session: Session, now: datetime) -> None:
    made = session.scalar(
        select(func.count())
        .select_from(EntryPass)
        .where(EntryPass.person_id.is_(None), EntryPass.created_at > now - timedelta(days=1))
    )
    if (made or 0) >= GUESTS_A_DAY:
        raise TooMany(f"{GUESTS_A_DAY} guest passes within a day", retry_after_s=3600)


def _body(wish: PassWish, *, number: bytes, holder: str, key: Ed25519PrivateKey) -> Pass:
    scope = sorted(set(wish.scope))
    try:
        return Pass(
            v=1,
            id=number,
            kid=short_key_id(key.public_key()),
            holder=holder,
            scope=[EVERYWHERE] if EVERYWHERE in scope else scope,
            not_before=int(wish.not_before.timestamp()),
            not_after=int(wish.not_after.timestamp()),
            uses=wish.uses,
            flags=(EXTENDED if wish.extended else 0) | (0 if wish.person else GUEST),
        )
    except ValueError as error:
        raise invalid("uses", str(error)) from error
