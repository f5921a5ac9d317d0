"""Small files that are there whole or not at all, whatever happens in between (safety.md D7)."""

import os
from pathlib import Path


def write_over(path: Path, content: bytes) -> None:
    """Put new content in place of the old: beside it, flushed, renamed, and the folder flushed.

    Raises:
        OSError: the disk refuses; the old content is still there.
    """
    fresh = path.with_name(f"{path.name}.new")
    _write(fresh, content, os.O_TRUNC)
    fresh.replace(path)
    flush_folder(path.parent)


def write_once(path: Path, content: bytes) -> None:
    """Make a file that nobody may replace, readable by its owner only.

    Raises:
        FileExistsError: it is there already.
        OSError: the disk refuses; there is no file.
    """
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    fresh = path.with_name(f"{path.name}.{os.urandom(4).hex()}.new")
    try:
        _write(fresh, content, os.O_EXCL)
        path.hardlink_to(fresh)  # unlike a rename this never takes the place of another's
    finally:
        fresh.unlink(missing_ok=True)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make what was renamed or made in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, content: bytes, flag: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flag, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
