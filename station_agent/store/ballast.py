"""A file that takes room so that there is some to give back when the disk is full (safety.md D9)."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOG = logging.getLogger(__name__)

NAME: Final = "ballast.bin"


class Ballast:
    """One beside the stores. Storage thread only."""

    def __init__(self, folder: Path, *, size: int) -> None:
        self._file = folder / NAME
        self.size = size

    @property
    def there(self) -> bool:
        """All of it; nothing to hold counts as held."""
        try:
            return self.size == 0 or self._file.stat().st_size == self.size
        except OSError:
            return False

    def make(self) -> bool:
        """Reserve the room, without writing it. False when there is none."""
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self.size)
                os.ftruncate(descriptor, self.size)
            finally:
                os.close(descriptor)
        except OSError as error:
            _LOG.info("ballast_not_made", extra={"error": repr(error)})
            self.free()
            return False
        return True

    def free(self) -> None:
        """Give the room back."""
        with suppress(OSError):
            self._file.unlink()
