"""A paho client that says so when its thread ends.

Paho may end it without a word, with a traceback over something it could not read, or because ``select`` takes no file
number above 1,023: the connection seems up and is deaf until somebody asks why.
"""

from collections.abc import Callable

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode


class WatchedClient(Client):
    """``on_ended`` is the last thing that paho's thread does, whatever ended it; its word is for logs."""

    on_ended: Callable[[str], None] = staticmethod(lambda _: None)

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
