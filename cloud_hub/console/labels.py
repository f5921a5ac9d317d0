"""Words for what is stored as codes. English here; the catalogues hold the other languages."""

from typing import Final

from cloud_hub.alerts.rules import (
    CONTRADICTED,
    ERASURE_UNRECEIPTED,
    LIVENESS_OFF,
    OVER_CAPACITY,
    ROSTER_BEHIND,
    SIGNER_REFUSED,
    SILENT,
    STORE_LOST,
)
from cloud_hub.i18n import gettext, mark
from cloud_hub.models.access import Role
from cloud_hub.models.alert import AlertState, Severity
from cloud_hub.models.people import ConsentKind
from cloud_hub.models.station import Presence
from firmware_config.vocabulary import DoorState, EventKind

PRESENCES: Final[dict[str, str]] = {
    Presence.ONLINE: mark("Online"),
    Presence.OFFLINE: mark("Offline"),
    Presence.UNKNOWN: mark("Not heard of yet"),
}

DOOR_STATES: Final[dict[str, str]] = {
    DoorState.LOCKED: mark("Locked"),
    DoorState.UNLOCKED: mark("Unlocked"),
    DoorState.EXITING: mark("Somebody is leaving"),
    DoorState.GRACE: mark("Just relocked"),
    DoorState.OPEN: mark("Open"),
    DoorState.PREALARM: mark("Open too long soon"),
    DoorState.HELD_OPEN: mark("Held open"),
    DoorState.FORCED: mark("Forced open"),
    DoorState.FIRE_CLOSED: mark("Fire release, closed"),
    DoorState.FIRE_OPEN: mark("Fire release, open"),
    DoorState.FIRE_UNSENSED: mark("Fire release, contact not trusted"),
    DoorState.UNSENSED: mark("Locked, contact not trusted"),
    DoorState.UNSENSED_UNLOCKED: mark("Unlocked, contact not trusted"),
}

CODES: Final[dict[str, str]] = {
    "already_unlocked": mark("the door is unlocked already"),
    "busy": mark("the door is busy"),
    "challenge_expired": mark("the challenge had expired"),
    "conflict": mark("the same order came with other content"),
    "contact_fault": mark("the door contact cannot be trusted"),
    "door_open": mark("the door is open already"),
    "fire": mark("fire release"),
    "fire_active": mark("fire release is active"),
    "intent_late": mark("the disk was too slow"),
    "issued_out_of_time": mark("the order was too old"),
    "mismatch": mark("the order does not match its challenge"),
    "rate_limited": mark("too many orders in a minute"),
    "restarted": mark("the station restarted"),
    "stood_still": mark("the station's program stood still"),
    "storage_full": mark("the station's storage is full"),
    "superseded": mark("a newer order replaced it"),
    "unknown_door": mark("the station has no such door"),
    "locked_down": mark("the door is locked down"),
    "not_in_force": mark("nothing of the kind was in force any more"),
    "not_authorised": mark("the right to order was taken away meanwhile"),
    "signed_out": mark("whoever ordered was signed out before it went out"),
    "proof_too_old": mark("the password was given too long before"),
    "station_retired": mark("the station is out of service"),
    "signer_refused": mark("more than three a minute for one door are not signed"),
    "challenge_mismatch": mark("the station's answer was for something else"),
    "offline": mark("the station is offline"),
    "unknown": mark("the station has not been heard of yet"),
    "heartbeat_old": mark("the station's last sign of life is too old"),
    "heartbeat_missed": mark("the station missed its signs of life"),
    "no_subscriber": mark("the broker knows no such listener"),
    "no_broker": mark("the hub has no connection to the broker"),
    "silent": mark("no answer within three seconds"),
    "not_carried": mark("the hub's bridge did not run"),
    "never_begun": mark("the station never began it"),
    "store_lost": mark("the station lost its records"),
    "pin_wrong": mark("number and PIN do not go together"),
    "locked_out": mark("too many failed attempts"),
    "locked_until_forgiven": mark("shut after too many failed attempts"),
    "unknown_face": mark("face not enrolled"),
    "ambiguous_face": mark("face not certain enough"),
    "gallery_too_large": mark("more people enrolled than faces can be told apart"),
    "no_roster": mark("the station has no roster yet"),
    "not_on_roster": mark("not on the roster"),
    "person_inactive": mark("access switched off"),
    "face_not_allowed": mark("entry by face not allowed"),
    "no_group": mark("in no group"),
    "wrong_door": mark("not for this door"),
    "outside_hours": mark("outside opening hours"),
    "clock_unsynchronised": mark("the station does not know the time"),
    "not_yet_opened": mark("not opened by the staff yet"),
    "no_guests": mark("no guests here"),
    "guest_cap": mark("too many guests today"),
    "pass_malformed": mark("not a pass of ours"),
    "pass_unknown_key": mark("pass signed by an unknown key"),
    "pass_altered": mark("pass altered"),
    "pass_revoked": mark("pass withdrawn"),
    "pass_wrong_station": mark("pass for another station"),
    "pass_not_yet_valid": mark("pass not valid yet"),
    "pass_expired": mark("pass expired"),
    "pass_replayed": mark("pass used up"),
    "pass_uses_unknown": mark("nobody knows whether the pass was used"),
    "expired": mark("nobody came for a long time"),
    "duplicate": mark("the same face is enrolled under another id"),
    "enrolled_here": mark("enrolled at this station itself"),
    "other_engine": mark("made by another face engine"),
    "gallery_full": mark("no room for another face"),
    "replayed": mark("came before"),
    "erased_since": mark("older than an erasure"),
    "too_old": mark("more than seven days on its way"),
    "from_future": mark("dated in the future"),
    "unopened": mark("the seal does not open"),
    "other_key": mark("sealed to a key the station no longer has"),
    "misdirected": mark("meant for somebody else"),
}

EVENT_KINDS: Final[dict[str, str]] = {
    EventKind.ACCESS_GRANTED: mark("Access granted"),
    EventKind.ACCESS_DENIED: mark("Access denied"),
    EventKind.ACCESS_WRONGFUL_DENIAL: mark("Somebody may be shut out"),
    EventKind.ACCESS_DURESS: mark("Entry under duress: call for help, do not ring the station"),
    EventKind.ACCESS_LOCKED_OUT: mark("Too many failed attempts"),
    EventKind.DOOR_OPENED: mark("Door opened"),
    EventKind.DOOR_CLOSED: mark("Door closed"),
    EventKind.DOOR_FORCED: mark("Door forced open"),
    EventKind.DOOR_PREALARM: mark("Door open too long soon"),
    EventKind.DOOR_HELD_OPEN: mark("Door held open"),
    EventKind.DOOR_CONTACT_FAULT: mark("Door contact faulty"),
    EventKind.DOOR_CONTACT_RESTORED: mark("Door contact restored"),
    EventKind.DOOR_RELAY_FAULT: mark("Lock relay faulty"),
    EventKind.EXIT_REQUESTED: mark("Exit requested"),
    EventKind.HELP_REQUESTED: mark("Somebody at the door asks for help"),
    EventKind.FIRE_ACTIVE: mark("Fire release active"),
    EventKind.FIRE_CLEARED: mark("Fire release over"),
    EventKind.TAMPER_OPENED: mark("Case opened"),
    EventKind.TAMPER_CLOSED: mark("Case closed"),
    EventKind.MAINS_LOST: mark("Mains power lost"),
    EventKind.MAINS_RESTORED: mark("Mains power back"),
    EventKind.CAMERA_LOST: mark("Camera lost"),
    EventKind.CAMERA_RESTORED: mark("Camera back"),
    EventKind.SENSOR_OUT_OF_RANGE: mark("Sensor out of range"),
    EventKind.SENSOR_IN_RANGE: mark("Sensor back in range"),
    EventKind.SENSOR_LOST: mark("Sensor lost"),
    EventKind.SENSOR_RESTORED: mark("Sensor back"),
    EventKind.OCCUPANCY_CHANGED: mark("People inside changed"),
    EventKind.ORDER_REFUSED: mark("Order refused by the station"),
    EventKind.STATION_STARTED: mark("Station started"),
    EventKind.STATION_STOPPED: mark("Station stopped"),
    EventKind.ENROLMENT_REFUSED: mark("Enrolment or withdrawal refused"),
    EventKind.PERSON_ENROLLED: mark("Somebody enrolled"),
    EventKind.PERSON_ERASED: mark("Somebody's data erased"),
    EventKind.CONSENT_GIVEN: mark("Consent given"),
    EventKind.CONSENT_WITHDRAWN: mark("Consent withdrawn"),
    EventKind.TEMPLATE_REPLICATED: mark("Face data from another station"),
    EventKind.TEMPLATE_EXPIRED: mark("Face data destroyed"),
    EventKind.DOOR_MODE_CHANGED: mark("Door mode changed"),
    EventKind.CLOCK_SYNCED: mark("Clock synchronised"),
    EventKind.CLOCK_STEPPED: mark("Clock jumped"),
    EventKind.EVENTS_LOST: mark("Events lost"),
    EventKind.EVENT_REPEATED: mark("Saved from a damaged file, known already"),
    EventKind.LINK_REBUILT: mark("Connection built anew"),
    EventKind.STORAGE_DAMAGED: mark("A damaged file was set aside"),
    EventKind.STORAGE_FULL: mark("Disk full: remote opening refused"),
    EventKind.STORAGE_RECOVERED: mark("Disk writes again"),
    EventKind.STORAGE_WORN: mark("Memory card wears too fast"),
}

ALERT_KINDS: Final[dict[str, str]] = {
    OVER_CAPACITY: mark("More people inside than allowed"),
    SILENT: mark("Station silent"),
    STORE_LOST: mark("An order's outcome can never be known"),
    CONTRADICTED: mark("A station contradicted itself about an order"),
    SIGNER_REFUSED: mark("More orders for a door than the hub signs"),
    ROSTER_BEHIND: mark("Station does not apply its roster"),
    LIVENESS_OFF: mark("Entry by face without a liveness check"),
    ERASURE_UNRECEIPTED: mark("Erasure not proven after 24 hours"),
}
"""Kinds that only the hub knows; an alert raised by an event has the event's words."""

SEVERITIES: Final[dict[str, str]] = {
    Severity.CRITICAL: mark("Critical"),
    Severity.MAJOR: mark("Major"),
    Severity.MINOR: mark("Minor"),
}

ALERT_STATES: Final[dict[str, str]] = {
    AlertState.OPEN: mark("To acknowledge"),
    AlertState.ACKNOWLEDGED: mark("Acknowledged"),
    AlertState.CLOSED: mark("Closed"),
}

CONSENT_KINDS: Final[dict[str, str]] = {
    ConsentKind.FACE: mark("Face entry"),
    ConsentKind.REPLICATION: mark("At other stations too"),
}

LIVENESS: Final[dict[str, str]] = {
    "off": mark("off"),
    "passive": mark("passive"),
    "active": mark("active"),
    "both": mark("passive and active"),
}

STORAGE: Final[dict[str, str]] = {
    "ok": mark("writes"),
    "low": mark("nearly full: readings are thinned"),
    "full": mark("full: remote opening refused"),
    "read_only": mark("read-only: remote opening refused"),
}

LIGHTS: Final[dict[str, str]] = {
    "dark": mark("dark"),
    "dim": mark("dim"),
    "normal": mark("normal light"),
    "bright": mark("bright"),
    "unknown": mark("not measured"),
}

PASS_STATES: Final[dict[str, str]] = {
    "valid": mark("valid"),
    "not_yet": mark("not valid yet"),
    "expired": mark("expired"),
    "revoked": mark("revoked"),
}

WEEKDAYS: Final = (
    mark("Monday"),
    mark("Tuesday"),
    mark("Wednesday"),
    mark("Thursday"),
    mark("Friday"),
    mark("Saturday"),
    mark("Sunday"),
)

ROLES: Final[dict[str, str]] = {
    Role.VIEWER: mark("Viewer"),
    Role.OPERATOR: mark("Operator"),
    Role.ADMINISTRATOR: mark("Administrator"),
}

WAYS: Final[dict[str, str]] = {
    "face": mark("face"),
    "pass": mark("QR pass"),
    "pin": mark("PIN"),
    "held_open": mark("touch, door held open"),
    "order": mark("remote order"),
    "exit": mark("exit button"),
    "forced": mark("by force"),
    "fire": mark("fire release"),
    "start": mark("at start"),
}

MODE_CAUSES: Final[dict[str, str]] = {
    "ordered": mark("ordered"),
    "ended": mark("ended by order"),
    "expired": mark("its time was over"),
    "restart": mark("the station restarted"),
}

SENSORS: Final[dict[str, str]] = {
    "co2": mark("Carbon dioxide"),
    "humidity": mark("Humidity"),
    "light": mark("Light"),
    "pm25": mark("Fine dust"),
    "power": mark("Power"),
    "smoke": mark("Smoke"),
    "temperature": mark("Temperature"),
    "voltage": mark("Voltage"),
    "water": mark("Water"),
}
"""Names that installers usually give; any other is shown as it is."""

ERRORS: Final[dict[str, str]] = {
    "not_found": mark("There is no such page or thing."),
    "forbidden": mark("Your role does not allow this."),
    "form_expired": mark("This form is too old. Go back, reload the page and try again."),
    "step_up_needed": mark("Give your password again."),
    "wrong_password": mark("Wrong name or password."),
    "too_many": mark("Too many attempts. Wait a moment and try again."),
    "door_busy": mark("This door has an order that is still under way."),
    "locked_down": mark("This door is locked down. End the lock-down first."),
    "already_proposed": mark("The same is waiting for a second person already."),
    "already_decided": mark("This has been decided already, or its ten minutes are over."),
    "same_person": mark("You proposed this yourself. Somebody else must approve it."),
    "person_unknown": mark("Nobody knows whose token this is."),
    "outcome_unknown": mark("The outcome of the last order is unknown: the door may be open already."),
    "not_configured": mark("The hub has no key to sign passes with. Whoever runs it can set one."),
    "conflict": mark("Not possible while things stand as they do."),
    "invalid": mark("Something in the form is missing or wrong."),
    "request_entity_too_large": mark("What you sent is too large."),
    "method_not_allowed": mark("This address does not take that."),
    "internal": mark("Something failed on our side. It has been logged."),
}

FIELD_RULES: Final[dict[str, str]] = {
    "id": mark("Short name: small letters, digits, hyphens; it begins with a letter."),
    "number": mark("Number: 4 to 8 digits."),
    "groups": mark("Groups: at most 8, and they must exist."),
    "reason": mark("Give a reason, and tick that you are sure where that is asked."),
    "kind": mark("Choose what it is."),
    "weekly": mark("Hours: give both times of each opening."),
    "overlap": mark(
        "Hours: an opening begins before the one before it ends. A night that ends at 06:00 counts too."
    ),
    "group": mark("Hours: an opening lasts from one minute to a day."),
    "holiday": mark("Holiday hours: at most 8 openings."),
    "stations": mark("Stations: a station is not known any more."),
    "waits_for": mark(
        "First person in: that group must wait for nobody itself, and count at every station of this one."
    ),
    "guest_cap": mark("Guests: a number from 0 to 1000."),
    "day": mark("Give a date."),
    "last": mark("The last day comes after the first, at most 31 days on."),
    "as_weekday": mark("Choose a weekday."),
    "items": mark("The calendar holds at most 400 days."),
    "person": mark("Choose somebody on the list."),
    "scope": mark(
        "Choose 1 to 8 places. A counted pass is for exactly one station, and a pass for a region must end."
    ),
    "not_before": mark("From: a date and a time, or empty."),
    "not_after": mark(
        "Until: it must lie ahead and after the beginning; a guest's pass lasts at most 7 days, any other 366."
    ),
    "uses": mark("Entries: 1 to 100, for exactly one station."),
}
"""What each field of a form must be, said when it is not."""

OTHER_ERROR: Final = mark("This request cannot be answered.")


def label(table: dict[str, str], code: str | None) -> str:
    """The words for a code in this request's language; a code without words is shown as it is."""
    if code is None:
        return ""
    text = table.get(code)
    return gettext(text) if text is not None else code


def weekdays(first: int, last: int) -> str:
    """A run of weekdays, 0 for Monday."""
    if (first, last) == (0, 6):
        return gettext("Every day")
    if first == last:
        return gettext(WEEKDAYS[first])
    return gettext("%(first)s to %(last)s", first=gettext(WEEKDAYS[first]), last=gettext(WEEKDAYS[last]))


def alert_kind(kind: str) -> str:
    """The words for an alert."""
    return label(ALERT_KINDS if kind in ALERT_KINDS else EVENT_KINDS, kind)


def error(code: str) -> str:
    """The words for an error's code."""
    return gettext(ERRORS.get(code, OTHER_ERROR))
