"""Keys made at this station on first use, that never leave it: for templates kept here, and for those sent to it."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from firmware_config.files import write_once
from station_agent.errors import AgentError

_KEY_BYTES: Final = 32


class GalleryKeyError(AgentError, RuntimeError):
    """A key cannot be used; the message names the file."""


def gallery_key(file: Path) -> bytes:
    """Read the gallery key, or make it when there is none: 32 random bytes in a file only its owner can read.

    Raises:
        GalleryKeyError: others can read it, it is not 32 bytes, or the disk refuses.
    """
    return _key(file, "gallery key", "enrol people anew")


def sealing_key(file: Path) -> X25519PrivateKey:
    """Read the private key that templates from other stations are sealed to, or make it when there is none.

    Raises:
        GalleryKeyError: as for ``gallery_key``.
    """
    return X25519PrivateKey.from_private_bytes(_key(file, "sealing key", "move it away, and another is made"))


def _key(file: Path, name: str, remedy: str) -> bytes:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _make_key(file)
        mode, key = file.stat().st_mode & 0o777, file.read_bytes()
    except OSError as error:
        raise GalleryKeyError(f"{name} {file} cannot be used: {error.strerror}") from error
    if mode & 0o077:
        raise GalleryKeyError(f"{name} {file} has mode {mode:o}: others can read it; chmod 600, and {remedy}")
    if len(key) != _KEY_BYTES:
        raise GalleryKeyError(f"{name} {file} is {len(key)} bytes long instead of {_KEY_BYTES}")
    return key


def _make_key(file: Path) -> None:
    """Make the key on first use: whole, or not at all."""
    with suppress(FileExistsError):
        write_once(file, os.urandom(_KEY_BYTES))
