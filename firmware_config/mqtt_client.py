"""A paho client that says when its thread ends, and how long the broker has owed it an acknowledgement.

Paho may end its thread without a word, with a traceback over something it could not read, or because ``select`` takes no
file number above 1,023: the connection seems up and is deaf until somebody asks why. And it has at most twenty messages
of QoS 1 on their way: a broker that leaves so many without PUBACK gets nothing more, while all else looks well.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode


class WatchedClient(Client):
    """``on_ended`` is the last thing that paho's thread does, whatever ended it; its word is for logs."""

    on_ended: Callable[[str], None] = staticmethod(lambda _: None)

    def __init__(self, *args: Any, **options: Any) -> None:
        """As paho's."""
        super().__init__(*args, **options)
        self._owing: deque[tuple[float, MQTTMessageInfo]] = deque()
        self._owing_lock = threading.Lock()

    def loop_forever(
        self,
        timeout: float = 1.0,
        retry_first_connection: bool = False,  # noqa: FBT001, FBT002 (paho's signature)
    ) -> MQTTErrorCode:
        """As paho's; no exception of a callback or of paho's reader escapes."""
        try:
            code = super().loop_forever(timeout, retry_first_connection)
        except Exception as error:  # noqa: BLE001 (top of a thread: told to whoever keeps the connection)
            code = MQTTErrorCode.MQTT_ERR_PROTOCOL
            self.on_ended(f"unreadable: {error!r}")
        else:
            self.on_ended(code.name)
        return code

    def publish(self, *args: Any, **options: Any) -> MQTTMessageInfo:
        """As paho's; what the broker is to acknowledge is remembered."""
        info = super().publish(*args, **options)
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
            with self._owing_lock:
                self._forget_published()
                self._owing.append((time.monotonic(), info))
        return info

    def owed_s(self) -> float:
        """Seconds since the oldest message was handed over that the broker has not acknowledged; 0 when there is none."""
        with self._owing_lock:
            self._forget_published()
            return time.monotonic() - self._owing[0][0] if self._owing else 0.0

    def _forget_published(self) -> None:
        while self._owing and self._owing[0][1].is_published():
            self._owing.popleft()
