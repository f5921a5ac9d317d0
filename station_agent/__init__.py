"""One process per station: camera, face entry, door, sensors, durable outbox, MQTT link."""

from importlib.metadata import version
from typing import Final

AGENT_VERSION: Final = version("yizhan")
