"""Checksums of rows and of whole tables: what SQLite's own check cannot see (safety.md D5).

Every row carries a CRC32 over its values. A counter holds the sum of all of a table's checksums, kept by triggers in the
transaction that changes the table; so a row that is missing, doubled or older than it should be shows as well as one
with a flipped bit. A counter carries its own value a second time, as ``mirror``.
"""

import sqlite3
import zlib
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

Value: TypeAlias = str | int | float | None

SUM_COLUMN: Final = "ALTER TABLE {table} ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;"


def row_sum(*values: Value) -> int:
    """CRC32 over MessagePack: the same for the same values, whatever release wrote them."""
    return zlib.crc32(msgspec.msgpack.encode(values))


def seal(applied: int) -> int:
    """The ``application_id`` of a file with so many migrations: neither number is believed without the other."""
    return row_sum("yizhan", applied) & 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class Summed:
    """A table with checksums.

    Attributes:
        columns: what its checksum covers.
    """

    name: str
    columns: tuple[str, ...]


def summed(of: Summed) -> str:
    """SQL that gives a table checksums, and a counter of their sum; part of a migration."""
    table, args = of.name, ", ".join(of.columns)
    add = f"UPDATE counter SET value = value + %s WHERE name = '{table}_sum';"
    return f"""
{SUM_COLUMN.format(table=table)}
UPDATE {table} SET sum = row_sum({args});
INSERT INTO counter (name, value) SELECT '{table}_sum', coalesce(sum(sum), 0) FROM {table};
CREATE TRIGGER tr_{table}_insert AFTER INSERT ON {table} BEGIN {add % "new.sum"} END;
CREATE TRIGGER tr_{table}_update AFTER UPDATE ON {table} BEGIN {add % "new.sum - old.sum"} END;
CREATE TRIGGER tr_{table}_delete AFTER DELETE ON {table} BEGIN {add % "-old.sum"} END;
"""


MIRRORED: Final = """
ALTER TABLE counter ADD COLUMN mirror INTEGER NOT NULL DEFAULT -1;
UPDATE counter SET mirror = -1 - value;
CREATE TRIGGER tr_counter_insert AFTER INSERT ON counter
    BEGIN UPDATE counter SET mirror = -1 - new.value WHERE name = new.name; END;
CREATE TRIGGER tr_counter_update AFTER UPDATE OF value ON counter
    BEGIN UPDATE counter SET mirror = -1 - new.value WHERE name = new.name; END;
ALTER TABLE identity ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
UPDATE identity SET sum = row_sum(name, value);
INSERT INTO counter (name, value) VALUES ('commits', 0);
"""
"""SQL that makes counters and identity tell when they are damaged; part of a migration, before any ``summed``."""


def teach(connection: sqlite3.Connection) -> None:
    """Give a connection the function ``row_sum``."""
    connection.create_function("row_sum", -1, row_sum, deterministic=True)
