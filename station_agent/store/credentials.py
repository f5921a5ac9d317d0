"""PINs, counted passes, failed attempts and open erasures: what the ways in without a face must not forget.

Two threads of its own: one writes, so that a use of a pass is on disk before the door opens; one hashes, so that a PIN
neither holds up the control thread nor the disk. Both answer through a callback on their thread. Calls that return a
value wait for the disk and come from anywhere but the control thread.
"""

import hmac
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Final

from firmware_config.passes import Pass
from station_agent.clock import Stamp
from station_agent.core import pins
from station_agent.core.lockout import Subject
from station_agent.core.passes import Counted, PassRefusal
from station_agent.core.pins import PinFault, PinRecord, PinVerdict
from station_agent.core.policy import Refusal
from station_agent.store.credential_file import CredentialFile, Erasures, later
from station_agent.store.gallery_key import gallery_key

_LOG = logging.getLogger(__name__)

_EXHAUSTED: Final = 2**31
"""More uses than any pass allows: what an erased person's passes are set to."""

_WHENEVER: Final = 2**53
"""The counts were lost, at a time this station does not know yet: later than any pass."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the control thread begins with.

    Attributes:
        tallies: failures in a row, for ``Lockout``.
        group_entered_ms: by group, for ``Entries``.
        guests: by day, for ``Entries``.
    """

    tallies: Mapping[Subject, int]
    group_entered_ms: Mapping[str, int]
    guests: Mapping[str, int]


class Credentials:
    """One for the station.

    Attributes:
        set_aside: where a damaged file was moved: PINs must be set anew, and counted passes issued anew.
        key_lost: the key that PINs were hashed with is gone, since the last start: they must be set anew.
        erasures: requests to erase a person, in the same file.
    """

    def __init__(self, path: Path, key_file: Path, *, station: str, at: Stamp) -> None:
        """Open both, making what is missing.

        Args:
            path: the database.
            key_file: 32 random bytes that PINs are hashed with; keep it out of backups of ``path``.
            station: own id.
            at: this moment.

        Raises:
            GalleryKeyError: the key cannot be used.
            StoreError: the database cannot be used.
        """
        secret, moved = gallery_key(key_file)
        self._pepper = hmac.digest(secret, b"yizhan/pins/1", "sha256")
        self._station = station
        self._file = CredentialFile(path)
        self.erasures = Erasures(self._file)
        self.set_aside = self._file.set_aside
        # by the moved file, not by the moving: a crash in between must not bring spent passes back
        if any(path.parent.glob(f"{path.name}.damaged-*")):
            with self._file.transaction() as connection:
                connection.execute("INSERT OR IGNORE INTO loss (id, wall_ms) VALUES (1, NULL)")
        orphaned = self._drop_orphans(hmac.digest(secret, b"yizhan/pins/check/1", "sha256"))
        self.key_lost = orphaned or moved is not None
        self._lost_ms = self._date_loss(at)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store:credentials")
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="pins")

    # PINs

    def _drop_orphans(self, check: bytes) -> bool:
        """PINs hashed with another key than today's can never be right again, and would lock their owners out."""
        with self._file.transaction() as connection:
            row = connection.execute("SELECT value FROM key_check").fetchone()
            same = row is None or row[0] == check
            if not same:
                connection.execute("DELETE FROM pin")
            connection.execute("INSERT OR REPLACE INTO key_check (id, value) VALUES (1, ?)", (check,))
        if not same:
            _LOG.error("pin_key_changed")
        return not same

    def set_pin(
        self, person: str, pin: str, *, number: str | None, duress: str | None = None
    ) -> PinFault | None:
        """Keep a PIN in place of the one before. Hashes up to twice.

        Args:
            person: whose.
            pin: six digits.
            number: the person's number, which a PIN must not repeat.
            duress: opens as the PIN does and raises a silent event.

        Returns:
            Why it cannot be chosen; None when it is kept.

        Raises:
            sqlite3.Error: the disk refused; nothing was changed.
        """
        if (fault := pins.fault(pin, number=number, duress=duress)) is not None:
            return fault
        salt = os.urandom(pins.SALT_BYTES)
        digest = self._derive(person, pin, salt)
        other = os.urandom(pins.DIGEST_BYTES) if duress is None else self._derive(person, duress, salt)
        with self._file.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO pin (person, salt, digest, duress, scheme) VALUES (?, ?, ?, ?, ?)",
                (person, salt, digest, other, pins.SCHEME),
            )
        _LOG.info("pin_set", extra={"person": person})
        return None

    def has_pin(self, person: str) -> bool:
        """Whether a PIN is kept for a person."""
        with self._file.transaction() as connection:
            return connection.execute("SELECT 1 FROM pin WHERE person = ?", (person,)).fetchone() is not None

    def check_pin(
        self,
        person: str | None,
        pin: str,
        tallies: Mapping[Subject, int],
        on_done: Callable[[PinVerdict | None], None],
    ) -> None:
        """Judge an entry. Returns at once; ``on_done`` hears from the hashing thread.

        Args:
            person: of the number typed; None for an unknown number, which costs as much and is always wrong.
            pin: as typed.
            tallies: counts as ``Lockout.charge`` gave them; they are on disk before anything is judged.
            on_done: None means that the disk refused, so nothing was judged.
        """
        later(self._hasher, partial(self._check_pin, person, pin, tallies), on_done)

    def _check_pin(self, person: str | None, pin: str, tallies: Mapping[Subject, int]) -> PinVerdict:
        with self._file.transaction() as connection:
            _put_tallies(connection, tallies)
            row = connection.execute(
                "SELECT salt, digest, duress, scheme FROM pin WHERE person = ?", (person,)
            ).fetchone()
        record = None if row is None else PinRecord(*row)
        salt = bytes(pins.SALT_BYTES) if record is None else record.salt
        return pins.judge(record, self._derive(person or "", pin, salt))

    def _derive(self, person: str, pin: str, salt: bytes) -> bytes:
        return pins.derive(pin, person=person, station=self._station, salt=salt, pepper=self._pepper)

    # Passes and counts

    def counted(self, number: str) -> Counted:
        """What is known of a pass."""
        with self._file.transaction() as connection:
            row = connection.execute("SELECT used FROM pass_use WHERE pass = ?", (number,)).fetchone()
        return Counted(used=0 if row is None else row[0], lost_ms=self._lost_ms)

    @property
    def lost_ms(self) -> int | None:
        """When earlier counts were lost, for ``Counted``; None when they never were."""
        return self._lost_ms

    def spend(
        self,
        body: Pass,
        *,
        day: date,
        guest_cap: int,
        on_done: Callable[[PassRefusal | Refusal | bool], None],
    ) -> None:
        """Count one use of a pass, and one guest. Returns at once.

        Args:
            body: verified and judged.
            day: the station's date, for guests.
            guest_cap: most guests on it.
            on_done: hears from the writing thread: True, the use is on disk and the door may open; why it may not; or
                False, the disk refused.
        """
        job = partial(self._spend, body, day.isoformat(), guest_cap)
        later(self._writer, job, lambda spent: on_done(False if spent is None else spent))

    def _spend(self, body: Pass, day: str, guest_cap: int) -> PassRefusal | Refusal | bool:
        limit = body.uses or _EXHAUSTED
        with self._file.transaction() as connection:
            row = connection.execute("SELECT used FROM pass_use WHERE pass = ?", (body.number,)).fetchone()
            if row is not None and row[0] >= limit:
                return PassRefusal.REPLAYED
            if body.guest and not _admit_guest(connection, day, guest_cap):
                return Refusal.GUEST_CAP
            connection.execute(
                "INSERT INTO pass_use (pass, holder, used) VALUES (?, ?, 1)"
                " ON CONFLICT (pass) DO UPDATE SET used = used + 1",
                (body.number, body.holder),
            )
        return True

    def keep_tallies(self, tallies: Mapping[Subject, int]) -> None:
        """Keep counts as ``Lockout`` gave them; 0 forgets. Returns at once.

        On the hashing thread, so that it never overtakes the count of an attempt that is being judged.
        """
        later(self._hasher, partial(self._keep_tallies, dict(tallies)), _ignore)

    def count(self, tallies: Mapping[Subject, int]) -> None:
        """As ``keep_tallies``, and on disk when it returns.

        Raises:
            sqlite3.Error: the disk refused, or the store is closed; nothing was changed.
        """
        try:
            self._hasher.submit(self._keep_tallies, dict(tallies)).result()
        except RuntimeError as error:
            raise sqlite3.OperationalError("the store is closed") from error

    def _keep_tallies(self, tallies: Mapping[Subject, int]) -> None:
        with self._file.transaction() as connection:
            _put_tallies(connection, tallies)

    def keep_group_entries(self, entered_ms: Mapping[str, int]) -> None:
        """Keep groups' latest entries as ``Entries`` gave them. Returns at once."""
        later(self._writer, partial(self._keep_group_entries, dict(entered_ms)), _ignore)

    def _keep_group_entries(self, entered_ms: Mapping[str, int]) -> None:
        with self._file.transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO group_entry (name, wall_ms) VALUES (?, ?)", list(entered_ms.items())
            )

    def remembered(self) -> Remembered:
        """Everything the control thread begins with."""
        with self._file.transaction() as connection:
            tallies = connection.execute("SELECT method, scope, id, failures FROM tally").fetchall()
            groups = connection.execute("SELECT name, wall_ms FROM group_entry").fetchall()
            guests = connection.execute("SELECT day, admitted FROM guest_day").fetchall()
        return Remembered(
            tallies={Subject(method, scope, name): failures for method, scope, name, failures in tallies},
            group_entered_ms=dict(groups),
            guests=dict(guests),
        )

    def settle_loss(self, at: Stamp) -> None:
        """The clock is synchronised: date a loss of counts that had no date yet. Harmless otherwise."""
        if self._lost_ms == _WHENEVER:
            self._lost_ms = self._date_loss(at)

    def _date_loss(self, at: Stamp) -> int | None:
        with self._file.transaction() as connection:
            if at.trust == "synced":
                connection.execute("UPDATE loss SET wall_ms = ? WHERE wall_ms IS NULL", (at.wall_ms,))
            row = connection.execute("SELECT wall_ms FROM loss").fetchone()
        if row is None:
            return None
        return _WHENEVER if row[0] is None else int(row[0])

    def erase(self, person: str) -> bool:
        """Destroy a person's PIN and counts. Passes of theirs that were seen here are used up, and no longer theirs.

        Returns:
            False when nothing was kept of them.

        Raises:
            sqlite3.Error: the disk refused; nothing was changed.
        """
        with self._file.transaction() as connection:
            changes = [
                connection.execute("DELETE FROM pin WHERE person = ?", (person,)),
                connection.execute("DELETE FROM tally WHERE scope = 'person' AND id = ?", (person,)),
                connection.execute(
                    "UPDATE pass_use SET holder = '', used = ? WHERE holder = ?", (_EXHAUSTED, person)
                ),
            ]
        self._file.fold()
        return any(change.rowcount > 0 for change in changes)

    def close(self) -> None:
        """Finish what was handed in, then close the file and give up its lock."""
        self._hasher.shutdown()
        self._writer.shutdown()
        self._file.close()


def _put_tallies(connection: sqlite3.Connection, tallies: Mapping[Subject, int]) -> None:
    for subject, failures in tallies.items():
        if failures:
            connection.execute("INSERT OR REPLACE INTO tally VALUES (?, ?, ?, ?)", (*subject, failures))
        else:
            connection.execute("DELETE FROM tally WHERE method = ? AND scope = ? AND id = ?", subject)


def _admit_guest(connection: sqlite3.Connection, day: str, cap: int) -> bool:
    connection.execute("DELETE FROM guest_day WHERE day != ?", (day,))
    connection.execute("INSERT OR IGNORE INTO guest_day (day, admitted) VALUES (?, 0)", (day,))
    admitted = connection.execute(
        "UPDATE guest_day SET admitted = admitted + 1 WHERE day = ? AND admitted < ?", (day, cap)
    )
    return admitted.rowcount == 1


def _ignore(_: object) -> None:
    """A count that could not be kept is logged by its thread; it is still held in memory."""
