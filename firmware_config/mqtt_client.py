"""A paho client that says so when its thread ends over something it could not read.

Paho ends the thread with a traceback and tells nobody: the connection seems up and is deaf until somebody asks why.
"""

from collections.abc import Callable

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode


class WatchedClient(Client):
    """``on_broken`` is called at most once, on paho's thread, before it ends."""

    on_broken: Callable[[Exception], None] | None = None

    def loop_forever(
        self,
        timeout: float = 1.0,
        retry_first_connection: bool = False,  # noqa: FBT001, FBT002 (paho's signature)
    ) -> MQTTErrorCode:
        """As paho's; no exception of a callback or of paho's reader escapes."""
        try:
            return super().loop_forever(timeout, retry_first_connection)
        except Exception as error:
            if self.on_broken is None:
                raise
            self.on_broken(error)
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
