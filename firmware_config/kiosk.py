"""The station file's section on the page at the door."""

from typing import Annotated

from pydantic import Field, field_validator

from firmware_config.load import Section
from firmware_config.units import Name, Text


class Kiosk(Section):
    """The page on a screen at the door. It is served on 127.0.0.1 and nowhere else: no key opens it to a network.

    Attributes:
        enabled: without it there is no entry by PIN, no enrolment and no help button.
        port: 0 takes a free one and says which.
        door: which door it stands at; may be left out where there is only one.
        operator: who runs the station, for the notice about faces; the station's name when left out.
        phone: whom to ring, shown on the help screen.
        voice: sentences are also spoken where the program espeak-ng is installed.
    """

    enabled: bool = False
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    door: Name | None = None
    operator: Text | None = None
    phone: Annotated[str, Field(pattern=r"^[0-9+() -]{3,24}$")] | None = None
    voice: bool = True

    @field_validator("port")
    @classmethod
    def no_privileged_port(cls, value: int) -> int:
        """The agent runs without the right to take one."""
        if 0 < value < 1024:  # noqa: PLR2004 (ports below belong to the system)
            message = "must be 0 or at least 1024"
            raise ValueError(message)
        return value
