"""Failed sign-ins, counted in the database, so that a restart forgets none (safety.md W6).

The delay falls on the address that fails, so nobody can lock a real user out from elsewhere: after
``FREE_TRIES`` failures for one account it must pause, longer each time up to ``LONGEST_PAUSE``. An address that tries
many accounts is paused too. An account under attack from many addresses at once only lets addresses in from
which its user has signed in before, until the attack ends.

An attempt is written down *before* the password is looked at, so that parallel guesses count as well.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from cloud_hub.errors import TooMany
from cloud_hub.models import LoginAttempt, LoginSession, User

WINDOW: Final = timedelta(minutes=15)
FREE_TRIES: Final = 5
FIRST_PAUSE: Final = timedelta(seconds=2)
LONGEST_PAUSE: Final = timedelta(seconds=60)
ADDRESS_TRIES: Final = 30
ATTACK_TRIES: Final = 100
_KEPT: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Subjects:
    """What one attempt is counted against."""

    account: str
    address: str
    both: str

    @classmethod
    def of(cls, username: str, address: str) -> "Subjects":
        """Hashed where they hold what was typed: people type passwords into the name field."""
        name = hashlib.sha256(username.casefold().encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return cls(
            account=f"account:{name}", address=f"address:{address[:64]}", both=f"both:{name}@{address[:64]}"
        )


def admit(session: Session, *, username: str, address: str, now: datetime) -> None:
    """Count one attempt, or refuse it.

    Raises:
        TooMany: with the seconds to wait.
    """
    subjects = Subjects.of(username, address)
    _one_at_a_time(session, subjects)
    _check_pause(session, subjects.both, FREE_TRIES, now)
    _check_pause(session, subjects.address, ADDRESS_TRIES, now)
    tries, _ = _recent(session, subjects.account, now)
    if tries >= ATTACK_TRIES and not _is_known(session, username, address):
        raise TooMany("too many failed sign-ins", retry_after_s=int(WINDOW.total_seconds()))
    session.execute(delete(LoginAttempt).where(LoginAttempt.at < now - _KEPT))
    session.add_all(
        LoginAttempt(subject=s, at=now) for s in (subjects.account, subjects.address, subjects.both)
    )


def forgive(session: Session, *, username: str, address: str) -> None:
    """The password was right: forget this address's failures for this account."""
    subjects = Subjects.of(username, address)
    tries = session.scalar(select(func.count()).where(LoginAttempt.subject == subjects.both)) or 0
    session.execute(delete(LoginAttempt).where(LoginAttempt.subject == subjects.both))
    for subject in (subjects.address, subjects.account):
        newest = (
            select(LoginAttempt.id).where(LoginAttempt.subject == subject).order_by(LoginAttempt.id.desc())
        )
        ids = session.scalars(newest.limit(tries)).all()
        session.execute(delete(LoginAttempt).where(LoginAttempt.id.in_(ids)))


def _check_pause(session: Session, subject: str, free: int, now: datetime) -> None:
    tries, last = _recent(session, subject, now)
    if tries < free or last is None:
        return
    pause = min(FIRST_PAUSE * 2 ** min(tries - free, 10), LONGEST_PAUSE)
    left = (last + pause - now).total_seconds()
    if left > 0:
        raise TooMany("too many failed sign-ins", retry_after_s=max(1, round(left)))


def _recent(session: Session, subject: str, now: datetime) -> tuple[int, datetime | None]:
    row = session.execute(
        select(func.count(), func.max(LoginAttempt.at)).where(
            LoginAttempt.subject == subject, LoginAttempt.at > now - WINDOW
        )
    ).one()
    return row[0], row[1]


def _is_known(session: Session, username: str, address: str) -> bool:
    known = (
        select(LoginSession.id_hash)
        .join(User, User.id == LoginSession.user_id)
        .where(User.username == username, LoginSession.address == address[:64])
    )
    return session.scalar(known.limit(1)) is not None


def _one_at_a_time(session: Session, subjects: Subjects) -> None:
    """SQLite's writers queue anyway; PostgreSQL would let parallel guesses all see the same count."""
    if session.get_bind().dialect.name == "postgresql":
        for subject in (
            subjects.account,
            subjects.address,
        ):  # always in this order, so that nobody waits in a circle
            session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:s, 0))"), {"s": subject})
