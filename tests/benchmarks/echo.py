"""Two bare clients: what one QoS 1 round trip through the broker costs without anything of ours around it.

``python -m tests.benchmarks.echo PORT`` is the far end, in a process of its own as the real station is.
"""

import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.benchmarks.rig import HUB_PASSWORD

USER: Final = "probe"
THERE: Final = "bench/there"
BACK: Final = "bench/back"
PAYLOAD: Final = b"x" * 400
"""About as long as a signed order."""


class Probe:
    """The near end."""

    def __init__(self, port: int) -> None:
        self._back: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._client = _client(port, BACK, self._back.put)

    def round_trips_ms(self, count: int) -> float:
        """As many round trips, one after the other."""
        began_s = time.perf_counter()
        for _ in range(count):
            self._client.publish(THERE, PAYLOAD, qos=1)
            self._back.get(timeout=10)
        return (time.perf_counter() - began_s) * 1000

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def open_probe(port: int) -> Iterator[Probe]:
    """Both ends, warmed up."""
    far = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.echo", str(port)], stdout=subprocess.PIPE)
    try:
        assert far.stdout is not None
        assert far.stdout.readline() == b"ready\n"
        probe = Probe(port)
        probe.round_trips_ms(50)
        yield probe
        probe.close()
    finally:
        far.terminate()
        far.wait(10)
        if far.stdout is not None:
            far.stdout.close()


def _client(port: int, topic: str, heard: Any) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.username_pw_set(USER, HUB_PASSWORD)
    client.on_socket_open = _without_delay
    subscribed = threading.Event()

    def connected(*_: Any) -> None:
        client.subscribe(topic, qos=1)

    client.on_connect = connected
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: heard(message.payload)
    client.connect("127.0.0.1", port)
    client.loop_start()
    if not subscribed.wait(10):
        raise TimeoutError("the broker did not answer the probe")
    return client


def _without_delay(_client: paho.Client, _data: Any, line: Any) -> None:
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(port: int) -> None:
    """Send everything back until terminated."""
    waiting: queue.SimpleQueue[paho.Client] = queue.SimpleQueue()

    def send_back(payload: bytes) -> None:
        client.publish(BACK, payload, qos=1)

    client = _client(port, THERE, send_back)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    waiting.get()


if __name__ == "__main__":
    main(int(sys.argv[1]))
