"""Topic names, with QoS, retain and expiry. The only place that spells a topic."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from firmware_config.units import STATION_ID_PATTERN

ROOT: Final = "yz/v1"


@dataclass(frozen=True, slots=True)
class Channel:
    """How one kind of message travels.

    Attributes:
        tail: topic below ``yz/v1/{station}/``.
        qos: 0 where the next message replaces it anyway, else 1; never 2.
        expiry_s: message expiry asked of the broker, only to save traffic (safety.md C16).
        retain: always False: nothing here is safe to replay (safety.md C1, C15).
    """

    tail: str
    qos: int
    expiry_s: int | None = None
    retain: bool = False


class Topic(Enum):
    """Every topic of the contract."""

    BIRTH = Channel("up/birth", qos=1)
    HEARTBEAT = Channel("up/heartbeat", qos=0)
    EVENT = Channel("up/event", qos=1)
    TELEMETRY = Channel("up/telemetry", qos=1)
    CHALLENGE = Channel("up/chal", qos=1, expiry_s=5)
    RESULT = Channel("up/res", qos=1)
    REPLY = Channel("up/reply", qos=1, expiry_s=30)
    REPLICA = Channel("up/replica", qos=1)
    REQUEST = Channel("down/req", qos=1, expiry_s=5)
    GO = Channel("down/go", qos=1, expiry_s=5)
    ACK = Channel("down/ack", qos=1, expiry_s=30)
    CONFIG = Channel("down/config", qos=1)
    ROSTER = Channel("down/roster", qos=1)
    ERASE = Channel("down/erase", qos=1)
    DELIVERY = Channel("down/replica", qos=1)

    @property
    def up(self) -> bool:
        """From station to hub."""
        return self.value.tail.startswith("up/")

    def of(self, station: str) -> str:
        """The full topic name for one station, for example ``yz/v1/st-demo0001/up/birth``."""
        return f"{ROOT}/{station}/{self.value.tail}"


COMMAND_TOPICS: Final = (Topic.REQUEST, Topic.GO)
"""What the station's command connection subscribes to; its data connection takes the other ``down`` topics."""

HUB_SUBSCRIPTION: Final = f"{ROOT}/+/up/#"
"""The bridge's subscription. It matches no ``down`` topic, so it never hides "no matching subscribers"."""

_BY_TAIL: Final = {topic.value.tail: topic for topic in Topic}
_STATION: Final = re.compile(STATION_ID_PATTERN)


def parse(topic: str) -> tuple[str, Topic] | None:
    """Split a topic name into station and channel, or None when it is not of this contract."""
    prefix, station, tail = topic[: len(ROOT) + 1], *topic[len(ROOT) + 1 :].partition("/")[::2]
    if prefix != f"{ROOT}/" or not _STATION.fullmatch(station) or tail not in _BY_TAIL:
        return None
    return station, _BY_TAIL[tail]
