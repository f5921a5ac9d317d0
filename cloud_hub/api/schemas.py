"""What the JSON API takes and gives. The OpenAPI document is made from these types, so their texts are its texts."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_hub.models.alert import AlertState, Severity
from cloud_hub.models.station import Presence
from firmware_config.vocabulary import DoorState, EventKind

MAX_ROW = 2**63 - 1
RowCursor = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]
StationFilter = Annotated[str, Field(max_length=40, description="Only of this station.")]
Id = Annotated[str, Field(max_length=64)]


class Given(BaseModel):
    """Root of everything a caller sends: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """Root of everything answered."""

    model_config = ConfigDict(from_attributes=True)


class Problem(Answer):
    """A problem document (RFC 9457)."""

    type: str = Field(description="urn:yizhan:problem:{code}")
    title: str
    status: int
    detail: str = Field(description="What is wrong and where, in English.")
    code: str = Field(description="Machine-readable; never changes.")
    errors: list[dict[str, str]] | None = Field(default=None, description="By field: `field` and `problem`.")


class StationPath(Given):
    """A station."""

    station_id: Id


class DoorPath(StationPath):
    """A door of a station."""

    door_id: Id


class CommandPath(Given):
    """An order."""

    command_id: Id


class AlertPath(Given):
    """An alert."""

    alert_id: Annotated[int, Field(ge=1, le=MAX_ROW)]


class StationsQuery(Given):
    """How to list stations."""

    after: str | None = Field(default=None, max_length=40, description="`next` of the page before.")
    limit: int = Field(default=100, ge=1, le=200)


class EventsQuery(Given):
    """How to list events."""

    station: StationFilter | None = None
    kind: str | None = Field(
        default=None,
        max_length=40,
        description="Only of this kind; `door.*` means every kind of that subject.",
    )
    after: RowCursor | None = Field(
        default=None, description="`next` of the page before, or the `id` of the last event already seen."
    )
    order: Literal["asc", "desc"] = Field(
        default="asc", description="`asc` starts at the oldest event, `desc` at the newest."
    )
    limit: int = Field(default=100, ge=1, le=1000)


class TelemetryQuery(Given):
    """How to list readings."""

    station: StationFilter | None = None
    name: str | None = Field(default=None, max_length=32, description="Only of the sensor with this name.")
    after: RowCursor | None = Field(
        default=None, description="`next` of the page before, or the `id` of the last reading already seen."
    )
    limit: int = Field(default=100, ge=1, le=1000)


class AlertsQuery(Given):
    """How to list alerts."""

    state: AlertState | None = None
    station: StationFilter | None = None
    after: RowCursor | None = Field(default=None, description="`next` of the page before.")
    limit: int = Field(default=100, ge=1, le=500)


class CommandsQuery(Given):
    """How to list orders, newest first."""

    station: StationFilter | None = None
    after: Id | None = Field(default=None, description="`next` of the page before.")
    limit: int = Field(default=50, ge=1, le=500)


class DoorAnswer(Answer):
    """A door as last reported. `relay` (commanded) and `contact_open` (observed) are two facts."""

    id: str
    state: DoorState | str
    relay: bool = Field(description="The lock's coil is energised.")
    contact_open: bool | None = Field(description="Null while the contact cannot be trusted.")
    lock_kind: str
    mode: str = Field(description="Ordered for a time: `normal`, `hold_open` or `lock_down`.")
    mode_until: datetime | None = Field(description="When it ends by itself.")
    reported_at: datetime


class OccupancyAnswer(Answer):
    """Estimate of people inside, with the range it is known to lie in."""

    estimate: int
    low: int
    high: int
    capacity: int | None


class SensorAnswer(Answer):
    """A sensor, the range in which nobody is warned, and its last value."""

    name: str
    unit: str
    low: float
    high: float
    value: float | None
    value_at: datetime | None


class StationAnswer(Answer):
    """A station and its current state."""

    id: str
    name: str
    region: str
    time_zone: str
    presence: Presence
    presence_since: datetime | None
    last_seen_at: datetime | None = Field(description="When its last signed heartbeat came.")
    occupancy: OccupancyAnswer | None
    doors: list[DoorAnswer]
    open_alerts: int


class StorageAnswer(Answer):
    """The station's own disk, as its last heartbeat told."""

    state: str = Field(description="`ok`, `low`, `full` or `read_only`.")
    free_bytes: int
    written_bytes_day: int | None = Field(description="To the card in 24 hours; null while it is not known.")
    events_lost: int = Field(description="By the station's own count, of its present store.")
    readings_lost: int


class StationDetailAnswer(StationAnswer):
    """A station with its equipment."""

    sensors: list[SensorAnswer]
    cameras: dict[str, str] = Field(description="By camera, `ok` or `lost`.")
    liveness: str
    engine: str
    agent_version: str
    clock: str
    backlog: int = Field(description="Events and readings that wait at the station.")
    backlog_age_s: float
    rejected: dict[str, int] = Field(description="Payloads the station refused since its boot, by reason.")
    storage: StorageAnswer | None = Field(description="Null before the first heartbeat.")


class EventAnswer(Answer):
    """One fact that a station reported. (`station`, `install`, `seq`) names it for ever."""

    id: str
    station: str
    install: str
    seq: int
    kind: EventKind | str
    occurred_at: datetime
    received_at: datetime
    dated: str = Field(
        description="How `occurred_at` is known: `live` by the running station's monotonic clock, `anchored` by a "
        "moment at which an earlier run's clock was compared with a true one, `station_clock` by its synchronised "
        "wall clock, `estimated` by nothing better than a wall clock that was not set."
    )
    clock: str = Field(
        description="What the station's wall clock was worth: `synced`, `restored` or `unsynced`."
    )
    backfilled: bool = Field(description="It came late: it fills history and changed no current state.")
    data: dict[str, Any]


class ReadingAnswer(Answer):
    """One value of one sensor."""

    id: str
    station: str
    name: str
    value: float
    occurred_at: datetime
    received_at: datetime


class AlertAnswer(Answer):
    """One incident."""

    id: int
    key: str
    station: str
    kind: str
    severity: Severity
    state: AlertState
    active: bool = Field(description="The condition still holds.")
    count: int = Field(description="How often it was raised.")
    raised_at: datetime
    repeated_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    cleared_at: datetime | None
    closed_at: datetime | None
    data: dict[str, Any]


class Page(Answer):
    """Root of lists."""

    next: str | None = Field(description="`after` of the next page; null at the end.")


class StationPage(Page):
    """Stations."""

    items: list[StationAnswer]


class EventPage(Page):
    """Events."""

    items: list[EventAnswer]


class ReadingPage(Page):
    """Readings."""

    items: list[ReadingAnswer]


class AlertPage(Page):
    """Alerts."""

    items: list[AlertAnswer]
