"""Watches the disk under the stores: the reserve, what was lost, how fast the card wears. A thread of its own, ``storage``.

The control thread and the link read what it saw last; they never touch the disk for it.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from firmware_config.vocabulary import EventKind, Lane
from firmware_config.wire import Scalar
from station_agent.clock import Clock
from station_agent.core.storage import FULL_SHARE, Deed, Disk, Losses, State, deed, judge, told
from station_agent.core.wear import Wear
from station_agent.store.ballast import Ballast
from station_agent.store.block import written_bytes

_LOG = logging.getLogger(__name__)

LOOK_S: Final = 2.0
END_S: Final = 5.0


class Stores(Protocol):
    """What is watched."""

    volatile: bool
    written_bytes_day: int | None

    @property
    def refusing(self) -> bool:
        """The disk refused the last time."""

    def disk_seen(self, state: State, *, free_bytes: int) -> None:
        """What heartbeats tell from now on."""

    def write_again(self) -> None:
        """There may be room now: do not wait for the next try."""

    def thin(self) -> None:
        """Readings first: make room of them."""


def make_room(folder: Path) -> None:
    """Before the stores are opened: opening takes a little, and a full disk would refuse it."""
    with suppress(OSError):
        seen = os.statvfs(folder)
        if seen.f_bavail < (1 - FULL_SHARE) * seen.f_blocks:
            Ballast(folder, size=0).free()


class DiskWatch:
    """One for the station."""

    def __init__(
        self,
        folder: Path,
        *,
        stores: Stores,
        ballast_bytes: int,
        wear_bytes_day: int,
        clock: Clock,
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        """Look once; ``start`` goes on.

        Args:
            folder: the station's ``data_dir``.
            stores: whose disk it is.
            ballast_bytes: size of the reserve.
            wear_bytes_day: more than this written in 24 h is told.
            clock: for pauses between losses.
            record: takes events.
        """
        self._folder = folder
        self._stores = stores
        self._ballast = Ballast(folder, size=ballast_bytes)
        self._clock = clock
        self._record = record
        self._losses = Losses()
        self._wear = Wear(limit_bytes=wear_bytes_day)
        self._lock = threading.Lock()
        self._state: State = "ok"
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storage", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End, and tell what was lost."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(END_S)

    def lost(self, lane: Lane, count: int, first: int, last: int) -> None:
        """Events were given up. Any thread."""
        with self._lock:
            self._losses.add(lane, count, first, last, now_s=self._clock.monotonic_s())

    def look(self) -> None:
        """One turn."""
        disk = self._see()
        doing = deed(disk, ballast_bytes=self._ballast.size)
        if doing is Deed.FREE_BALLAST:
            self._ballast.free()
            _LOG.warning("ballast_freed", extra={"free_bytes": disk.free_bytes})
            self._stores.write_again()
        elif doing is Deed.MAKE_BALLAST:
            self._ballast.make()
        disk = self._see()
        self._turn_to(judge(disk), disk)
        self._look_at_wear()
        with self._lock:
            over = self._losses.take(now_s=self._clock.monotonic_s())
        for data in over:
            self._record(EventKind.EVENTS_LOST, data)

    def _look_at_wear(self) -> None:
        worn = self._wear.see(written_bytes(self._folder), now_s=self._clock.monotonic_s())
        self._stores.written_bytes_day = self._wear.bytes_day
        if worn and self._wear.bytes_day is not None:
            self._record(EventKind.STORAGE_WORN, {"bytes_day": self._wear.bytes_day})

    def _turn_to(self, state: State, disk: Disk) -> None:
        before, self._state = self._state, state
        self._stores.disk_seen(state, free_bytes=disk.free_bytes)
        if state in {"low", "full"} and before == "ok":
            self._stores.thin()
        if (kind := told(before, state)) is not None:
            _LOG.warning(
                "storage_state", extra={"state": state, "was": before, "free_bytes": disk.free_bytes}
            )
            self._record(kind, {"state": state, "free_bytes": disk.free_bytes})

    def _see(self) -> Disk:
        seen = os.statvfs(self._folder)
        return Disk(
            free_bytes=seen.f_bavail * seen.f_frsize,
            total_bytes=seen.f_blocks * seen.f_frsize,
            read_only=bool(seen.f_flag & os.ST_RDONLY) or self._stores.volatile,
            refusing=self._stores.refusing,
            ballast=self._ballast.there,
        )

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.look()
            except Exception:  # noqa: BLE001 (top of a thread: the folder itself may be gone)
                _LOG.exception("storage_look_failed")
