"""Files of PINs, counts and keys that rotted while the agent was down: the door is back, and the outbox says so."""

import sqlite3
from pathlib import Path

import pytest

from firmware_config.signing import encode_public, new_private_key
from tests.faults.rig import Station, write_station


@pytest.mark.parametrize(
    ("file", "content", "told_as"),
    [
        ("credentials.db", b"not a database" * 1_000, "credentials.db.damaged-"),
        ("pin.key", b"cut", "pin.key"),
        ("pin.key", bytes(32), "pin.key"),
    ],
    ids=["credentials", "key-cut", "key-changed"],
)
def test_a_damaged_file_is_told_to_the_hub(tmp_path: Path, file: str, content: bytes, told_as: str) -> None:
    public = encode_public(new_private_key(tmp_path / "hub.pem").public_key())
    write_station(tmp_path / "s", station="st-test0001", hub_public=public, port=1, doors=("d1",))
    station = Station("st-test0001", tmp_path / "s")
    try:
        station.start()
        station.stop()
        data = tmp_path / "s" / "data"
        (data / file).write_bytes(content)
        station.start()
        station.stop()
    finally:
        station.kill()
    with sqlite3.connect(data / "safety.db") as store:
        told = [row[0] for row in store.execute("SELECT data FROM event WHERE kind = 'storage.damaged'")]
    store.close()
    assert len(told) == 1
    assert told_as in told[0]
