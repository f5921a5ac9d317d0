"""Tables, no rules. Importing this package registers all of them."""

from cloud_hub.models.access import ApiToken, LoginAttempt, LoginSession, User
from cloud_hub.models.alert import Alert
from cloud_hub.models.audit import AuditEntry
from cloud_hub.models.command import Command, CommandStep, Proposal, ProposalDecision
from cloud_hub.models.event import Event, EventStream, Reading, StationBoot
from cloud_hub.models.people import (
    CalendarDay,
    Consent,
    EnrolmentCode,
    EntryPass,
    Erasure,
    Membership,
    PeopleGroup,
    Person,
    RosterRevision,
    RosterState,
)
from cloud_hub.models.replica import Replica
from cloud_hub.models.station import Door, ProcessStatus, Sensor, Station, StationStatus

__all__ = [
    "Alert",
    "ApiToken",
    "AuditEntry",
    "CalendarDay",
    "Command",
    "CommandStep",
    "Consent",
    "Door",
    "EnrolmentCode",
    "EntryPass",
    "Erasure",
    "Event",
    "EventStream",
    "LoginAttempt",
    "LoginSession",
    "Membership",
    "PeopleGroup",
    "Person",
    "ProcessStatus",
    "Proposal",
    "ProposalDecision",
    "Reading",
    "Replica",
    "RosterRevision",
    "RosterState",
    "Sensor",
    "Station",
    "StationBoot",
    "StationStatus",
    "User",
]
