"""Keys made at this station on first use, that never leave it: for templates and PINs kept here, and for what is sent to it.

A key file of the wrong length was cut by a power loss or a failing card. It is set aside and another made: what the old
one protected is lost either way, and the door must not be lost with it.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from firmware_config.files import flush_folder, write_once
from station_agent.errors import AgentError

_LOG = logging.getLogger(__name__)

_KEY_BYTES: Final = 32


class Key(NamedTuple):
    """A key and what had to be done to have one.

    Attributes:
        secret: 32 random bytes.
        set_aside: where a damaged key file was moved; what it protected cannot be opened any more.
    """

    secret: bytes
    set_aside: Path | None


class GalleryKeyError(AgentError, RuntimeError):
    """A key cannot be used; the message names the file."""


def gallery_key(file: Path) -> Key:
    """Read the gallery key, or make it when there is none: 32 random bytes in a file only its owner can read.

    Raises:
        GalleryKeyError: others can read it, or the disk refuses.
    """
    return _key(file, "gallery key", "enrol people anew")


def sealing_key(file: Path) -> X25519PrivateKey:
    """Read the private key that templates from other stations are sealed to, or make it when there is none.

    Raises:
        GalleryKeyError: as for ``gallery_key``.
    """
    return X25519PrivateKey.from_private_bytes(
        _key(file, "sealing key", "move it away, and another is made").secret
    )


def _key(file: Path, name: str, remedy: str) -> Key:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _make_key(file)
        torn = file.is_file() and file.stat().st_size != _KEY_BYTES
        set_aside = _set_aside(file, name) if torn else None
        mode, secret = file.stat().st_mode & 0o777, file.read_bytes()
    except OSError as error:
        raise GalleryKeyError(f"{name} {file} cannot be used: {error.strerror}") from error
    if mode & 0o077:
        raise GalleryKeyError(f"{name} {file} has mode {mode:o}: others can read it; chmod 600, and {remedy}")
    return Key(secret, set_aside)


def _make_key(file: Path) -> None:
    """Make the key on first use: whole, or not at all."""
    with suppress(FileExistsError):
        write_once(file, os.urandom(_KEY_BYTES))


def _set_aside(file: Path, name: str) -> Path:
    target, number = file.with_name(f"{file.name}.damaged"), 1
    while target.exists():
        target, number = file.with_name(f"{file.name}.damaged-{number}"), number + 1
    file.rename(target)
    flush_folder(file.parent)
    _LOG.error("key_damaged", extra={"key": name, "file": str(file), "set_aside": str(target)})
    _make_key(file)
    return target
