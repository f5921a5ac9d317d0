"""The kernel's count of bytes written to a disk, found by the folder that lies on it."""

import os
from pathlib import Path

from station_agent.store.block import written_bytes


def test_sectors_written_are_the_seventh_field(tmp_path: Path) -> None:
    device = tmp_path.stat().st_dev
    entry = tmp_path / "sys" / f"{os.major(device)}:{os.minor(device)}"
    entry.mkdir(parents=True)
    (entry / "stat").write_text("  4495 13 365842 2214 100 50 2048 900 0 1 1 0 0 0 0\n")
    assert written_bytes(tmp_path, sysfs=tmp_path / "sys") == 2048 * 512


def test_a_folder_on_no_disk_of_its_own_has_no_count(tmp_path: Path) -> None:
    assert written_bytes(tmp_path, sysfs=tmp_path / "none") is None
    assert written_bytes(tmp_path / "missing") is None
