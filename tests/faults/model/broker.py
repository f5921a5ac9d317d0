"""A hostile broker: it keeps every message ever published and may do with it what it likes, except sign.

What it cannot do is forge a signature of a key that it does not hold; everything else is allowed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.signing import Signer
from firmware_config.topics import Topic
from firmware_config.wire import Birth, Heartbeat

FOREIGN: Final = Signer(Ed25519PrivateKey.from_private_bytes(b"f" * 32))
"""The broker's own key, which nobody trusts."""

MOST_WAITING: Final = 200


@dataclass(frozen=True, slots=True)
class Letter:
    """One message on its way.

    Attributes:
        topic: None for what a PUBACK says.
        station: whose topic it is on.
        payload: bytes as they travel; presence travels as an object, because nothing here depends on its signature.
        nobody: of a PUBACK: it says that nobody listened.
    """

    topic: Topic | None
    station: str
    payload: bytes | Birth | Heartbeat = b""
    retain: bool = False
    mid: int = 0
    nobody: bool = False

    @property
    def up(self) -> bool:
        """It goes to the hub."""
        return self.topic is None or self.topic.up


class Broker:
    """Holds what waits, and all that ever was."""

    def __init__(self) -> None:
        self.waiting: list[Letter] = []
        self.ever: list[Letter] = []

    def post(self, letter: Letter) -> None:
        """Somebody published."""
        self.ever.append(letter)
        if len(self.waiting) < MOST_WAITING:
            self.waiting.append(letter)

    def take(self, index: int) -> Letter | None:
        """The letter that waits at ``index``, counted round; None when none waits."""
        return self.waiting.pop(index % len(self.waiting)) if self.waiting else None

    def old(self, index: int, *, only: Callable[[Letter], bool] | None = None) -> Letter | None:
        """One of all letters ever, counted from the newest."""
        found = [letter for letter in self.ever if only is None or only(letter)]
        return found[-1 - index % len(found)] if found else None


def is_sealed(letter: Letter) -> bool:
    """It carries an envelope."""
    return isinstance(letter.payload, bytes) and letter.payload.startswith(b'{"v":1,"kind"')


def flip(letter: Letter, position: int) -> Letter:
    """One bit is different."""
    assert isinstance(letter.payload, bytes)
    damaged = bytearray(letter.payload)
    damaged[position // 8 % len(damaged)] ^= 1 << position % 8
    return replace(letter, payload=bytes(damaged))


def cut(letter: Letter, position: int) -> Letter:
    """The end is missing."""
    assert isinstance(letter.payload, bytes)
    return replace(letter, payload=letter.payload[: position % len(letter.payload)])


def swap(letter: Letter, other: Letter) -> Letter:
    """The body of another envelope under this one's signature."""
    return _edited(letter, lambda mine: mine | {"body": _envelope(other)["body"]})


def renamed(letter: Letter, position: int) -> Letter:
    """The same body and signature, said to be of another kind."""
    kinds = ("order.req", "order.go", "order.chal", "order.res", "ask", "reply")
    return _edited(letter, lambda mine: mine | {"kind": kinds[position % len(kinds)]})


def forged(letter: Letter) -> Letter:
    """The same body, signed by the broker, under the name of the true key."""
    mine = _envelope(letter)
    body: Any = msgspec.Raw(mine["body"].encode())
    signed = json.loads(FOREIGN.seal(mine["kind"], body))
    return replace(letter, payload=json.dumps(signed | {"kid": mine["kid"]}).encode())


def moved(letter: Letter, topic: Topic, station: str) -> Letter:
    """The same bytes on another topic."""
    return replace(letter, topic=topic, station=station)


def _envelope(letter: Letter) -> dict[str, Any]:
    assert isinstance(letter.payload, bytes)
    found: dict[str, Any] = json.loads(letter.payload)
    return found


def _edited(letter: Letter, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Letter:
    return replace(letter, payload=json.dumps(edit(_envelope(letter))).encode())
