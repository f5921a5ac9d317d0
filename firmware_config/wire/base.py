"""What all messages are made of: bounded quantities, and the root that refuses what it does not know."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from firmware_config.units import NAME_PATTERN, STATION_ID_PATTERN

Version: TypeAlias = Annotated[int, Meta(ge=1, le=1)]
StationId: TypeAlias = Annotated[str, Meta(pattern=STATION_ID_PATTERN)]
Name: TypeAlias = Annotated[str, Meta(pattern=NAME_PATTERN)]
Hex128: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Hex256: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)]
Code: TypeAlias = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,47}$")]
SealingKey: TypeAlias = Annotated[str, Meta(pattern="^[0-9A-Za-z+/]{43}=$")]
Clock: TypeAlias = Literal["unsynced", "restored", "synced"]
Scalar: TypeAlias = str | int | float | bool | None


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Part of a message: immutable, unknown fields refused."""


class Message(Struct, frozen=True, kw_only=True):
    """Root of all bodies: immutable, unknown fields refused, versioned."""

    v: Version = 1
    station: StationId
