"""Two MQTT 5 clients that nobody here wrote: Mosquitto's command line tools (libmosquitto, C), and awscrt (aws-c-mqtt, C).

Neither shares a line with paho, which the station and the hub use, or with the codec of the fault campaign.
"""

import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, Self

from awscrt import io, mqtt5

from tests.support.station import wait_for

LIMIT_S = 30.0

Heard = Callable[[str, bytes], None]


class Stranger(Protocol):
    """Publishes what it likes, and may listen."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: str | None = None,
    ) -> bool:
        """True when the broker took it."""

    def listen(self, topic_filter: str, heard: Heard) -> None:
        """Call for each message, until closed."""

    def close(self) -> None:
        """Leave."""


class CommandLine:
    """``mosquitto_pub`` for each message, ``mosquitto_sub`` to listen."""

    def __init__(self, port: int, username: str, password: str) -> None:
        self._who = ["-V", "5", "-h", "127.0.0.1", "-p", str(port), "-u", username, "-P", password]
        self._listeners: list[subprocess.Popen[bytes]] = []

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: str | None = None,
    ) -> bool:
        words = ["mosquitto_pub", *self._who, "-t", topic, "-q", str(qos), "-s"]
        words += ["-r"] if retain else []
        words += ["-D", "publish", "response-topic", response_topic] if response_topic else []
        words += ["-D", "publish", "correlation-data", correlation] if correlation else []
        done = subprocess.run(words, input=payload, capture_output=True, check=False, timeout=LIMIT_S)
        return done.returncode == 0

    def listen(self, topic_filter: str, heard: Heard) -> None:
        # told of its subscription line by line, not when a buffer is full
        words = [
            "stdbuf",
            "-oL",
            "mosquitto_sub",
            *self._who,
            "-t",
            topic_filter,
            "-q",
            "1",
            "-d",
            "-F",
            "heard %t %x",
        ]
        listener = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._listeners.append(listener)
        ready = threading.Event()

        def read() -> None:
            assert listener.stdout is not None
            for line in listener.stdout:
                words = line.decode().split()
                if words[:1] == ["heard"]:
                    heard(words[1], bytes.fromhex("".join(words[2:])))
                elif b"SUBACK" in line:
                    ready.set()

        threading.Thread(target=read, daemon=True).start()
        assert ready.wait(LIMIT_S), "mosquitto_sub did not subscribe"

    def close(self) -> None:
        for listener in self._listeners:
            listener.terminate()
            listener.wait(LIMIT_S)
            if listener.stdout is not None:
                listener.stdout.close()


class Crt:
    """One connection of awscrt's MQTT 5 client."""

    def __init__(self, port: int, username: str, password: str) -> None:
        self._heard: list[tuple[str, Heard]] = []
        self._ready: Future[None] = Future()
        self._stopped: Future[None] = Future()
        bootstrap = io.ClientBootstrap.get_or_create_static_default()
        options = mqtt5.ClientOptions(
            host_name="127.0.0.1",
            port=port,
            bootstrap=bootstrap,
            connect_options=mqtt5.ConnectPacket(
                client_id=f"stranger-{id(self):x}",
                username=username,
                password=password,
                keep_alive_interval_sec=60,
            ),
            on_publish_callback_fn=self._on_publish,
            on_lifecycle_event_connection_success_fn=lambda _: self._once(self._ready),
            on_lifecycle_event_stopped_fn=lambda _: self._once(self._stopped),
            disable_metrics=True,
        )
        self._client = mqtt5.Client(options)
        self._client.start()
        self._ready.result(LIMIT_S)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: str | None = None,
    ) -> bool:
        packet = mqtt5.PublishPacket(
            topic=topic,
            payload=payload,
            qos=mqtt5.QoS(min(qos, 1)),  # it has no QoS 2
            retain=retain,
            response_topic=response_topic,
            correlation_data_bytes=correlation,
        )
        try:
            done = self._client.publish(packet).result(LIMIT_S)
        except Exception:  # noqa: BLE001 (it raises bare exceptions)
            return False
        code = None if done.puback is None else done.puback.reason_code  # of QoS 0 there is none
        return code is None or code < mqtt5.PubackReasonCode.UNSPECIFIED_ERROR

    def listen(self, topic_filter: str, heard: Heard) -> None:
        self._heard.append((topic_filter, heard))
        wanted = mqtt5.Subscription(topic_filter=topic_filter, qos=mqtt5.QoS.AT_LEAST_ONCE)
        answer = self._client.subscribe(mqtt5.SubscribePacket(subscriptions=[wanted])).result(LIMIT_S)
        assert answer.reason_codes[0] <= mqtt5.SubackReasonCode.GRANTED_QOS_2, answer

    def close(self) -> None:
        self._client.stop()
        self._stopped.result(LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _on_publish(self, arrived: Any) -> None:
        packet = arrived.publish_packet
        for _, heard in self._heard:
            heard(packet.topic, bytes(packet.payload or b""))

    @staticmethod
    def _once(future: Future[None]) -> None:
        if not future.done():
            future.set_result(None)


STRANGERS: dict[str, Callable[[int, str, str], Stranger]] = {"mosquitto_pub": CommandLine, "awscrt": Crt}


def eavesdrop(stranger: Stranger, topic_filter: str) -> list[tuple[str, bytes]]:
    """Everything that passes from now on; the list grows."""
    found: list[tuple[str, bytes]] = []
    stranger.listen(topic_filter, lambda topic, payload: found.append((topic, payload)))
    return found


def await_heard(found: list[tuple[str, bytes]], tail: str) -> bytes:
    """The last payload on a topic that ends so, once there is one."""
    wait_for(lambda: any(topic.endswith(tail) for topic, _ in found), what=f"something on {tail}")
    return next(payload for topic, payload in reversed(found) if topic.endswith(tail))
