"""QR passes: what they say, how they are signed by the hub, and how they fit a small code. Verified without a network.

``YZ1:`` and base 45 (RFC 9285) of a MessagePack array followed by its Ed25519 signature. Base 45 lets the code use QR's
alphanumeric mode. A common pass is under 200 characters: version 8 at error correction M, 49 modules a side; the longest
allowed fits version 12. Every byte saved is a module that is larger before the camera.
"""

from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Meta

from firmware_config.roster import PERSON_ID
from firmware_config.signing import Refused, decode_public, key_id

PREFIX: Final = "YZ1:"
LONGEST: Final = 419
"""Characters of a QR code of version 12 at error correction M (ISO/IEC 18004, table 7)."""

MAX_USES: Final = 100
EVERYWHERE: Final = "*"
GUEST: Final = 1
EXTENDED: Final = 2

_DOMAIN: Final = b"yizhan/pass/1 "
_SIGNATURE_BYTES: Final = 64
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}

Seconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**40)]


class Pass(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the hub signed.

    Attributes:
        v: version.
        id: 8 random bytes; uses are counted by it.
        kid: first 4 bytes of the key's id.
        holder: a person's id, or a guest's label of the same shape.
        scope: station ids ``st-…``, regions ``r-…``, or ``*``.
        not_before: seconds since the Unix epoch; 0 for none.
        not_after: seconds since the Unix epoch, not included; 0 for none.
        uses: how often it opens; 0 for any number.
        flags: ``GUEST`` and ``EXTENDED``.
    """

    v: Annotated[int, Meta(ge=1, le=1)]
    id: Annotated[bytes, Meta(min_length=8, max_length=8)]
    kid: Annotated[bytes, Meta(min_length=4, max_length=4)]
    holder: Annotated[str, Meta(pattern=PERSON_ID)]
    scope: Annotated[
        list[Annotated[str, Meta(pattern=r"^(st-[a-z0-9]{4,32}|r-[a-z0-9-]{1,30}|\*)$")]],
        Meta(min_length=1, max_length=8),
    ]
    not_before: Seconds
    not_after: Seconds
    uses: Annotated[int, Meta(ge=0, le=MAX_USES)]
    flags: Annotated[int, Meta(ge=0, le=GUEST | EXTENDED)] = 0

    def __post_init__(self) -> None:
        """Refuse what could never be counted or would never end."""
        if self.not_after and self.not_after <= self.not_before:
            raise ValueError("a pass must end after it begins")
        if not self.uses and not self.not_after:
            raise ValueError("a pass for any number of uses must end")
        if self.uses and not (len(self.scope) == 1 and self.scope[0].startswith("st-")):
            # stations count for themselves, offline: two of them would each allow every use
            raise ValueError("a pass with counted uses is for one station")

    @property
    def number(self) -> str:
        """The id as 16 hexadecimal digits."""
        return self.id.hex()

    @property
    def guest(self) -> bool:
        """For a guest, not for a person on the roster."""
        return bool(self.flags & GUEST)

    @property
    def extended(self) -> bool:
        """The door stays unlocked longer."""
        return bool(self.flags & EXTENDED)

    @property
    def windowed(self) -> bool:
        """Its validity depends on the time."""
        return bool(self.not_before or self.not_after)


_DECODER: Final = msgspec.msgpack.Decoder(Pass)


def short_key_id(public: Ed25519PublicKey) -> bytes:
    """First 4 bytes of ``signing.key_id``."""
    return bytes.fromhex(key_id(public))[:4]


def issue(body: Pass, key: Ed25519PrivateKey) -> str:
    """The text of a signed pass, for a QR code in alphanumeric mode.

    Raises:
        ValueError: the body names another key, or the text would be longer than ``LONGEST``.
    """
    if body.kid != short_key_id(key.public_key()):
        raise ValueError("the pass names another key")
    # decoding checks what constructing does not: patterns and bounds
    raw = msgspec.msgpack.encode(_DECODER.decode(msgspec.msgpack.encode(body)))
    text = PREFIX + to_base45(raw + key.sign(_DOMAIN + raw))
    if len(text) > LONGEST:
        raise ValueError(f"a pass of {len(text)} characters is too long; shorten its holder or scope")
    return text


class Keyring:
    """Public keys a station accepts passes from."""

    def __init__(self, publics: Iterable[str]) -> None:
        """From raw keys as base64.

        Raises:
            ValueError: not a key.
        """
        keys = [decode_public(public) for public in publics]
        self._keys = {short_key_id(key): key for key in keys}

    def open(self, text: str) -> Pass:
        """Check shape, key and signature, in this order.

        Raises:
            Refused: ``pass_malformed``, ``pass_unknown_key`` or ``pass_altered``.
        """
        if not text.startswith(PREFIX) or len(text) > LONGEST:
            raise Refused("pass_malformed")
        try:
            content = from_base45(text.removeprefix(PREFIX))
            raw, signature = content[:-_SIGNATURE_BYTES], content[-_SIGNATURE_BYTES:]
            kid = _kid_of(raw)
        except ValueError as error:
            raise Refused("pass_malformed", str(error)) from error
        if (key := self._keys.get(kid)) is None:
            raise Refused("pass_unknown_key", kid.hex())
        try:
            key.verify(signature, _DOMAIN + raw)
        except InvalidSignature as error:
            raise Refused("pass_altered") from error
        try:
            return _DECODER.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused("pass_malformed", str(error)) from error


def _kid_of(raw: bytes) -> bytes:
    """The key id of an array that may have been altered, looked at before anything else of it is believed.

    Raises:
        ValueError: not an array with a key id of 4 bytes at its place.
    """
    try:
        items = msgspec.msgpack.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error
    kid = items[2] if isinstance(items, list) and len(items) > 2 else None  # noqa: PLR2004 (third field)
    if not isinstance(kid, bytes):
        raise ValueError("no key id")  # noqa: TRY004 (the pass is wrong, not the caller's type)
    return kid


def to_base45(content: bytes) -> str:
    """RFC 9285, section 4."""
    text = []
    for at in range(0, len(content) - 1, 2):
        high, rest = divmod(int.from_bytes(content[at : at + 2]), 45 * 45)
        middle, low = divmod(rest, 45)
        text.append(_ALPHABET[low] + _ALPHABET[middle] + _ALPHABET[high])
    if len(content) % 2:
        high, low = divmod(content[-1], 45)
        text.append(_ALPHABET[low] + _ALPHABET[high])
    return "".join(text)


def from_base45(text: str) -> bytes:
    """Reverse of ``to_base45``.

    Raises:
        ValueError: a foreign character, a wrong length, or a group out of range.
    """
    try:
        values = [_VALUES[character] for character in text]
    except KeyError as error:
        raise ValueError("not base 45") from error
    content = bytearray()
    for at in range(0, len(values), 3):
        group = values[at : at + 3]
        number = sum(value * 45**place for place, value in enumerate(group))
        width = len(group) - 1
        if width < 1 or number >= 256**width:
            raise ValueError("not base 45")
        content += number.to_bytes(width)
    return bytes(content)
