"""The station's two store files as one thing.

``safety.db`` holds events, results and answered orders, flushed to disk at every commit; ``telemetry.db`` holds
readings. Each is opened, checked, and replaced when damaged, by itself; each has an ``install_id`` of its own, so a new
file never reuses the numbers of a lost one.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TypeAlias

from firmware_config.station import Storage
from firmware_config.vocabulary import EventKind, Lane
from firmware_config.wire import Ack, Anchor, Result, Scalar, StorageStatus
from station_agent.clock import Stamp
from station_agent.core.commands import Known, ModeChange
from station_agent.core.modes import Term
from station_agent.core.storage import State
from station_agent.store import modes
from station_agent.store.answered import Answered
from station_agent.store.boots import Boots
from station_agent.store.outbox import Backlog, Outbox
from station_agent.store.salvage import Salvaged, restore_events, restore_orders, salvage
from station_agent.store.schema import SAFETY, TELEMETRY
from station_agent.store.sums import row_sum
from station_agent.store.telemetry import LINGER_S, Telemetry
from station_agent.store.writer import Writer

_LOG = logging.getLogger(__name__)

Record: TypeAlias = Callable[[EventKind, Mapping[str, Scalar]], None]


class Store:
    """Everything the control thread and the link keep. Puts return at once; ``barrier`` waits for the disk.

    Attributes:
        install_id: of ``safety.db``; a new one means that events and answers were lost.
        set_aside: damaged files that were moved away when this was opened.
        volatile: the disk took no writing when this was opened, so all of it lives in memory, under a new ``install_id``.
        written_bytes_day: to the card, as the watch measured.
        outbox: events and results, for the pump.
        telemetry: readings, for the pump.
    """

    def __init__(self, folder: Path, *, station: str, stamp: Stamp, limits: Storage | None = None) -> None:
        """Open or make both files.

        Args:
            folder: the station's ``data_dir``.
            station: own id.
            stamp: this moment.
            limits: how much may wait; the defaults of the station file when absent.

        Raises:
            StoreError: a file is in use by another process, or was written by a newer release.
        """
        self._listeners: list[Callable[[], None]] = []
        limits = limits or Storage()
        self._stamp = stamp
        self._state: State = "ok"
        self._free_bytes = 0
        self.written_bytes_day: int | None = None
        self._lost: Callable[[Lane, int, int, int], None] = lambda *_: None
        self._record: Record = self._record_as_of_the_last
        self._damaged: Callable[[], None] = lambda: None
        self._safety = Writer(folder / "safety.db", SAFETY, on_damage=self._met_damage)
        try:
            self._telemetry = Writer(
                folder / "telemetry.db", TELEMETRY, linger_s=LINGER_S, on_damage=self._met_damage
            )
        except BaseException:
            self._safety.close()
            raise
        self.set_aside = [file for file in (self._safety.set_aside, self._telemetry.set_aside) if file]
        self.volatile = self._safety.volatile is not None
        self.install_id = _identity(self._safety)
        found = salvage(self._safety.set_aside) if self._safety.set_aside else Salvaged()
        self._safety.call(partial(restore_orders, found=found, install_id=self.install_id))
        self._safety.call(partial(restore_events, found=found))
        self._answered = Answered(self._safety, station=station, install_id=self.install_id, stamp=stamp)
        self._boots = Boots(self._safety)
        self.outbox = Outbox(
            self._safety,
            install_id=self.install_id,
            on_rows=self._tell,
            on_bad=self._met_bad_rows,
            on_lost=self._gave_up,
            row_limit=limits.event_rows,
        )
        self.telemetry = Telemetry(
            self._telemetry,
            install_id=_identity(self._telemetry),
            on_rows=self._tell,
            row_limit=limits.reading_rows,
        )

        self._tell_of_damage(found)

    def _tell_of_damage(self, found: Salvaged) -> None:
        if self._safety.set_aside:
            self._record(
                EventKind.STORAGE_DAMAGED,
                {"file": self._safety.set_aside.name, "salvaged": found.rows, "was": found.install_id},
            )
        if self._telemetry.set_aside:
            readings = salvage(self._telemetry.set_aside).readings
            self.telemetry.restore(readings)
            self._record(
                EventKind.STORAGE_DAMAGED,
                {"file": self._telemetry.set_aside.name, "salvaged": len(readings)},
            )

    def report(
        self,
        *,
        record: Record,
        damaged: Callable[[], None],
        lost: Callable[[Lane, int, int, int], None],
    ) -> None:
        """Say where to put on record what the store finds out by itself, on any thread.

        Args:
            record: takes events, stamps them, and gives them to this store.
            damaged: an open file turned out to be bad; end the process, its next start sets the file aside.
            lost: events of a lane were given up: how many, the first and the last of them.
        """
        self._record, self._damaged, self._lost = record, damaged, lost

    def listen(self, callback: Callable[[], None]) -> None:
        """Call back, on a writer's thread, whenever rows were added."""
        self._listeners.append(callback)

    def put_event(self, kind: EventKind, data: Mapping[str, Scalar], stamp: Stamp) -> None:
        """Keep an event. Returns at once."""
        self._stamp = stamp
        self.outbox.put_event(kind, data, stamp)

    def put_reading(self, name: str, value: float, stamp: Stamp) -> None:
        """Keep a reading. Returns at once."""
        self.telemetry.put_reading(name, value, stamp)

    def put_result(self, result: Result, *, digest: str = "") -> None:
        """Keep a result and send it until the hub has it. Returns at once."""
        self.outbox.put_result(result, digest=digest)

    def commit_intent(self, cmd_id: str, digest: str, on_done: Callable[[bool], None]) -> None:
        """Put "about to pulse" on disk, then call back from the writer's thread."""
        if self.volatile:
            on_done(False)
            return
        self._answered.commit_intent(cmd_id, digest, on_done)

    def change_mode(
        self,
        change: ModeChange,
        term: Term | None,
        now_ms: Callable[[], int],
        on_done: Callable[[Result | None], None],
    ) -> None:
        """Put a door's mode and the order's final answer on disk in one transaction, then call back as ``put_effect`` does."""
        effect = partial(modes.carry_out, change=change, term=term, now_ms=now_ms)
        self.outbox.put_effect(effect, digest=change.digest, on_done=on_done)

    def keep_modes(self, *, over: Sequence[Term], terms: Sequence[Term]) -> None:
        """Forget the modes that are over, and write what is left of others. Returns at once; what the disk refuses is lost."""
        try:
            future = self._safety.submit(partial(modes.keep, over=over, terms=terms))
        except RuntimeError:
            return
        future.add_done_callback(_tell_refusal)

    def recall_modes(self) -> list[Term]:
        """What was in force when the agent ended."""
        return self._safety.call(modes.recall)

    def recall(self) -> dict[str, Known]:
        """All answered orders, oldest first."""
        return self._answered.recall()

    def acknowledge(self, ack: Ack) -> None:
        """Forget what the hub has committed. Returns at once."""
        self.outbox.acknowledge(ack)
        self.telemetry.acknowledge(ack)

    def keep_anchor(self, stamp: Stamp) -> None:
        """Date this run by a moment of a synchronised clock. Returns at once."""
        self._boots.keep(stamp)

    def anchors(self, boot_ids: Iterable[str], *, but: str) -> list[Anchor]:
        """What dates these runs, without the present one. Never touches the disk."""
        return self._boots.of(boot_ids, but=but)

    @property
    def event_seq(self) -> int:
        """Number of the newest event that is on disk. Never touches it."""
        return self.outbox.tally.seq

    @property
    def kept_from(self) -> int:
        """The oldest event that can still be sent again, acknowledged or not; 0 without one. Never touches the disk."""
        return self.outbox.tally.kept_from

    def resend(self, install_id: str, first: int, last: int) -> None:
        """Send events ``first`` to ``last`` once more; what is gone for good the pump tells. Returns at once."""
        if install_id == self.install_id:
            self.outbox.resend(first, last)

    def health(self) -> StorageStatus:
        """How the disk is. Never touches it."""
        return StorageStatus(
            state="full" if self._state in {"ok", "low"} and self.outbox.refused else self._state,
            free_bytes=self._free_bytes,
            written_bytes_day=self.written_bytes_day,
            events_lost=self.outbox.lost,
            readings_lost=self.telemetry.dropped,
        )

    @property
    def takes_orders(self) -> bool:
        """What becomes of an order could be kept. Never touches the disk."""
        return not self.volatile and self._state not in {"full", "read_only"} and not self.outbox.refused

    @property
    def refusing(self) -> bool:
        """The disk refused the last time something was to be kept."""
        return self.outbox.refused or self.telemetry.failing

    def disk_seen(self, state: State, *, free_bytes: int) -> None:
        """What the watch saw."""
        self._state, self._free_bytes = state, free_bytes

    def write_again(self) -> None:
        """There may be room now: do not wait for the next try."""
        self.outbox.try_again()
        self.telemetry.try_again()

    def thin(self) -> None:
        """Readings first: make room of them."""
        self.telemetry.thin()

    def backlog(self) -> Backlog:
        """Events and results that wait for the hub."""
        return self.outbox.backlog()

    def barrier(self, timeout_s: float) -> bool:
        """Wait until every event and result put before is committed; False when it is not in time."""
        return self.outbox.barrier(timeout_s)

    def close(self) -> None:
        """Write what waits in memory, then close both files."""
        self.outbox.close()
        self.telemetry.close()
        self._safety.close()
        self._telemetry.close()

    def _met_bad_rows(self, rows: int) -> None:
        self._record(EventKind.STORAGE_DAMAGED, {"file": self._safety.path.name, "rows": rows})

    def _gave_up(self, lane: Lane, count: int, first: int, last: int) -> None:
        self._lost(lane, count, first, last)

    def _met_damage(self) -> None:
        self._damaged()

    def _record_as_of_the_last(self, kind: EventKind, data: Mapping[str, Scalar]) -> None:
        self.put_event(kind, data, self._stamp)

    def _tell(self) -> None:
        for callback in self._listeners:
            callback()


def _tell_refusal(future: Future[None]) -> None:
    if (error := future.exception()) is not None:
        _LOG.error("modes_not_kept", extra={"error": repr(error)})


def _identity(writer: Writer) -> str:
    return writer.call(partial(_install_id, fresh=os.urandom(16).hex()))


def _install_id(connection: sqlite3.Connection, *, fresh: str) -> str:
    connection.execute(
        "INSERT OR IGNORE INTO identity (name, value, sum) VALUES ('install_id', ?, ?)",
        (fresh, row_sum("install_id", fresh)),
    )
    (install_id,) = connection.execute("SELECT value FROM identity WHERE name = 'install_id'").fetchone()
    return str(install_id)
