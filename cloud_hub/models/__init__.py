"""Tables, no rules. Importing this package registers all of them."""

from cloud_hub.models.access import ApiToken, LoginAttempt, LoginSession, User
from cloud_hub.models.alert import Alert
from cloud_hub.models.audit import AuditEntry
from cloud_hub.models.command import Command, CommandStep
from cloud_hub.models.event import Event, Reading
from cloud_hub.models.station import Door, ProcessStatus, Sensor, Station, StationStatus

__all__ = [
    "Alert",
    "ApiToken",
    "AuditEntry",
    "Command",
    "CommandStep",
    "Door",
    "Event",
    "LoginAttempt",
    "LoginSession",
    "ProcessStatus",
    "Reading",
    "Sensor",
    "Station",
    "StationStatus",
    "User",
]
