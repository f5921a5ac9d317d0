"""Templates on their way from one station to another, sealed so that only the receiving station can open them.

The seal is the authenticated mode of HPKE (RFC 9180, section 5.1.3) made of its parts: X25519 of a key made for this one
message with the receiver's, and of the sender's own with the receiver's, through HKDF-SHA256 into one AES-256-GCM key. So
the hub can neither open a replica nor make one up. What is in the clear is bound into the seal: whom it is of, from where
and to where, which engine and weights made it, and when it was sealed.
"""

import base64
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Meta

from firmware_config.roster import PersonId
from firmware_config.signing import Refused
from firmware_config.wire import Hex128, Hex256, Message, Milliseconds, SealingKey, StationId

MAX_TEMPLATES: Final = 10
MAX_TEMPLATE_BYTES: Final = 2_048
"""float32 of 512 dimensions; the engines here have 128."""

MAX_SEALED_BYTES: Final = 24 * 1024
"""Ten of the largest templates and the header. As base64, inside a signed envelope, it fits one message."""

REPLICA_LIFE_MS: Final = 7 * 24 * 3_600_000
"""A replica that has not arrived by then is destroyed by the hub, and refused by whoever knows the time."""

_KEY_BYTES: Final = 32
_NONCE: Final = bytes(12)
"""The key is used for one message only, so the nonce may be constant."""

_DOMAIN: Final = b"yizhan/replica/1"

ConsentVersion = Annotated[int, Meta(ge=1, le=2**53)]
RawKey = Annotated[bytes, Meta(min_length=_KEY_BYTES, max_length=_KEY_BYTES)]
Template = Annotated[bytes, Meta(min_length=4, max_length=MAX_TEMPLATE_BYTES)]


class Replica(Message, frozen=True):
    """A sealed replica on its way up. Signed by the station that made it, kind ``replica``, on ``up/replica``.

    Attributes:
        id: chosen by the station; the same one is stored once and acknowledged every time.
        install_id: of the station's event store, repeated in the acknowledgement.
        to: the only station that can open it.
        sealed: base64 of ``Sealed``.
    """

    id: Hex128
    install_id: Hex128
    to: StationId
    person: PersonId
    sealed: Annotated[str, Meta(min_length=4, max_length=MAX_SEALED_BYTES * 4 // 3 + 4)]


class Delivery(Message, frozen=True):
    """The same on its way down. Signed by the hub, kind ``replica.delivery``, on ``down/replica``.

    Attributes:
        sender: the station it comes from.
    """

    id: Hex128
    sender: StationId
    person: PersonId
    sealed: Annotated[str, Meta(min_length=4, max_length=MAX_SEALED_BYTES * 4 // 3 + 4)]


KINDS: Final[Mapping[str, type[Message]]] = {"replica": Replica, "replica.delivery": Delivery}
"""Bodies that only travel inside an ``Envelope``, by its kind."""


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of a replica is in the clear, and bound into its seal.

    Attributes:
        engine: that made the templates.
        digest: SHA-256 of its weights.
        replication: version of the replication notice the person agreed to.
        sealed_ms: by the sender's synchronised clock; a later one always supersedes an earlier one.
        sender_key: the sender's public key.
        receiver_key: the receiver's public key that was used.
    """

    sender: StationId
    receiver: StationId
    person: PersonId
    engine: Annotated[str, Meta(min_length=1, max_length=40)]
    digest: Hex256
    replication: ConsentVersion
    sealed_ms: Milliseconds
    sender_key: RawKey
    receiver_key: RawKey


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A replica as it is carried.

    Attributes:
        ephemeral: public key made for this message.
        content: ciphertext of ``Content``.
    """

    v: Annotated[int, Meta(ge=1, le=1)] = 1
    header: Header
    ephemeral: RawKey
    content: Annotated[bytes, Meta(min_length=17, max_length=MAX_SEALED_BYTES)]


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What only the receiving station reads.

    Attributes:
        templates: float32, little-endian, all of one length.
        face: version of the face notice the person agreed to.
        replication: version of the replication notice.
        enrolled_ms: when the templates were made, by the sender's clock.
    """

    templates: Annotated[list[Template], Meta(min_length=1, max_length=MAX_TEMPLATES)]
    face: ConsentVersion
    replication: ConsentVersion
    enrolled_ms: Milliseconds

    def __post_init__(self) -> None:
        """Refuse templates that no engine makes."""
        lengths = {len(template) for template in self.templates}
        if len(lengths) != 1 or lengths.pop() % 4:
            raise ValueError("templates are float32, all of one length")


_SEALED: Final = msgspec.msgpack.Decoder(Sealed)
_CONTENT: Final = msgspec.msgpack.Decoder(Content)


def public_half(private: X25519PrivateKey) -> SealingKey:
    """The public key as births and rosters carry it."""
    return base64.b64encode(private.public_key().public_bytes_raw()).decode()


def raw_key(public: str) -> bytes:
    """Reverse of ``public_half``.

    Raises:
        ValueError: not base64 as this module writes it, or not 32 bytes.
    """
    raw = base64.b64decode(public, validate=True)
    if len(raw) != _KEY_BYTES or base64.b64encode(raw).decode() != public:
        raise ValueError("a sealing key is 32 bytes as base64")
    return raw


def seal(header: Header, content: Content, *, private: X25519PrivateKey) -> str:
    """Seal a replica, as base64.

    Args:
        header: names both public keys; ``sender_key`` is that of ``private``.
        content: what only the receiver is to read.
        private: the sender's key.

    Raises:
        ValueError: the receiver's key is no key.
    """
    once = X25519PrivateKey.generate()
    receiver = X25519PublicKey.from_public_bytes(header.receiver_key)
    ephemeral = once.public_key().public_bytes_raw()
    key = _key(once.exchange(receiver) + private.exchange(receiver), ephemeral, header)
    ciphertext = AESGCM(key).encrypt(_NONCE, msgspec.msgpack.encode(content), _bound(header))
    sealed = Sealed(header=header, ephemeral=ephemeral, content=ciphertext)
    return base64.b64encode(msgspec.msgpack.encode(sealed)).decode()


def parse(text: str) -> Sealed:
    """Read the outside of a replica. Nothing in it is to be believed before ``unseal``.

    Raises:
        Refused: ``too_large`` or ``malformed``.
    """
    if len(text) > MAX_SEALED_BYTES * 4 // 3 + 4:
        raise Refused("too_large", f"{len(text)} characters")
    try:
        return _SEALED.decode(base64.b64decode(text, validate=True))
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", str(error)) from error


def unseal(sealed: Sealed, *, private: X25519PrivateKey, sender_key: str) -> Content:
    """Open a replica.

    Args:
        sealed: parsed.
        private: the receiver's key.
        sender_key: the sender's public key as the roster has it.

    Raises:
        Refused: ``unopened``: altered, not for this key, or not from this sender; ``malformed``: it opened, and holds
            no templates.
    """
    header = sealed.header
    try:
        if (header.sender_key, header.receiver_key) != (raw_key(sender_key), raw_key(public_half(private))):
            raise ValueError("sealed with other keys")  # noqa: TRY301 (one way out for whatever does not open)
        sender = X25519PublicKey.from_public_bytes(raw_key(sender_key))
        once = X25519PublicKey.from_public_bytes(sealed.ephemeral)
        key = _key(private.exchange(once) + private.exchange(sender), sealed.ephemeral, header)
        clear = AESGCM(key).decrypt(_NONCE, sealed.content, _bound(header))
    except (InvalidTag, ValueError) as error:
        raise Refused("unopened") from error
    try:
        return _CONTENT.decode(clear)
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", str(error)) from error


def _key(shared: bytes, ephemeral: bytes, header: Header) -> bytes:
    info = b"|".join((_DOMAIN, ephemeral, header.sender_key, header.receiver_key))
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(shared)


def _bound(header: Header) -> bytes:
    """Associated data: every field of the header."""
    return _DOMAIN + msgspec.msgpack.encode(header)
