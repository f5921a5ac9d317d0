"""What a station says of itself: at every connection, and every few seconds."""

from typing import Annotated, Literal

from msgspec import Meta

from firmware_config.vocabulary import DoorMode, DoorState
from firmware_config.wire.base import Clock, Count, Hex128, Message, Milliseconds, Name, Struct


class DoorStatus(Struct, frozen=True, kw_only=True):
    """One door now. Relay (commanded) and contact (observed) are two facts; neither is computed from the other.

    Attributes:
        relay: coil energised.
        contact_open: None while the contact cannot be trusted.
        mode: what an administrator has ordered for a time.
        mode_left_s: until ``mode`` ends by itself; 0 in the mode ``normal``.
    """

    id: Name
    state: DoorState
    relay: bool
    contact_open: bool | None
    mode: DoorMode = DoorMode.NORMAL
    mode_left_s: Count = 0


class OccupancyStatus(Struct, frozen=True, kw_only=True):
    """Estimate of people inside, with the range it is known to lie in."""

    estimate: Count
    low: Count
    high: Count
    capacity: Count


class SensorMeta(Struct, frozen=True, kw_only=True):
    """A sensor's unit and the range in which nobody is warned."""

    name: Name
    unit: Annotated[str, Meta(min_length=1, max_length=12)]
    low: float
    high: float


class StorageStatus(Struct, frozen=True, kw_only=True):
    """How the station's own disk is.

    Attributes:
        state: ``low``: below the reserve, telemetry is thinned; ``full``: nothing can be kept, so remote orders are
            refused; ``read_only``: the file system refuses every write.
        free_bytes: on the file system of the stores.
        written_bytes_day: to the card in the last 24 h, or scaled to them; None while it is not known.
        events_lost: since the store was made: the disk refused for too long. Their numbers stay as gaps.
        readings_lost: since the store was made, thinned out included.
    """

    state: Literal["ok", "low", "full", "read_only"] = "ok"
    free_bytes: Count = 0
    written_bytes_day: Count | None = None
    events_lost: Count = 0
    readings_lost: Count = 0


class Birth(Message, frozen=True):
    """Sent on every connection, and as the last will with ``online`` false. Signed, kind ``birth``.

    Attributes:
        online: False in the will: the session named by ``boot_id`` and ``conn_no`` has died.
        conn_no: counts connections of one boot, from 1.
        install_id: identifies the event store; a new one means the old was lost.
        lock_kinds: by door, what the lock does without power.
        liveness: the check in force; ``off`` is shown as a standing notice.
        engine: face engine and the digest of its weights, empty when face entry is off.
        sealing_key: X25519 public key to seal templates to, base64; empty when face entry is off.
        sqlite: version of the library that keeps the stores (safety.md D4).
    """

    online: bool
    boot_id: Hex128
    conn_no: Count
    install_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock
    agent_version: Annotated[str, Meta(max_length=40)]
    time_zone: Annotated[str, Meta(max_length=64)]
    doors: list[DoorStatus]
    lock_kinds: dict[str, str]
    sensors: list[SensorMeta]
    capacity: Count
    liveness: Annotated[str, Meta(max_length=16)]
    engine: Annotated[str, Meta(max_length=120)]
    sealing_key: Annotated[str, Meta(pattern="^([0-9A-Za-z+/]{43}=)?$")] = ""
    sqlite: Annotated[str, Meta(max_length=16)] = ""


class Heartbeat(Message, frozen=True):
    """The lease. Signed, kind ``heartbeat``. Holds all that the hub shows as current state.

    Attributes:
        interval_s: time to the next one.
        backlog: rows waiting in the outbox.
        backlog_age_s: age of the oldest of them.
        cameras: by camera, ``ok`` or ``lost``.
        rejected: payloads this station refused since boot, by reason.
        roster_version: of the roster in force; 0 without one.
        event_seq: of the newest event on the station's disk; what lies below it and is neither waiting nor known to the
            hub is a gap.
        events_kept_from: the oldest event that can still be sent again, acknowledged or not; 0 when there is none.
        echo: not 0: answer on both connections, with ``Ack.echo`` and with ``Ask(what="echo")``.
    """

    boot_id: Hex128
    conn_no: Count
    install_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock
    interval_s: float
    doors: list[DoorStatus]
    occupancy: OccupancyStatus
    backlog: Count
    backlog_age_s: float
    cameras: dict[str, str]
    rejected: dict[str, int]
    roster_version: Count = 0
    event_seq: Count = 0
    events_kept_from: Count = 0
    storage: StorageStatus = StorageStatus()
    echo: Count = 0
