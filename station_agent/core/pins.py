"""Personal number and PIN: what is accepted as a PIN, how it is hashed, and what an entry means. PURE.

A worker types a short number, which is not secret, and then six digits. The number finds one person, so there is one
hash to make, one counter to charge, and nobody can learn by "already taken" that a PIN is somebody else's.

Rules
  1. A PIN is six digits, not too simple, and does not repeat the number.
  2. A duress PIN opens exactly as the PIN does and raises a silent event. It differs from the PIN in at least two
     digits, so that a slip of the finger raises nothing.
  3. An unknown number, a person without a PIN and a wrong PIN cost one hash each and get one answer.
  4. Everybody's record holds two digests. Without a duress PIN the second is random, so that a stolen file does not tell
     who is afraid.
  5. The hash is bound to station and person and keyed with a secret that is not in the same file. Six digits are quickly
     tried by whoever holds both; the slow hash only has to outlast the change of PINs after a theft.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

LENGTH: Final = 6
SALT_BYTES: Final = 16
DIGEST_BYTES: Final = 32

SCHEME: Final = "scrypt-15-8-1"
"""scrypt (RFC 7914) with N = 2^15, r = 8, p = 1: 32 MiB."""

_N: Final = 2**15
_R: Final = 8
_P: Final = 1
_MEMORY: Final = 2 * 128 * _N * _R
_LEAST_APART: Final = 2


class PinFault(StrEnum):
    """Why a PIN cannot be chosen."""

    NOT_SIX_DIGITS = "pin_not_six_digits"
    TOO_SIMPLE = "pin_too_simple"
    LIKE_NUMBER = "pin_like_number"
    DURESS_TOO_CLOSE = "pin_duress_too_close"


class PinVerdict(StrEnum):
    """What an entry means. The kiosk shows ``DURESS`` exactly as ``GOOD``."""

    GOOD = "good"
    DURESS = "duress"
    WRONG = "pin_wrong"


@dataclass(frozen=True, slots=True)
class PinRecord:
    """What is kept of one person's PIN.

    Attributes:
        salt: ``SALT_BYTES`` random bytes.
        digest: of the PIN.
        duress: of the duress PIN, or random.
        scheme: how the digests were made.
    """

    salt: bytes
    digest: bytes
    duress: bytes
    scheme: str = SCHEME


def fault(pin: str, *, number: str | None, duress: str | None = None) -> PinFault | None:
    """Why this PIN, with this duress PIN if any, cannot be chosen; None when it can."""
    for candidate in (pin, *([] if duress is None else [duress])):
        if not _is_pin(candidate):
            return PinFault.NOT_SIX_DIGITS
        if _simple(candidate):
            return PinFault.TOO_SIMPLE
        if number and (number in candidate or candidate in number):
            return PinFault.LIKE_NUMBER
    if duress is not None and sum(a != b for a, b in zip(pin, duress, strict=True)) < _LEAST_APART:
        return PinFault.DURESS_TOO_CLOSE
    return None


def _is_pin(text: str) -> bool:
    return len(text) == LENGTH and text.isascii() and text.isdigit()


def _simple(pin: str) -> bool:
    """A run up or down, a repeated part, or no more than two digits: what guessers try first."""
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    repeated = any(pin == pin[:size] * (LENGTH // size) for size in (1, 2, 3))
    return repeated or (len(steps) == 1 and steps <= {0, 1, 9}) or len(set(pin)) <= 2  # noqa: PLR2004 (two digits in turns)


def derive(pin: str, *, person: str, station: str, salt: bytes, pepper: bytes) -> bytes:
    """The digest of a PIN. Takes a good fraction of a second on a Pi: never on the control thread.

    Args:
        pin: as typed, of any shape.
        person: whose; a record copied to another person does not open.
        station: likewise.
        salt: of the person's record.
        pepper: 32 secret bytes kept apart from the records.
    """
    bound = f"yizhan/pin/1\0{station}\0{person}\0{pin}".encode("utf-8", "surrogatepass")
    keyed = hmac.digest(pepper, bound, "sha256")
    return hashlib.scrypt(keyed, salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=DIGEST_BYTES)


def judge(record: PinRecord | None, digest: bytes) -> PinVerdict:
    """What an entry means, from the digest of what was typed. Both comparisons are always made."""
    known = record is not None and record.scheme == SCHEME
    good = record is not None and hmac.compare_digest(record.digest, digest)
    duress = record is not None and hmac.compare_digest(record.duress, digest)
    if known and good:
        return PinVerdict.GOOD
    if known and duress:
        return PinVerdict.DURESS
    return PinVerdict.WRONG
