"""Folders for what tests write, in memory where the system has a place for that."""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Final

SHARED: Final = Path("/dev/shm")  # noqa: S108 (folders of our own are made in it)


def scratch(prefix: str) -> Path:
    """A new folder; whoever asks for it removes it."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir=SHARED if SHARED.is_dir() else None))


def lasting(prefix: str) -> Path:
    """A new folder that is gone when the process ends."""
    folder = scratch(prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
