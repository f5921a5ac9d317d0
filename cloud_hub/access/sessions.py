"""Sign-ins of browsers, kept on the server (safety.md W1). The cookie holds a random id, the table its hash."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cloud_hub.access.tokens import digest
from cloud_hub.models import LoginSession, User

IDLE: Final = timedelta(minutes=30)
ABSOLUTE: Final = timedelta(hours=12)
_SEEN_NOTED_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SignIn:
    """A living sign-in and whose it is."""

    row: LoginSession
    user: User


def cookie_name(*, secure: bool) -> str:
    """The ``__Host-`` prefix binds the cookie to this host over HTTPS; plain HTTP on loopback cannot have it."""
    return "__Host-yizhan" if secure else "yizhan"


def start(session: Session, *, user: User, address: str, browser: str, now: datetime) -> str:
    """Sign in; returns the id for the cookie. Always a new one, whatever the browser sent before."""
    raw = secrets.token_urlsafe(32)
    session.add(
        LoginSession(
            id_hash=digest(raw),
            sign_in_id=secrets.token_hex(16),
            user_id=user.id,
            created_at=now,
            seen_at=now,
            authenticated_at=now,
            ended_at=None,
            address=address[:64],
            browser=browser[:200],
        )
    )
    return raw


def find(session: Session, raw: str, *, now: datetime) -> SignIn | None:
    """The sign-in of a cookie, unless it is unknown, ended, idle too long or too old, or its user is disabled."""
    return find_hashed(session, digest(raw), now=now)


def find_hashed(session: Session, id_hash: str, *, now: datetime) -> SignIn | None:
    """As ``find``, by the kept hash."""
    found = session.execute(
        select(LoginSession, User)
        .join(User, User.id == LoginSession.user_id)
        .where(LoginSession.id_hash == id_hash)
    ).one_or_none()
    if found is None:
        return None
    row, user = found
    return SignIn(row=row, user=user) if _is_alive(row, now) and user.disabled_at is None else None


def lives(session: Session, sign_in_id: str | None, *, user: User, now: datetime) -> bool:
    """Whether somebody's sign-in is neither ended nor too old, whatever id its cookie has by now."""
    if not sign_in_id:
        return False
    rows = session.scalars(
        select(LoginSession).where(LoginSession.sign_in_id == sign_in_id, LoginSession.user_id == user.id)
    )
    return any(_is_alive(row, now) for row in rows)


def _is_alive(row: LoginSession, now: datetime) -> bool:
    return row.ended_at is None and now - row.seen_at < IDLE and now - row.created_at < ABSOLUTE


def touch_is_due(sign_in: SignIn, now: datetime) -> bool:
    """Whether activity should be noted: not at every request, each would be a commit."""
    return now - sign_in.row.seen_at >= _SEEN_NOTED_EVERY


def touch(session: Session, id_hash: str, *, now: datetime) -> None:
    """Note activity of a person. Updates that a page fetches by itself are none."""
    session.execute(update(LoginSession).where(LoginSession.id_hash == id_hash).values(seen_at=now))


def renew(session: Session, sign_in: SignIn, *, now: datetime) -> str:
    """After the password was given again: a new id, the old one ended. The absolute limit still counts from sign-in."""
    raw = secrets.token_urlsafe(32)
    old = sign_in.row
    end(session, old.id_hash, now=now)
    session.add(
        LoginSession(
            id_hash=digest(raw),
            sign_in_id=old.sign_in_id,
            user_id=old.user_id,
            created_at=old.created_at,
            seen_at=now,
            authenticated_at=now,
            ended_at=None,
            address=old.address,
            browser=old.browser,
        )
    )
    return raw


def end(session: Session, id_hash: str, *, now: datetime) -> None:
    """Sign out. The row stays: it says who was signed in when."""
    session.execute(
        update(LoginSession)
        .where(LoginSession.id_hash == id_hash, LoginSession.ended_at.is_(None))
        .values(ended_at=now)
    )
