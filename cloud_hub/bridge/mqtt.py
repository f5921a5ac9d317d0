"""The connection to the broker. Callbacks only hand on; the database is nowhere near the network thread.

A connection is a new client object (safety.md: paho cannot vary what a reconnect asks for), clean, without a session
that outlives it. Messages are acknowledged by hand, after the commit and in the order in which they came: some brokers
end a connection that acknowledges out of order.
"""

import logging
import os
import random
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud_hub.bridge.hub_clock import uptime_s
from cloud_hub.bridge.in_order import InOrder
from cloud_hub.ingest.decoding import Arrival
from cloud_hub.settings import BrokerSettings
from firmware_config.mqtt_client import WatchedClient
from firmware_config.topics import HUB_SUBSCRIPTION, Topic

log = logging.getLogger(__name__)

RECEIVE_MAXIMUM: Final = 2_000
"""Messages the broker may send before it must wait for our acknowledgements (docs/adr/0006)."""

KEEPALIVE_S: Final = 20
CONNECT_LIMIT_S: Final = 5.0
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
LOOK_S: Final = 2.0
OWED_S: Final = 20.0
"""A broker that has not acknowledged a message for so long soon takes no more of them (``WatchedClient``)."""

NO_SUBSCRIBERS: Final = 0x10


class Link:
    """Keeps one connection alive. ``publish`` and ``acknowledge`` may be called from any thread."""

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        beside: Callable[[Path], Path],
        deliver: Callable[[Arrival], None],
        nobody_listens: Callable[[int], None],
    ) -> None:
        """Prepare, without connecting.

        Args:
            settings: where and as whom.
            beside: resolves a path of the settings file.
            deliver: takes each message; called on the network thread, must not block.
            nobody_listens: takes the message id of a publish that the broker says nobody received.
        """
        self._settings = settings
        self._beside = beside
        self._deliver = deliver
        self._nobody_listens = nobody_listens
        self._number = 0
        self._client: paho.Client | None = None
        self._down = threading.Event()
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._lost = False
        self._owing = threading.Lock()
        self._owed = InOrder()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self.connected_at: datetime | None = None
        self.connections = 0
        self.last_fault = ""

    def start(self) -> None:
        """Connect, and stay connected until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Disconnect."""
        self._stopping.set()
        self._down.set()
        if self._thread.is_alive():
            self._thread.join(CONNECT_LIMIT_S * 2)

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until stations can be heard."""
        return self._ready.wait(timeout_s)

    @property
    def alive(self) -> bool:
        """Its thread runs."""
        return self._thread.is_alive()

    def restart(self) -> None:
        """Give this connection up and make a new one."""
        self._down.set()

    def publish(
        self, topic: Topic, station: str, payload: bytes, *, correlation: str | None = None
    ) -> int | None:
        """Send to one station.

        Args:
            topic: with its quality of service, retain flag and expiry.
            station: whose topic it is.
            payload: encoded and, where the topic asks for it, signed.
            correlation: id of the order that it is about (safety.md C6).

        Returns:
            The message id, or None while there is no connection.
        """
        client = self._client
        if client is None or self.connected_at is None:
            return None
        channel = topic.value
        info = client.publish(
            topic.of(station),
            payload,
            qos=channel.qos,
            retain=channel.retain,
            properties=_properties(channel.expiry_s, correlation),
        )
        return info.mid if info.rc == paho.MQTT_ERR_SUCCESS else None

    def acknowledge(self, arrivals: Iterable[Arrival]) -> None:
        """Let the broker forget these; those of an earlier connection it has forgotten already.

        They were dealt with in another order than they came in: one waits here until all before it are dealt with.
        """
        with self._owing:
            client, number = self._client, self._number
            mids = (arrival.mid for arrival in arrivals if arrival.qos and arrival.connection == number)
            for mid in self._owed.done(mids):
                if client is not None:
                    client.ack(mid, 1)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            if self._session():
                pause_s = FIRST_PAUSE_S
            # full jitter: many clients that lost the same broker must not come back in step
            self._stopping.wait(random.uniform(0, pause_s))  # noqa: S311 (no secret)
            pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    def _session(self) -> bool:
        """One connection from start to end. True when it got as far as hearing stations."""
        self._down.clear()
        if self._stopping.is_set():
            return False
        try:
            client = self._new_client()
            client.connect(
                self._settings.host,
                self._settings.port,
                keepalive=KEEPALIVE_S,
                clean_start=True,
                properties=_CONNECT,
            )
        except (OSError, ValueError) as error:
            self._note_loss(f"{self._settings.host}:{self._settings.port}: {_words(error)}")
            return False
        self._client = client
        client.loop_start()
        while not self._down.wait(LOOK_S):
            if client.owed_s() >= OWED_S:
                self.last_fault = f"no acknowledgement for {OWED_S:.0f} s"
                break
        heard, self.connected_at = self.connected_at is not None, None
        self._ready.clear()
        client.disconnect()
        client.loop_stop()
        self._client = None
        if not self._stopping.is_set():
            self._note_loss(self.last_fault or "connection lost")
        return heard

    def _new_client(self) -> WatchedClient:
        with self._owing:
            self._number += 1
            self._owed = InOrder()
        client = WatchedClient(
            CallbackAPIVersion.VERSION2,
            client_id=f"yizhan-bridge-{os.urandom(4).hex()}",
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_LIMIT_S
        client.user_data_set(self._number)
        settings = self._settings
        if settings.username is not None:
            password = None
            if settings.password_file is not None:
                password = self._beside(settings.password_file).read_text(encoding="utf-8").strip()
            client.username_pw_set(settings.username, password)
        if settings.tls:
            client.tls_set_context(self._tls())
        client.on_socket_open = _without_delay
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_ended = self._on_ended
        return client

    def _tls(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.create_default_context(
            cafile=None if settings.ca_file is None else str(self._beside(settings.ca_file))
        )
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if settings.certificate_file is not None:
            key = None if settings.key_file is None else self._beside(settings.key_file)
            context.load_cert_chain(self._beside(settings.certificate_file), key)
        return context

    def _note_loss(self, fault: str) -> None:
        self.last_fault = fault
        if not self._lost:
            self._lost = True
            log.warning("broker lost", extra={"fault": fault})

    def _on_connect(
        self, client: paho.Client, _number: int, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self.last_fault = f"broker refused the connection: {reason}"
            self._down.set()
            return
        client.subscribe(HUB_SUBSCRIPTION, qos=1)

    def _on_subscribe(
        self, _client: paho.Client, _number: int, _mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.last_fault = f"broker refused the subscription: {reasons[0]}"
            self._down.set()
            return
        self._lost = False
        self.last_fault = ""
        self.connections += 1
        self.connected_at = datetime.now(UTC)
        self._ready.set()
        log.info("broker connected", extra={"host": self._settings.host, "port": self._settings.port})

    def _on_disconnect(
        self, _client: paho.Client, number: int, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if number == self._number:
            self.last_fault = self.last_fault or str(reason)
            self._down.set()

    def _on_ended(self, cause: str) -> None:
        if not self._down.is_set():
            self.last_fault = self.last_fault or cause
            self._down.set()

    def _on_message(self, _client: paho.Client, number: int, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "\ufffd"
        if message.qos:
            with self._owing:
                if number == self._number:
                    self._owed.came(message.mid)
        self._deliver(
            Arrival(
                topic,
                bytes(message.payload),
                message.retain,
                message.mid,
                message.qos,
                number,
                uptime_s(),
            )
        )

    def _on_publish(
        self, _client: paho.Client, _number: int, mid: int, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.value == NO_SUBSCRIBERS:
            self._nobody_listens(mid)


def _words(error: OSError | ValueError) -> str:
    """What went wrong, with the file it went wrong at."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _without_delay(_client: paho.Client, _number: Any, sock: Any) -> None:
    """Nagle's algorithm costs QoS 1 44 ms a hop (docs/adr/0006)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _connect_properties() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho publishes it without types
    properties.SessionExpiryInterval = 0
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    return properties


def _properties(expiry_s: int | None, correlation: str | None) -> Properties | None:
    if expiry_s is None and correlation is None:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # as above
    if expiry_s is not None:
        properties.MessageExpiryInterval = expiry_s
    if correlation is not None:
        properties.CorrelationData = correlation.encode()
    return properties


_CONNECT: Final = _connect_properties()
