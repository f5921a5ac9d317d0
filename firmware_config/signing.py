"""Signed envelopes: Ed25519 over the exact bytes of the body, never over a re-encoding of it.

The signature covers ``"yizhan/1 " kind " " length " " body`` (the pre-authentication encoding of DSSE), so bytes signed
as one kind of message can never pass as another.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware_config.files import write_once
from firmware_config.units import MAX_PAYLOAD_BYTES


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What travels.

    Attributes:
        v: version of the envelope.
        kind: what the body is, for example ``order.go``.
        kid: id of the signing key, ``key_id`` of its public part.
        body: the body's JSON text, exactly as signed.
        sig: signature, base64.
    """

    v: Annotated[int, msgspec.Meta(ge=1, le=1)]
    kind: Annotated[str, msgspec.Meta(max_length=32)]
    kid: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    body: Annotated[str, msgspec.Meta(max_length=MAX_PAYLOAD_BYTES)]
    sig: Annotated[str, msgspec.Meta(min_length=88, max_length=88)]


class Refused(ValueError):  # noqa: N818 (a verdict on a message; the caller counts it by its reason)
    """A payload is not what it claims to be.

    Attributes:
        reason: machine code, a label of the counter: ``malformed``, ``too_large``, ``wrong_kind``, ``unknown_key``,
            ``bad_signature``, ``wrong_station``.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


KEY_ID_LENGTH: Final = 16
_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def key_id(public: Ed25519PublicKey) -> str:
    """First 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:KEY_ID_LENGTH]


def encode_public(public: Ed25519PublicKey) -> str:
    """Raw public key as base64, as written in configuration files."""
    return base64.b64encode(public.public_bytes_raw()).decode()


def decode_public(text: str) -> Ed25519PublicKey:
    """Reverse of ``encode_public``.

    Raises:
        ValueError: not base64, or not 32 bytes.
    """
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))


def _signed_bytes(kind: str, body: bytes) -> bytes:
    return b"yizhan/1 %s %d %s" % (kind.encode(), len(body), body)


class Signer:
    """Signs bodies with one private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key()
        self.kid = key_id(self.public)

    def seal(self, kind: str, body: msgspec.Struct) -> bytes:
        """Encode, sign and wrap one message."""
        raw = msgspec.json.encode(body)
        sig = base64.b64encode(self._key.sign(_signed_bytes(kind, raw))).decode()
        return msgspec.json.encode(Envelope(v=1, kind=kind, kid=self.kid, body=raw.decode(), sig=sig))


class Verifier:
    """Opens envelopes signed by any of a few known keys."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = dict(keys)

    @classmethod
    def of(cls, *publics: str) -> "Verifier":
        """From base64 public keys."""
        keys = [decode_public(public) for public in publics]
        return cls({key_id(key): key for key in keys})

    def open(self, payload: bytes, *, kind: str) -> bytes:
        """Check size, shape, kind, key and signature, in this order, and return the body's bytes.

        Raises:
            Refused: with the reason of the first check that fails.
        """
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise Refused("too_large", f"{len(payload)} bytes")
        try:
            envelope = _ENVELOPE.decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Refused("malformed", str(error)) from error
        if envelope.kind != kind:
            raise Refused("wrong_kind", envelope.kind)
        if (key := self._keys.get(envelope.kid)) is None:
            raise Refused("unknown_key", envelope.kid)
        try:
            body = envelope.body.encode()
            signature = base64.b64decode(envelope.sig, validate=True)
            key.verify(signature, _signed_bytes(envelope.kind, body))
        except (
            InvalidSignature,
            ValueError,
        ) as error:  # not base64, not ASCII, or a body with half a character
            raise Refused("bad_signature") from error
        # Base64 has spare bits at its end: one signature, one spelling.
        if base64.b64encode(signature).decode() != envelope.sig:
            raise Refused("bad_signature", "not in canonical base64")
        return body


def new_private_key(path: Path) -> Ed25519PrivateKey:
    """Make a key pair and write the private part, readable by its owner only.

    Raises:
        FileExistsError: never overwrites a key.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_once(path, pem)
    return key


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    Raises:
        OSError: the file cannot be read.
        ValueError: it does not hold an Ed25519 private key.
    """
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        message = f"{path}: not an Ed25519 private key"
        raise ValueError(message)  # noqa: TRY004 (the file is wrong, not the caller's type)
    return key
