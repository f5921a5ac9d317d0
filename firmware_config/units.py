"""Bounded quantities. Every number in a configuration file has its unit in its key and its range here."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

STATION_ID_PATTERN: Final = r"^st-[a-z0-9]{4,32}$"
"""A station's id is also the common name of its certificate, so it never holds ``/ + #`` (safety.md P1)."""

NAME_PATTERN: Final = r"^[a-z][a-z0-9_-]{0,31}$"

StationId = Annotated[str, StringConstraints(pattern=STATION_ID_PATTERN)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

MAX_ENERGISED_S: Final = 10.0
"""Longest time a grant may keep a relay energised (safety.md C9; the hardware one-shot ends it at 12 s)."""

MAX_PAYLOAD_BYTES: Final = 64 * 1024
"""Largest MQTT payload either side accepts or sends (design.md, outside contract)."""
