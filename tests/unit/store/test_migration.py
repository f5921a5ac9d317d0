"""A file of the release before: its rows get lanes, marks and checksums, and nothing of it is lost."""

import sqlite3
from pathlib import Path

from firmware_config.vocabulary import Lane
from station_agent.store.db import Schema, open_database
from station_agent.store.schema import SAFETY, TELEMETRY
from tests.support.station_store import BOOT, open_store

OLD = Schema(synchronous="FULL", migrations=SAFETY.migrations[:2])
OLD_TELEMETRY = Schema(synchronous="NORMAL", migrations=TELEMETRY.migrations[:2])


def an_old_file(folder: Path) -> None:
    opened = open_database(folder / "safety.db", OLD)
    disk = opened.connection
    disk.execute("INSERT INTO identity VALUES ('install_id', ?)", ("1" * 32,))
    disk.execute("UPDATE counter SET value = 9 WHERE name = 'event_seq'")
    kinds = {7: "station.started", 8: "tamper.opened", 9: "door.opened"}
    for seq, kind in kinds.items():
        disk.execute(
            "INSERT INTO event (seq, kind, data, boot_id, mono_ms, wall_ms, clock) VALUES (?, ?, '{}', ?, 5, 6, 'synced')",
            (seq, kind, BOOT),
        )
    opened.close()
    opened = open_database(folder / "telemetry.db", OLD_TELEMETRY)
    opened.connection.execute(
        "INSERT INTO reading (seq, name, value, boot_id, mono_ms, wall_ms, clock) VALUES (1, 'co2', 400, ?, 5, 6, 'synced')",
        (BOOT,),
    )
    opened.close()


def test_an_older_file_is_taken_over_and_believed_from_then_on(tmp_path: Path) -> None:
    an_old_file(tmp_path)
    for _ in range(2):  # the second time with all checks of the new form
        store = open_store(tmp_path)
        assert (store.set_aside, store.install_id) == ([], "1" * 32)
        assert [[event.seq for event in store.outbox.events(lane, 9)] for lane in Lane] == [[8], [9], [7]]
        assert [reading.value for reading in store.telemetry.readings(9)] == [400.0]
        assert (store.backlog().rows, store.event_seq, store.kept_from) == (3, 9, 7)
        store.close()


def test_pages_are_small_so_that_a_small_row_wears_little(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    for name in ("safety.db", "telemetry.db"):
        connection = sqlite3.connect(tmp_path / name)
        assert connection.execute("PRAGMA page_size").fetchone() == (1024,)
        connection.close()
