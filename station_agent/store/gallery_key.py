"""The key templates are sealed with: made at this station on first use, and never leaves it."""

import os
from pathlib import Path
from typing import Final

from station_agent.errors import AgentError

_KEY_BYTES: Final = 32


class GalleryKeyError(AgentError, RuntimeError):
    """The gallery key cannot be used; the message names the file."""


def gallery_key(file: Path) -> bytes:
    """Read the key, or make it when there is none: 32 random bytes in a file only its owner can read.

    Raises:
        GalleryKeyError: others can read it, it is not 32 bytes, or the disk refuses.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _make_key(file)
        mode, key = file.stat().st_mode & 0o777, file.read_bytes()
    except OSError as error:
        raise GalleryKeyError(f"gallery key {file} cannot be used: {error.strerror}") from error
    if mode & 0o077:
        raise GalleryKeyError(
            f"gallery key {file} has mode {mode:o}: others can read it; chmod 600, and enrol people anew"
        )
    if len(key) != _KEY_BYTES:
        raise GalleryKeyError(f"gallery key {file} is {len(key)} bytes long instead of {_KEY_BYTES}")
    return key


def _make_key(file: Path) -> None:
    """Make the key on first use. A torn write leaves a short file, which is refused, never a weak key."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as key:
        key.write(os.urandom(_KEY_BYTES))
        key.flush()
        os.fsync(key.fileno())
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
