"""Bearer tokens for programs. Shown once; kept as SHA-256, so a stolen database opens nothing."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.errors import Conflict, Invalid
from cloud_hub.models import ApiToken, User
from cloud_hub.models.access import Role

_PREFIX: Final = "yz_"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_USE_NOTED_EVERY: Final = timedelta(minutes=1)

_TABLE: Final = cast("Table", ApiToken.__table__)
_FIND: Final = select(_TABLE.c.id, _TABLE.c.name, _TABLE.c.role, _TABLE.c.used_at).where(
    _TABLE.c.token_hash == bindparam("digest"), _TABLE.c.revoked_at.is_(None)
)
"""Past the mapper: every call of a program waits for this."""


@dataclass(frozen=True, slots=True)
class Held:
    """A token that somebody has shown, and that is good."""

    id: int
    name: str
    role: str
    used_at: datetime | None


def digest(secret: str) -> str:
    """What is kept of a random secret. It has 256 random bits, so no salt and no slow hash are needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def create(
    session: Session,
    *,
    name: str,
    role: Role | str,
    now: datetime,
    actor: str = "hub",
    owner: str | None = None,
) -> str:
    """Make a token and return it; it cannot be shown again.

    Args:
        session: a writing session.
        name: shown in the audit log.
        role: what it may do.
        now: aware time.
        actor: who makes it.
        owner: account it is made for; counts as that person where two are needed.

    Raises:
        Invalid: the name has other signs than letters, digits, ``_ . -``, the role is none, or there is no such account.
        Conflict: the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise Invalid(
            "name: 1 to 64 letters, digits, '_', '.' or '-'",
            errors=[{"field": "name", "problem": "malformed"}],
        )
    if role not in set(Role):
        raise Invalid(f"role: not one of {', '.join(Role)}", errors=[{"field": "role", "problem": "unknown"}])
    if session.scalar(select(ApiToken.id).where(ApiToken.name == name)) is not None:
        raise Conflict(f"a token named {name} exists")
    if owner is not None and session.scalar(select(User.id).where(User.username == owner)) is None:
        raise Invalid(f"owner: no account {owner}", errors=[{"field": "owner", "problem": "unknown"}])
    secret = _PREFIX + secrets.token_urlsafe(32)
    session.add(
        ApiToken(
            name=name,
            token_hash=digest(secret),
            role=Role(role).value,
            created_at=now,
            owner=owner,
            used_at=None,
            revoked_at=None,
        )
    )
    audit.record(
        session,
        actor=actor,
        action="token:create:done",
        target=f"token:{name}",
        detail={"role": Role(role).value, "owner": owner},
        now=now,
    )
    return secret


def find(session: Session, secret: str) -> Held | None:
    """The token, unless unknown or revoked. Found by its hash, so the time it takes tells nothing about it."""
    row = session.connection().execute(_FIND, {"digest": digest(secret)}).one_or_none()
    return None if row is None else Held(*row)


def use_is_due(token: Held, now: datetime) -> bool:
    """Whether its last use should be noted again: not at every request, each would be a commit."""
    return token.used_at is None or now - token.used_at >= _USE_NOTED_EVERY


def note_use(session: Session, token: Held, now: datetime) -> None:
    """Remember that it was used."""
    session.execute(update(ApiToken).where(ApiToken.id == token.id).values(used_at=now))
