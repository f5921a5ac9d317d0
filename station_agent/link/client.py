"""A paho client set up the way every connection of the station needs it: MQTT 5, clean start, nothing kept, no delay."""

import socket
from dataclasses import dataclass
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from firmware_config.mqtt_client import WatchedClient
from firmware_config.topics import Topic
from firmware_config.units import MAX_PAYLOAD_BYTES
from station_agent.link.access import Access

RECEIVE_MAXIMUM: Final = 8
"""QoS 1 messages the broker may have on their way to us (safety.md C15)."""

_HEADROOM: Final = 4_096
_RETAINED_NEVER: Final = 2


@dataclass(frozen=True, slots=True)
class Raw:
    """A message as it came, unchecked."""

    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone. QoS 1, at once (the hub waits before it believes it)."""

    topic: str
    payload: bytes


def build_client(access: Access, *, client_id: str, will: Will | None) -> WatchedClient:
    """A client for one connection, not yet connected."""
    client = WatchedClient(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion.MQTTv5,
        reconnect_on_failure=False,
    )
    if access.username is not None:
        client.username_pw_set(access.username, access.password)
    if access.tls is not None:
        client.tls_set_context(access.tls)
    if will is not None:
        properties = _properties(PacketTypes.WILLMESSAGE)
        properties.WillDelayInterval = 0
        client.will_set(will.topic, will.payload, qos=1, properties=properties)
    client.on_socket_open = _no_delay
    return client


def connect_properties() -> Properties:
    """No session survives the connection, so nothing old can be waiting for it (C1)."""
    properties = _properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = MAX_PAYLOAD_BYTES + _HEADROOM
    return properties


def publish_properties(topic: Topic, correlation: str | None) -> Properties:
    """Expiry as the contract has it, and the order a message belongs to."""
    properties = _properties(PacketTypes.PUBLISH)
    if topic.value.expiry_s is not None:
        properties.MessageExpiryInterval = topic.value.expiry_s
    if correlation is not None:
        properties.CorrelationData = correlation.encode()
    return properties


def subscription(topic: str) -> tuple[str, SubscribeOptions]:
    """QoS 1; nothing retained is sent at subscribing, and what is retained says so (C1)."""
    return topic, SubscribeOptions(qos=1, retainAsPublished=True, retainHandling=_RETAINED_NEVER)


def raw_of(message: MQTTMessage) -> Raw:
    """Take a message out of paho's hands. A topic that is no text is nobody's."""
    properties = message.properties
    try:
        topic = message.topic
    except UnicodeDecodeError:
        topic = "\ufffd"
    return Raw(
        topic=topic,
        payload=bytes(message.payload),
        retain=message.retain,
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
    )


def cut(client: Client) -> bool:
    """Cut the line without a goodbye. False when there was none."""
    line: Any = client.socket()
    if line is None:
        return False
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]


def _no_delay(_client: Client, _data: Any, line: Any) -> None:
    """Without it QoS 1 costs 44 ms a hop: Nagle waits for a delayed ACK (measured)."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
