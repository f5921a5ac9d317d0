"""By what right an order was given, and whether that right still holds when the relay is about to move (safety.md C10)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast

from sqlalchemy import Table, bindparam, select
from sqlalchemy.orm import Session

from cloud_hub.access import sessions
from cloud_hub.models import ApiToken, User
from cloud_hub.models.access import Role

PROOF_LIFE: Final = timedelta(minutes=5)
"""The password was given at most this long before the order (safety.md W4). Settings may ask for less, not for more."""

_MAY_ORDER: Final = frozenset({Role.OPERATOR, Role.ADMINISTRATOR})


_TOKEN: Final = cast("Table", ApiToken.__table__)
_RIGHT_OF_TOKEN: Final = select(_TOKEN.c.revoked_at, _TOKEN.c.role).where(_TOKEN.c.name == bindparam("name"))


@dataclass(frozen=True, slots=True)
class Warrant:
    """Who gave an order, and with what proof.

    Attributes:
        actor: ``user:NAME`` or ``token:NAME``.
        sign_in_id: the sign-in it was given in; None for a token, which is its own proof.
        proven_at: when the password was last given in it.
    """

    actor: str
    sign_in_id: str | None = None
    proven_at: datetime | None = None


def fault(session: Session, warrant: Warrant, *, given_at: datetime, now: datetime) -> str | None:
    """Why a right does not hold any more, as a code; None while it does.

    Args:
        session: reading is enough.
        warrant: as it was when the order was given.
        given_at: when that was.
        now: aware time.
    """
    kind, _, name = warrant.actor.partition(":")
    if kind == "token":
        token = session.connection().execute(_RIGHT_OF_TOKEN, {"name": name}).one_or_none()
        allowed = token is not None and token.revoked_at is None and token.role in _MAY_ORDER
        return None if allowed else "not_authorised"
    user = session.scalar(select(User).where(User.username == name)) if kind == "user" else None
    if user is None or user.disabled_at is not None or user.role not in _MAY_ORDER:
        return "not_authorised"
    if not sessions.lives(session, warrant.sign_in_id, user=user, now=now):
        return "signed_out"
    if warrant.proven_at is None or given_at - warrant.proven_at > PROOF_LIFE:
        return "proof_too_old"
    return None


def person_behind(session: Session, actor: str) -> str | None:
    """The account that an actor counts as where two people are needed; None where nobody knows it."""
    kind, _, name = actor.partition(":")
    if kind == "user":
        return name
    return session.scalar(select(ApiToken.owner).where(ApiToken.name == name)) if kind == "token" else None
