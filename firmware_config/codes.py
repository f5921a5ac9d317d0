"""One-time enrolment codes: made by the hub, told to a worker, and known to a station only as a slow hash.

A code is twelve characters in three groups, ``7K3M-9QXP-2FWT``. The first group finds the entry, so that a station
hashes once for each code typed; the other two are the secret, 40 bits. At about 50 ms a guess that is 1,700 years on
one core, for a code that lives for days.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

from firmware_config.roster import EnrolmentCode

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U, so that a code survives handwriting and dictation."""

_TAG: Final = 4
_LENGTH: Final = 12
_READ_AS: Final = str.maketrans("ILO", "110", " -\t")


def new_code() -> str:
    """A fresh code as it is shown to people."""
    digits = "".join(secrets.choice(ALPHABET) for _ in range(_LENGTH))
    return "-".join(digits[start : start + _TAG] for start in range(0, _LENGTH, _TAG))


def normalise(typed: str) -> str | None:
    """A typed code without its separators and with look-alikes mended; None when it cannot be one."""
    code = typed.upper().translate(_READ_AS)
    return code if len(code) == _LENGTH and set(code) <= set(ALPHABET) else None


def entry(code: str, *, person: str, expires_ms: int) -> EnrolmentCode:
    """What the roster says of a code.

    Raises:
        ValueError: not a code.
    """
    if (plain := normalise(code)) is None:
        raise ValueError("not an enrolment code")
    salt = secrets.token_bytes(16)
    return EnrolmentCode(
        person=person,
        tag=plain[:_TAG],
        salt=salt.hex(),
        digest=_digest(plain, salt),
        expires_ms=expires_ms,
    )


def find(entries: Iterable[EnrolmentCode], typed: str) -> EnrolmentCode | None:
    """The entry a typed code belongs to. Slow on purpose: keep it off the control thread.

    Its expiry is the caller's to judge. A code with an unknown tag costs as much time as any other.
    """
    if (code := normalise(typed)) is None:
        return None
    known = {candidate.tag: candidate for candidate in entries}.get(code[:_TAG])
    salt = bytes.fromhex(known.salt) if known else bytes(16)
    digest = _digest(code, salt)
    return known if known is not None and hmac.compare_digest(known.digest, digest) else None


def _digest(code: str, salt: bytes) -> str:
    """Scrypt with 16 MiB (RFC 7914)."""
    return hashlib.scrypt(code.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32).hex()
