"""A small MQTT 5 codec: the packets that a broker for the fault campaign must read and write. Pure.

It knows every property of the standard by its number, and no more of the protocol than the campaign needs: a packet it
does not know is kept as bytes. Checked against paho and the Mosquitto clients in ``tests/unit/faults/test_mqtt5.py``.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

Properties: TypeAlias = dict[int, int | bytes | list[tuple[bytes, bytes]]]
"""By number; number 38, user properties, is a list of pairs."""


class Kind(IntEnum):
    """Control packets, by their number."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    SUBSCRIBE = 8
    SUBACK = 9
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class Prop(IntEnum):
    """Properties the campaign uses."""

    EXPIRY = 2
    RESPONSE_TOPIC = 8
    CORRELATION = 9
    SESSION_EXPIRY = 17
    RECEIVE_MAXIMUM = 33
    MAXIMUM_PACKET = 39
    USER = 38


_BYTE: Final = frozenset({1, 23, 25, 36, 37, 40, 41, 42})
_SHORT: Final = frozenset({19, 33, 34, 35})
_LONG: Final = frozenset({2, 17, 24, 39})
_VARIABLE: Final = frozenset({11})
_BLOB: Final = frozenset({3, 8, 9, 18, 21, 22, 26, 28, 31})

LONGEST_LENGTH: Final = 4
"""Bytes of the remaining length."""


class Malformed(ValueError):  # noqa: N818 (a verdict on bytes)
    """These bytes are no packet of MQTT 5."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet as it travels: the first byte, and all that follows the remaining length."""

    first: int
    rest: bytes = b""

    @property
    def number(self) -> int:
        """Which control packet; 0 is none."""
        return self.first >> 4

    def encode(self) -> bytes:
        """As bytes."""
        return bytes([self.first]) + write_variable(len(self.rest)) + self.rest


@dataclass(frozen=True, slots=True)
class Connect:
    """Who comes, and what is said for them when they are gone."""

    client_id: str
    clean: bool
    keepalive_s: int
    properties: Properties
    will: "Publish | None" = None
    username: str = ""
    password: bytes = b""


@dataclass(frozen=True, slots=True)
class Publish:
    """A message."""

    topic: str
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    dup: bool = False
    mid: int = 0
    properties: Properties = field(default_factory=dict)

    def packet(self) -> Packet:
        """To be sent."""
        first = Kind.PUBLISH << 4 | self.dup << 3 | self.qos << 1 | self.retain
        mid = struct.pack("!H", self.mid) if self.qos else b""
        return Packet(
            first, write_blob(self.topic.encode()) + mid + write_properties(self.properties) + self.payload
        )


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Topic filters with their options byte."""

    mid: int
    filters: list[tuple[str, int]]


class Cursor:
    """Reads fields one after the other."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes.

        Raises:
            Malformed: there are not so many.
        """
        found = self._raw[self.at : self.at + count]
        if len(found) < count:
            raise Malformed(f"{count} bytes wanted, {len(found)} there")
        self.at += count
        return found

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def short(self) -> int:
        """Two bytes."""
        return int.from_bytes(self.take(2), "big")

    def blob(self) -> bytes:
        """Bytes behind their length."""
        return self.take(self.short())

    def text(self) -> str:
        """UTF-8 behind its length."""
        return self.blob().decode(errors="replace")

    def variable(self) -> int:
        """A number of one to four bytes."""
        value = 0
        for place in range(LONGEST_LENGTH):
            byte = self.byte()
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value
        raise Malformed("a length of more than four bytes")

    def left(self) -> bytes:
        """All that is left."""
        return self.take(len(self._raw) - self.at)

    def properties(self) -> Properties:
        """A list of properties behind its length."""
        inner = Cursor(self.take(self.variable()))
        found: Properties = {}
        users: list[tuple[bytes, bytes]] = []
        while inner.at < len(inner._raw):
            name = inner.variable()
            if name == Prop.USER:
                users.append((inner.blob(), inner.blob()))
                found[name] = users
            else:
                found[name] = inner.value(name)
        return found

    def value(self, name: int) -> int | bytes:
        """The value of one property.

        Raises:
            Malformed: there is no such property.
        """
        if name in _BLOB:
            return self.blob()
        if name in _VARIABLE:
            return self.variable()
        for names, size in ((_BYTE, 1), (_SHORT, 2), (_LONG, 4)):
            if name in names:
                return int.from_bytes(self.take(size), "big")
        raise Malformed(f"no property {name}")


def write_variable(value: int) -> bytes:
    """A number of one to four bytes."""
    raw = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        raw.append(low | 0x80 if value else low)
        if not value:
            return bytes(raw)


def write_blob(raw: bytes) -> bytes:
    """Bytes behind their length."""
    return struct.pack("!H", len(raw)) + raw


def write_properties(properties: Properties) -> bytes:
    """Properties behind their length."""
    raw = b""
    for name, value in properties.items():
        if isinstance(value, list):
            for key, text in value:
                raw += bytes([name]) + write_blob(key) + write_blob(text)
        elif isinstance(value, bytes):
            raw += bytes([name]) + write_blob(value)
        elif name in _VARIABLE:
            raw += bytes([name]) + write_variable(value)
        else:
            size = 1 if name in _BYTE else 2 if name in _SHORT else 4
            raw += bytes([name]) + value.to_bytes(size, "big")
    return write_variable(len(raw)) + raw


class Reader:
    """Cuts a stream into packets, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._raw = bytearray()

    def feed(self, piece: bytes) -> list[Packet]:
        """The packets that are complete now.

        Raises:
            Malformed: this is no stream of MQTT.
        """
        self._raw += piece
        found = []
        while (packet := self._cut()) is not None:
            found.append(packet)
        return found

    def _cut(self) -> Packet | None:
        length = 0
        for place in range(1, LONGEST_LENGTH + 1):
            if len(self._raw) <= place:
                return None
            length |= (self._raw[place] & 0x7F) << 7 * (place - 1)
            if self._raw[place] < 0x80:
                break
        else:
            raise Malformed("a length of more than four bytes")
        end = 1 + place + length
        if len(self._raw) < end:
            return None
        packet = Packet(self._raw[0], bytes(self._raw[1 + place : end]))
        del self._raw[:end]
        return packet


def read_connect(packet: Packet) -> Connect:
    """A CONNECT of MQTT 5."""
    cursor = Cursor(packet.rest)
    if (cursor.text(), cursor.byte()) != ("MQTT", 5):
        raise Malformed("not MQTT 5")
    flags, keepalive_s = cursor.byte(), cursor.short()
    properties, client_id = cursor.properties(), cursor.text()
    will = None
    if flags & 0x04:
        options = cursor.properties()
        will = Publish(
            cursor.text(), cursor.blob(), qos=flags >> 3 & 3, retain=bool(flags & 0x20), properties=options
        )
    username = cursor.text() if flags & 0x80 else ""
    password = cursor.blob() if flags & 0x40 else b""
    return Connect(client_id, bool(flags & 0x02), keepalive_s, properties, will, username, password)


def read_publish(packet: Packet) -> Publish:
    """A PUBLISH."""
    cursor = Cursor(packet.rest)
    qos = packet.first >> 1 & 3
    topic = cursor.text()
    mid = cursor.short() if qos else 0
    properties = cursor.properties()
    return Publish(topic, cursor.left(), qos, bool(packet.first & 1), bool(packet.first & 8), mid, properties)


def read_subscribe(packet: Packet) -> Subscribe:
    """A SUBSCRIBE."""
    cursor = Cursor(packet.rest)
    mid = cursor.short()
    cursor.properties()
    filters = []
    while cursor.at < len(packet.rest):
        filters.append((cursor.text(), cursor.byte()))
    return Subscribe(mid, filters)


def read_puback(packet: Packet) -> tuple[int, int]:
    """Message id and reason of a PUBACK."""
    cursor = Cursor(packet.rest)
    mid = cursor.short()
    return mid, cursor.byte() if len(packet.rest) > 2 else 0


def connect(client_id: str, *, keepalive_s: int = 60, username: str = "", password: bytes = b"") -> bytes:
    """A CONNECT with Clean Start and without a will."""
    flags = 0x02 | (0x80 if username else 0) | (0x40 if password else 0)
    rest = write_blob(b"MQTT") + bytes([5, flags]) + struct.pack("!H", keepalive_s) + b"\0"
    rest += write_blob(client_id.encode())
    rest += write_blob(username.encode()) if username else b""
    rest += write_blob(password) if password else b""
    return Packet(Kind.CONNECT << 4, rest).encode()


def connack(reason: int = 0, properties: Properties | None = None) -> bytes:
    """The answer to a CONNECT, without a session."""
    return Packet(Kind.CONNACK << 4, bytes([0, reason]) + write_properties(properties or {})).encode()


def puback(mid: int, reason: int = 0) -> bytes:
    """The answer to a PUBLISH of QoS 1."""
    return Packet(Kind.PUBACK << 4, struct.pack("!HB", mid, reason) + b"\0").encode()


def subscribe(mid: int, *filters: str, qos: int = 1) -> bytes:
    """A SUBSCRIBE."""
    rest = struct.pack("!H", mid) + b"\0"
    for topic in filters:
        rest += write_blob(topic.encode()) + bytes([qos])
    return Packet(Kind.SUBSCRIBE << 4 | 2, rest).encode()


def suback(mid: int, *reasons: int) -> bytes:
    """The answer to a SUBSCRIBE."""
    return Packet(Kind.SUBACK << 4, struct.pack("!H", mid) + b"\0" + bytes(reasons)).encode()


def disconnect(reason: int = 0) -> bytes:
    """The end, with a reason."""
    return Packet(Kind.DISCONNECT << 4, bytes([reason, 0])).encode()


PINGREQ: Final = Packet(Kind.PINGREQ << 4).encode()
PINGRESP: Final = Packet(Kind.PINGRESP << 4).encode()


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter, without ``$share``, takes a topic."""
    wanted, found = topic_filter.split("/"), topic.split("/")
    for place, part in enumerate(wanted):
        if part == "#":
            return True
        if place >= len(found) or part not in {"+", found[place]}:
            return False
    return len(wanted) == len(found)
