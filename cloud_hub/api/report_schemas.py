"""What the JSON API takes and gives of reports. Sums only."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from cloud_hub.api.schemas import Answer, Given, Page, StationFilter

Days = Annotated[int, Field(ge=1, le=92, description="How far back, in days.")]


class AccessReportQuery(Given):
    """Which decisions."""

    days: Days = 7
    station: StationFilter | None = None
    via: Literal["face", "pass", "pin", "held_open"] | None = Field(
        default=None, description="Only by this way in."
    )


class AccessCellAnswer(Answer):
    """Decisions at one station, in one hour of the day, in one light."""

    station: str
    hour: int = Field(ge=0, le=23, description="By the clock on the station's wall.")
    light: Literal["dark", "dim", "normal", "bright", "unknown"] = Field(
        description="Mean grey of the face: under 50, under 90, up to 170, above; unknown where none was measured."
    )
    via: str
    decisions: int
    granted: int
    rejected: int
    ambiguous: int = Field(description="A face near an enrolled person that could not be told apart.")


class ReasonAnswer(Answer):
    """How often a reason was given."""

    reason: str
    count: int


class AccessReportAnswer(Page):
    """Decisions of a time; cells without any are left out, so this is always one page."""

    items: list[AccessCellAnswer]
    since: datetime
    until: datetime
    cut: bool = Field(
        description="There were more decisions than are read for one report: the oldest are missing."
    )
    reasons: list[ReasonAnswer]
