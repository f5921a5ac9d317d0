"""People who sign in: made, and let in. Words for a refusal never tell whether the account exists."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.access import audit, passwords, sessions, throttle
from cloud_hub.errors import CallerError, Conflict, Invalid
from cloud_hub.models import User
from cloud_hub.models.access import Role

_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9_.@-]{1,63}")


class WrongPassword(CallerError):  # noqa: N818 (read as an answer)
    """The name or the password is wrong; which of them is not said."""

    status = 403
    code = "wrong_password"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where an attempt comes from."""

    address: str
    browser: str


def create_user(
    session: Session,
    *,
    username: str,
    role: Role | str,
    now: datetime,
    password: str | None = None,
    actor: str = "hub",
) -> str:
    """Make an account and return its password, generated when none is given.

    Raises:
        Invalid: name, role or password break a rule.
        Conflict: the name is taken.
    """
    if not _USERNAME.fullmatch(username):
        problem = "2 to 64 lower-case letters, digits, '_', '.', '@' or '-'"
        raise Invalid(f"username: {problem}", errors=[{"field": "username", "problem": problem}])
    if role not in set(Role):
        problem = f"not one of {', '.join(Role)}"
        raise Invalid(f"role: {problem}", errors=[{"field": "role", "problem": problem}])
    if session.scalar(select(User.id).where(User.username == username)) is not None:
        raise Conflict(f"an account named {username} exists")
    if password is None:
        password = passwords.generate()
    passwords.check_rules(password, username=username)
    session.add(
        User(
            username=username,
            password_hash=passwords.hash_password(password),
            role=Role(role).value,
            language=None,
            created_at=now,
            disabled_at=None,
        )
    )
    audit.record(
        session,
        actor=actor,
        action="user:create:done",
        target=f"user:{username}",
        detail={"role": Role(role).value},
        now=now,
    )
    return password


def sign_in(
    writing: sessionmaker[Session], *, username: str, password: str, visitor: Visitor, now: datetime
) -> tuple[str, User]:
    """Check a password and start a session; returns the cookie's value and the account.

    Raises:
        WrongPassword: wrong, unknown or disabled.
        TooMany: this address must wait first.
    """
    user = _checked(
        writing, username=username, password=password, visitor=visitor, now=now, action="session:start"
    )
    with writing.begin() as session:
        throttle.forgive(session, username=username, address=visitor.address)
        raw = sessions.start(session, user=user, address=visitor.address, browser=visitor.browser, now=now)
        if passwords.is_outdated(user.password_hash):
            fresh = passwords.hash_password(password)
            session.execute(update(User).where(User.id == user.id).values(password_hash=fresh))
        _record(
            session,
            actor=f"user:{user.username}",
            action="session:start:done",
            user=user,
            visitor=visitor,
            now=now,
        )
    return raw, user


def step_up(
    writing: sessionmaker[Session],
    sign_in: sessions.SignIn,
    *,
    password: str,
    visitor: Visitor,
    now: datetime,
) -> str:
    """Check the password of somebody signed in; returns the new value for the cookie.

    Raises:
        WrongPassword: it is wrong.
        TooMany: this address must wait first.
    """
    name = sign_in.user.username
    user = _checked(
        writing, username=name, password=password, visitor=visitor, now=now, action="session:step_up"
    )
    with writing.begin() as session:
        throttle.forgive(session, username=name, address=visitor.address)
        raw = sessions.renew(session, sign_in, now=now)
        _record(
            session, actor=f"user:{name}", action="session:step_up:done", user=user, visitor=visitor, now=now
        )
    return raw


def _checked(
    writing: sessionmaker[Session],
    *,
    username: str,
    password: str,
    visitor: Visitor,
    now: datetime,
    action: str,
) -> User:
    """Counted first, looked up second, verified outside any transaction: the hash takes long."""
    with writing.begin() as session:
        throttle.admit(session, username=username, address=visitor.address, now=now)
        user = session.scalar(select(User).where(User.username == username))
    right = passwords.verify(None if user is None else user.password_hash, password)
    if user is not None and right and user.disabled_at is None:
        return user
    with writing.begin() as session:
        _record(session, actor="hub", action=f"{action}:refused", user=user, visitor=visitor, now=now)
    raise WrongPassword("wrong name or password")


def _record(
    session: Session, *, actor: str, action: str, user: User | None, visitor: Visitor, now: datetime
) -> None:
    """An unknown name is not written down: people type passwords into the name field."""
    target = f"user:{user.username}" if user is not None else "user:?"
    audit.record(
        session, actor=actor, action=action, target=target, detail={"address": visitor.address}, now=now
    )
