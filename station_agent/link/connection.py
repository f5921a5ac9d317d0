"""One MQTT connection that comes back by itself, with a new paho client each time (safety.md C1).

Two threads: ours decides when to connect; paho's carries bytes and calls back, and a callback only hands over. paho's own
reconnecting is not used: it keeps its queue and re-sends what is no longer true.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from random import SystemRandom
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from firmware_config.mqtt_client import WatchedClient
from firmware_config.topics import Topic
from station_agent.link.access import Access
from station_agent.link.client import (
    Raw,
    Will,
    build_client,
    connect_properties,
    cut,
    publish_properties,
    raw_of,
    subscription,
)

_LOG = logging.getLogger(__name__)

LONGEST_PAUSE_S: Final = 30.0

STABLE_S: Final = 30.0
"""A connection that lived this long was not kicked: the next pause is short again."""

ANSWER_S: Final = 10.0
"""Longest wait for CONNACK and SUBACK together."""

NO_SUBSCRIBERS: Final = 0x10
"""PUBACK: nobody received it. Not every broker says so."""

GOODBYE_S: Final = 1.0
"""Longest wait for a clean end."""


def pause_s(attempt: int, chance: Callable[[], float]) -> float:
    """Exponential with full jitter: uniform in [0, min(30, 2**attempt)] seconds.

    Args:
        attempt: failures in a row before this one.
        chance: uniform in [0, 1).
    """
    return chance() * min(LONGEST_PAUSE_S, 2.0 ** min(attempt, 10))


class Connection:
    """Keeps one client connected. ``went`` and ``arrived`` run on paho's or our thread and must only hand over."""

    def __init__(
        self,
        *,
        client_id: str,
        access: Access,
        station: str,
        topics: Sequence[Topic],
        went: Callable[[bool], None],
        arrived: Callable[[Raw], None],
        will: Callable[[], Will] | None = None,
    ) -> None:
        """Prepare; ``start`` connects.

        Args:
            client_id: unique at the broker.
            access: where and how to sign in.
            station: own id, part of every topic.
            topics: what to subscribe to.
            went: True once connected and subscribed, False when that ended.
            arrived: takes each message.
            will: asked before each attempt.
        """
        self.client_id = client_id
        self._access = access
        self._station = station
        self._topics = topics
        self._went = went
        self._arrived = arrived
        self._will = will
        self._chance = SystemRandom().random
        self._changed = threading.Condition()
        self._client: WatchedClient | None = None
        self._up = False
        self._lost = False
        self._allowed = True
        self._stopping = False
        self._complained = False
        self._nobody = False
        self._thread = threading.Thread(target=self._run, name=f"mqtt:{client_id}", daemon=True)

    @property
    def up(self) -> bool:
        """Connected and subscribed."""
        return self._up

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect cleanly, which suppresses the will, and come back no more."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(ANSWER_S)

    def allow(self, *, up: bool) -> None:
        """Pretend that the network went or came: down cuts the line without a goodbye, so that the will fires."""
        with self._changed:
            self._allowed = up
            client = self._client
            self._changed.notify_all()
        if not up and client is not None:
            cut(client)

    def rebuild(self) -> None:
        """Give this line up, whatever MQTT says of it, and make a new one with a new client."""
        with self._changed:
            client = self._client
        if client is not None:
            cut(client)
            self._over()

    def nobody_listened(self) -> bool:
        """The broker has said, since this was last asked, that nobody received a message."""
        said, self._nobody = self._nobody, False
        return said

    def owed_s(self) -> float:
        """How long the broker has owed an acknowledgement of something; 0 when it owes none, or there is no connection."""
        client = self._client
        return 0.0 if client is None else client.owed_s()

    def publish(
        self, topic: Topic, payload: bytes, *, correlation: str | None = None
    ) -> MQTTMessageInfo | None:
        """Hand a message to paho; None when there is no connection. That it was handed over promises nothing."""
        client = self._client
        if client is None or not self._up:
            return None
        info = client.publish(
            topic.of(self._station),
            payload,
            qos=topic.value.qos,
            retain=topic.value.retain,
            properties=publish_properties(topic, correlation),
        )
        return info if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def _run(self) -> None:
        kicks = failures = 0
        while self._wait_until_allowed():
            began_s = time.monotonic()
            was_up = False
            try:
                was_up = self._live_once()
            except Exception:  # noqa: BLE001 (top of a thread: the line is down and is tried again)
                _LOG.exception("link_failed", extra={"client": self.client_id})
            if was_up:
                # a broker that was away for long is forgiven when it is back; one that keeps nobody is not
                kicks, failures = (kicks + 1 if time.monotonic() - began_s < STABLE_S else 1), 0
            else:
                failures += 1
            with self._changed:
                self._changed.wait_for(
                    lambda: self._stopping or not self._allowed, pause_s(kicks + failures - 1, self._chance)
                )

    def _wait_until_allowed(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._allowed or self._stopping)
            return not self._stopping

    def _live_once(self) -> bool:
        """Connect, stay until the line is lost, and leave nothing behind. True when it was up."""
        client = self._new_client()
        with self._changed:
            self._client, self._lost = client, False
        try:
            client.connect(
                self._access.host,
                self._access.port,
                keepalive=self._access.keepalive_s,
                clean_start=True,
                properties=connect_properties(),
            )
        except (OSError, ValueError) as error:
            self._end()
            self._complain(repr(error))
            return False
        client.loop_start()
        was_up = False
        try:
            with self._changed:
                was_up = self._changed.wait_for(lambda: self._up or self._gone(), ANSWER_S) and self._up
                self._changed.wait_for(lambda: not self._up or self._gone())
                leaving = self._up and self._allowed and not self._lost
            if leaving:
                client.disconnect()
                with self._changed:
                    self._changed.wait_for(lambda: self._lost, GOODBYE_S)
        finally:
            cut(client)
            client.loop_stop()
            self._end()
        return was_up

    def _gone(self) -> bool:
        return self._lost or self._stopping or not self._allowed

    def _end(self) -> None:
        with self._changed:
            was_up, self._up, self._client = self._up, False, None
        if was_up:
            self._went(False)

    def _complain(self, cause: str) -> None:
        """Say once that the line is down, not at every attempt."""
        if not self._complained and not self._stopping:
            self._complained = True
            _LOG.warning("link_down", extra={"client": self.client_id, "cause": cause})

    def _new_client(self) -> WatchedClient:
        will = self._will() if self._will else None
        client = build_client(self._access, client_id=self.client_id, will=will)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_ended = self._on_ended
        return client

    def _on_connect(
        self, client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _more: Properties | None
    ) -> None:
        if code.is_failure:
            self._complain(str(code))
            self._over()
            return
        client.subscribe([subscription(topic.of(self._station)) for topic in self._topics])

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, codes: list[ReasonCode], _more: Properties | None
    ) -> None:
        if refused := [str(code) for code in codes if code.is_failure]:
            self._complain(f"subscription refused: {', '.join(refused)}")
            self._over()
            return
        with self._changed:
            self._up = True
            self._changed.notify_all()
        self._complained = False
        _LOG.info("link_up", extra={"client": self.client_id})
        self._went(True)

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode, _more: Properties | None
    ) -> None:
        self._complain(str(code))
        self._over()

    def _on_ended(self, cause: str) -> None:
        self._complain(cause)
        self._over()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._arrived(raw_of(message))

    def _on_publish(
        self, _client: Client, _data: Any, _mid: int, code: ReasonCode, _more: Properties | None
    ) -> None:
        if code.value == NO_SUBSCRIBERS:
            self._nobody = True

    def _over(self) -> None:
        with self._changed:
            self._lost = True
            self._changed.notify_all()
