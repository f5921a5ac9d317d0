"""Who may call what. Every view declares it; a view that does not is refused to everybody (safety.md W5, W9)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

from flask import current_app, g, request

from cloud_hub import context
from cloud_hub.access import audit, sessions, tokens
from cloud_hub.errors import Forbidden, Unauthenticated
from cloud_hub.models.access import Role

View = TypeVar("View", bound=Callable[..., Any])

API: Final = "api"
"""The blueprint that takes bearer tokens and no cookies; every other one takes the cookie and no tokens."""

LIVE_HEADER: Final = "X-Yizhan-Live"
"""Set on what a page fetches by itself: it is no activity of a person, so it does not keep a sign-in alive."""

_RANK: Final = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMINISTRATOR: 2}


@dataclass(frozen=True, slots=True)
class Access:
    """What a view declares.

    Attributes:
        role: the least role; None for everybody.
        identify: look who is asking even where everybody may.
    """

    role: Role | None
    identify: bool = True


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking.

    Attributes:
        actor: ``user:NAME`` or ``token:NAME``.
        sign_in: of a browser; None for a token.
    """

    actor: str
    role: Role
    sign_in: sessions.SignIn | None = None

    def may(self, role: Role | str) -> bool:
        """Whether their role includes ``role``."""
        return _RANK[self.role] >= _RANK[Role(role)]

    def stepped_up(self, now: datetime, within_s: int) -> bool:
        """They gave the password at most ``within_s`` seconds ago. A token is its own proof."""
        if self.sign_in is None:
            return True
        return now - self.sign_in.row.authenticated_at <= timedelta(seconds=within_s)


def requires(role: Role) -> Callable[[View], View]:
    """Declare the least role of a view."""
    return _declare(Access(role=role))


def public(*, identify: bool = True) -> Callable[[View], View]:
    """Declare that everybody may call a view."""
    return _declare(Access(role=None, identify=identify))


def _declare(access: Access) -> Callable[[View], View]:
    def decorator(view: View) -> View:
        cast("Any", view).access = access
        return view

    return decorator


def declared(view: Callable[..., Any]) -> Access | None:
    """What a view declared."""
    return cast("Access | None", getattr(view, "access", None))


def principal() -> Principal | None:
    """Who is asking, or None."""
    return cast("Principal | None", g.get("principal"))


def signed_in() -> Principal:
    """Who is asking, where somebody must be.

    Raises:
        Unauthenticated: nobody is.
    """
    if (found := principal()) is None:
        raise Unauthenticated("sign in first")
    return found


def renew(raw: str) -> None:
    """From here on in this request, whoever asks does so by the sign-in that a step-up has just renewed.

    Raises:
        Unauthenticated: it has ended meanwhile.
    """
    with context.web().reading() as session:  # of its own: the request's may still see what was before
        found = sessions.find(session, raw, now=context.now())
    if found is None:
        raise Unauthenticated("sign in first")
    g.principal = Principal(actor=f"user:{found.user.username}", role=Role(found.user.role), sign_in=found)


def guard() -> None:
    """Run before every request. Deny by default.

    Raises:
        Unauthenticated: the view needs somebody and nobody is there.
        Forbidden: their role is not enough, or the view declares nothing.
    """
    if request.endpoint is None:  # no such page: routing answers, with the header of whoever asks
        g.principal = None if request.path.startswith("/api/") else _by_cookie()
        return
    access = declared(current_app.view_functions[request.endpoint])
    if access is None:
        raise Forbidden("this address declares no role")
    if access.role is None and not access.identify:
        return
    by_token = request.blueprint == API
    g.principal = _by_token() if by_token else _by_cookie()
    if access.role is None:
        return
    if g.principal is None:
        raise Unauthenticated("a valid bearer token is needed" if by_token else "sign in first")
    if not g.principal.may(access.role):
        raise Forbidden(f"this needs the role {access.role.value}")


def _by_cookie() -> Principal | None:
    hub = context.web().hub
    raw = request.cookies.get(sessions.cookie_name(secure=hub.settings.web.secure_cookies))
    if not raw:
        return None
    now = context.now()
    found = sessions.find(context.read(), raw, now=now)
    if found is None:
        return None
    by_itself = request.method == "GET" and (
        LIVE_HEADER in request.headers or request.endpoint == "live.stream"
    )
    if not by_itself and sessions.touch_is_due(found, now):
        with context.write() as session:
            sessions.touch(session, found.row.id_hash, now=now)
    return Principal(actor=f"user:{found.user.username}", role=Role(found.user.role), sign_in=found)


def _by_token() -> Principal | None:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        return None
    now = context.now()
    token = tokens.find(context.read(), secret.strip())
    if token is None:
        return None
    if tokens.use_is_due(token, now):
        with context.write() as session:
            if token.used_at is None:
                audit.record(
                    session,
                    actor=f"token:{token.name}",
                    action="token:use:first",
                    target=f"token:{token.name}",
                    detail={"address": request.remote_addr or ""},
                    now=now,
                )
            tokens.note_use(session, token, now)
    return Principal(actor=f"token:{token.name}", role=Role(token.role))
