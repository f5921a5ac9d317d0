"""The tables of the station's two store files. Scripts are only ever appended."""

from typing import Final

from firmware_config.vocabulary import EventKind, Lane, lane_of
from station_agent.store.db import Schema
from station_agent.store.sums import MIRRORED, Summed, summed

EVENT: Final = Summed(
    "event", ("seq", "kind", "data", "boot_id", "mono_ms", "wall_ms", "clock", "lane", "waiting")
)
RESULT: Final = Summed("result", ("cmd_id", "final", "body"))
ANSWERED: Final = Summed("answered", ("cmd_id", "digest", "final", "body", "wall_ms", "clock"))
BOOT: Final = Summed("boot", ("boot_id", "mono_ms", "wall_ms"))
DOOR_MODE: Final = Summed(
    "door_mode",
    ("door", "mode", "cmd_id", "machine", "until_mono_ms", "until_wall_ms", "clock", "left_ms"),
)
READING: Final = Summed("reading", ("seq", "name", "value", "boot_id", "mono_ms", "wall_ms", "clock"))

_KINDS: Final = frozenset(kind.value for kind in EventKind)


def lane_number(kind: str) -> int:
    """In SQL: where an event waits; a kind that no longer exists goes last."""
    return lane_of(EventKind(kind)) if kind in _KINDS else Lane.AUDIT


_COMMON: Final = """
CREATE TABLE identity (
    name TEXT CONSTRAINT pk_identity PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
CREATE TABLE counter (
    name TEXT CONSTRAINT pk_counter PRIMARY KEY,
    value INTEGER NOT NULL CONSTRAINT ck_counter_value CHECK (value >= 0)
) STRICT;
"""

_BOOT: Final = f"""
CREATE TABLE boot (
    boot_id TEXT CONSTRAINT pk_boot PRIMARY KEY,
    mono_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL
) STRICT;
{summed(BOOT)}
"""

_DOOR_MODE: Final = f"""
CREATE TABLE door_mode (
    door TEXT CONSTRAINT pk_door_mode PRIMARY KEY,
    mode TEXT NOT NULL CONSTRAINT ck_door_mode_mode CHECK (mode IN ('hold_open', 'lock_down')),
    cmd_id TEXT NOT NULL,
    machine TEXT NOT NULL,
    until_mono_ms INTEGER NOT NULL,
    until_wall_ms INTEGER NOT NULL,
    clock TEXT NOT NULL CONSTRAINT ck_door_mode_clock CHECK (clock IN ('unsynced', 'restored', 'synced')),
    left_ms INTEGER NOT NULL
) STRICT;
{summed(DOOR_MODE)}
"""

SAFETY: Final = Schema(
    synchronous="FULL",
    functions={"lane_number": lane_number},
    summed=(EVENT, RESULT, ANSWERED, BOOT, DOOR_MODE),
    migrations=(
        _COMMON,
        """
INSERT INTO counter VALUES ('event_seq', 0);
CREATE TABLE event (
    seq INTEGER CONSTRAINT pk_event PRIMARY KEY,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    mono_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    clock TEXT NOT NULL
) STRICT;
CREATE TABLE result (
    seq INTEGER CONSTRAINT pk_result PRIMARY KEY AUTOINCREMENT,
    cmd_id TEXT NOT NULL CONSTRAINT uq_result_cmd_id UNIQUE,
    final INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE answered (
    id INTEGER CONSTRAINT pk_answered PRIMARY KEY AUTOINCREMENT,
    cmd_id TEXT NOT NULL CONSTRAINT uq_answered_cmd_id UNIQUE,
    digest TEXT NOT NULL,
    final INTEGER NOT NULL,
    body TEXT,
    wall_ms INTEGER NOT NULL,
    clock TEXT NOT NULL,
    CONSTRAINT ck_answered_final_has_body CHECK (NOT final OR body IS NOT NULL)
) STRICT;
CREATE INDEX ix_answered_wall_ms ON answered (wall_ms) WHERE final AND clock = 'synced';
CREATE INDEX ix_answered_open ON answered (id) WHERE NOT final;
""",
        f"""
{MIRRORED}
ALTER TABLE event ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
ALTER TABLE event ADD COLUMN waiting INTEGER NOT NULL DEFAULT 1;
UPDATE event SET lane = lane_number(kind);
CREATE INDEX ix_event_waiting ON event (lane, seq) WHERE waiting;
{summed(EVENT)}
INSERT INTO counter (name, value)
    SELECT 'waiting_' || value, (SELECT count(*) FROM event WHERE lane = value)
    FROM (SELECT 0 AS value UNION SELECT 1 UNION SELECT 2);
CREATE TRIGGER tr_event_waits AFTER INSERT ON event WHEN new.waiting
    BEGIN UPDATE counter SET value = value + 1 WHERE name = 'waiting_' || new.lane; END;
CREATE TRIGGER tr_event_marked AFTER UPDATE OF waiting ON event WHEN new.waiting <> old.waiting
    BEGIN UPDATE counter SET value = value + new.waiting - old.waiting WHERE name = 'waiting_' || new.lane; END;
CREATE TRIGGER tr_event_gone AFTER DELETE ON event WHEN old.waiting
    BEGIN UPDATE counter SET value = value - 1 WHERE name = 'waiting_' || old.lane; END;
{summed(RESULT)}
{summed(ANSWERED)}
{_BOOT}
INSERT INTO counter (name, value) VALUES ('events_lost', 0);
""",
        _DOOR_MODE,
    ),
)

TELEMETRY: Final = Schema(
    synchronous="NORMAL",
    summed=(READING,),
    migrations=(
        _COMMON,
        """
INSERT INTO counter VALUES ('reading_seq', 0), ('thinned', 0);
CREATE TABLE reading (
    seq INTEGER CONSTRAINT pk_reading PRIMARY KEY,
    name TEXT NOT NULL,
    value REAL NOT NULL,
    boot_id TEXT NOT NULL,
    mono_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    clock TEXT NOT NULL
) STRICT;
""",
        MIRRORED + summed(READING),
    ),
)
