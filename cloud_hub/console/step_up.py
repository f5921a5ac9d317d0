"""The password once more before an act (safety.md W4): asked for where the last proof in this sign-in is too old.

Programs give none: a token is its own proof. Other proofs than the password will have their place here.
"""

from collections.abc import Callable

from werkzeug.wrappers import Response as AnyResponse

from cloud_hub import context
from cloud_hub.access import accounts, roles
from cloud_hub.access.roles import signed_in
from cloud_hub.console.views.session import set_cookie, visitor
from cloud_hub.errors import CallerError, StepUpNeeded


def is_due() -> bool:
    """Whether whoever asks must prove once more that it is them."""
    return not signed_in().stepped_up(context.now(), context.web().hub.settings.orders.step_up_s)


def prove(password: str) -> str | None:
    """Check the password where that is due; returns the new value for the cookie.

    Raises:
        StepUpNeeded: none was given.
        WrongPassword: it is wrong.
        TooMany: this address must wait first.
    """
    asking = signed_in()
    if not is_due() or asking.sign_in is None:
        return None
    if not password:
        raise StepUpNeeded("the password was given too long ago")
    raw = accounts.step_up(
        context.web().writing, asking.sign_in, password=password, visitor=visitor(), now=context.now()
    )
    roles.renew(raw)
    return raw


def proven(
    password: str, act: Callable[[], AnyResponse], refuse: Callable[[CallerError], AnyResponse]
) -> AnyResponse:
    """Prove, then act; a refusal of either is answered by ``refuse``. A proof that was good counts in any case."""
    raw: str | None = None
    try:
        raw = prove(password)
        response = act()
    except CallerError as error:
        response = refuse(error)
    if raw is not None:
        set_cookie(response, raw)
    return response
