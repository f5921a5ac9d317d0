"""Passwords: Argon2id, equal work for known and unknown accounts, and a bound on how many are worked out at once."""

import secrets
import threading
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from cloud_hub.errors import Invalid, TooMany

MEMORY_KIB: Final = 47_104
"""46 MiB, the least that OWASP ASVS 5.0 appendix C allows (safety.md W3)."""

SHORTEST: Final = 12
LONGEST: Final = 128

_AT_ONCE: Final = 4
"""Each verification takes ``MEMORY_KIB``: without a bound, guesses would fill the machine's memory."""

_PATIENCE_S: Final = 8.0
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""31 signs that nobody confuses when reading them from a terminal."""

_hasher = PasswordHasher(time_cost=2, memory_cost=MEMORY_KIB, parallelism=1)
_slots = threading.BoundedSemaphore(_AT_ONCE)


def generate() -> str:
    """A new password of four groups of five signs: 99 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def check_rules(password: str, *, username: str) -> None:
    """Refuse a password that is too short, too long, or the name itself.

    Raises:
        Invalid: with the rule that it breaks.
    """
    if len(password) < SHORTEST:
        raise _refused(f"shorter than {SHORTEST} signs")
    if len(password) > LONGEST:
        raise _refused(f"longer than {LONGEST} signs")
    if username.casefold() in password.casefold() and len(password) < len(username) + SHORTEST:
        raise _refused("made of the user name")
    if len(set(password)) < 5:  # noqa: PLR2004 (a rule of thumb with its reason beside it: "aaaaaaaaaaaa")
        raise _refused("made of fewer than 5 different signs")


def _refused(problem: str) -> Invalid:
    return Invalid(f"password: {problem}", errors=[{"field": "password", "problem": problem}])


def hash_password(password: str) -> str:
    """Argon2id hash with its parameters and salt."""
    return _hasher.hash(password)


def verify(stored: str | None, password: str) -> bool:
    """Whether the password is right. ``stored`` None (no such account) costs the same work and is never right.

    Raises:
        TooMany: the machine is busy with other verifications.
    """
    if not _slots.acquire(timeout=_PATIENCE_S):
        raise TooMany("too many sign-ins at once", retry_after_s=5)
    try:
        _hasher.verify(stored or _nobody(), password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False
    finally:
        _slots.release()
    return stored is not None and len(password) <= LONGEST


def is_outdated(stored: str) -> bool:
    """The hash was made with weaker parameters than today's."""
    return _hasher.check_needs_rehash(stored)


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_hex())
