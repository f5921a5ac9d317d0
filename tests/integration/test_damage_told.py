"""A file of PINs and counts that rotted while the agent was down: the door is back, and the outbox says so."""

import sqlite3
from pathlib import Path

from firmware_config.signing import encode_public, new_private_key
from tests.faults.rig import Station, write_station


def test_damaged_credentials_are_told_to_the_hub(tmp_path: Path) -> None:
    public = encode_public(new_private_key(tmp_path / "hub.pem").public_key())
    write_station(tmp_path / "s", station="st-test0001", hub_public=public, port=1, doors=("d1",))
    station = Station("st-test0001", tmp_path / "s")
    try:
        station.start()
        station.stop()
        data = tmp_path / "s" / "data"
        (data / "credentials.db").write_bytes(b"not a database" * 1_000)
        station.start()
        station.stop()
    finally:
        station.kill()
    with sqlite3.connect(data / "safety.db") as store:
        told = [row[0] for row in store.execute("SELECT data FROM event WHERE kind = 'storage.damaged'")]
    store.close()
    assert len(told) == 1
    assert "credentials.db.damaged-" in told[0]
