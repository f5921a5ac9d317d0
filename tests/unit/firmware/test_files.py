"""Small files: whole or not at all, whenever the process dies in between (safety.md D7)."""

import subprocess
import sys
from pathlib import Path

import pytest

from firmware_config.files import write_once, write_over

PROGRAM = """
import os, sys, pathlib
from firmware_config import files
left = int(sys.argv[2])

def counted(name, act):
    def wrapper(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return act(*args, **kwargs)
    return wrapper

for name in ("open", "fsync", "close", "fdopen"):
    setattr(os, name, counted(name, getattr(os, name)))
for name in ("replace", "hardlink_to", "unlink"):
    setattr(pathlib.Path, name, counted(name, getattr(pathlib.Path, name)))
getattr(files, sys.argv[3])(pathlib.Path(sys.argv[1]), b"new" * 1000)
"""


def die_after(steps: int, path: Path, what: str) -> bool:
    """True when it came to its end."""
    return (
        subprocess.run([sys.executable, "-c", PROGRAM, path, str(steps), what], check=False).returncode == 0
    )


def test_a_process_that_dies_at_any_step_leaves_the_old_or_the_new_content(tmp_path: Path) -> None:
    path = tmp_path / "roster.bin"
    for steps in range(20):
        path.write_bytes(b"old")
        done = die_after(steps, path, "write_over")
        assert path.read_bytes() in {b"old", b"new" * 1000}
        if done:
            break
    assert path.read_bytes() == b"new" * 1000
    assert steps > 4


def test_a_process_that_dies_at_any_step_leaves_no_file_or_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    for steps in range(20):
        path.unlink(missing_ok=True)
        done = die_after(steps, path, "write_once")
        assert not path.exists() or path.read_bytes() == b"new" * 1000
        if done:
            break
    assert path.read_bytes() == b"new" * 1000
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_must_not_be_replaced_is_not(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    write_once(path, b"first")
    with pytest.raises(FileExistsError):
        write_once(path, b"second")
    assert path.read_bytes() == b"first"
    write_over(path, b"third")
    assert path.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [path]
