"""How long templates may be kept: where they were made, whether the hub knows of the consent, the day of the last visit.

Tables of ``people.db``, written with the templates. The last visit is a day and no more: there is no log of visits here.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from station_agent.core.retention import Kept, Steps

TABLES: Final = """
    CREATE TABLE keeping (
        person TEXT NOT NULL CONSTRAINT keeping_pk PRIMARY KEY,
        origin TEXT NOT NULL,
        confirmed INTEGER NOT NULL CONSTRAINT keeping_confirmed CHECK (confirmed IN (0, 1)),
        barred_at_ms INTEGER,
        visited_day INTEGER
    ) STRICT;
    CREATE TABLE lapse (
        request_id TEXT NOT NULL CONSTRAINT lapse_pk PRIMARY KEY,
        person TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT;
    INSERT INTO keeping (person, origin, confirmed) SELECT id, '', 0 FROM person WHERE erased_at_ms IS NULL;
"""


class Transactions(Protocol):
    """``PeopleStore``."""

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """All or nothing; calls take turns."""


class Lapse(NamedTuple):
    """Templates that are being destroyed: on disk before they are."""

    request_id: str
    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class Keeping:
    """What ``core.retention`` goes by. Waits for the disk: any thread but the control thread."""

    store: Transactions

    def kept(self) -> list[Kept]:
        """Everybody enrolled, by id."""
        with self.store.transaction() as connection:
            rows = connection.execute(
                "SELECT p.id, k.origin, k.confirmed, k.barred_at_ms, k.visited_day, coalesce(c.roster, 0)"
                " FROM person p JOIN keeping k ON k.person = p.id"
                " LEFT JOIN consent c ON c.person = p.id AND c.given = 1"
                " WHERE p.erased_at_ms IS NULL ORDER BY p.id"
            ).fetchall()
        return [
            Kept(
                person=person,
                origin=origin,
                confirmed=bool(confirmed),
                barred_at_ms=barred_at_ms,
                visited_day=visited_day,
                said_at_roster=roster,
            )
            for person, origin, confirmed, barred_at_ms, visited_day, roster in rows
        ]

    def note(self, steps: Steps) -> None:
        """Keep what was noticed, for the next look."""
        with self.store.transaction() as connection:
            connection.executemany(
                "UPDATE keeping SET confirmed = 1, barred_at_ms = NULL WHERE person = ?",
                [(person,) for person in steps.confirmed],
            )
            connection.executemany(
                "UPDATE keeping SET barred_at_ms = ? WHERE person = ?",
                [(steps.now_ms, person) for person in steps.barred],
            )
            connection.executemany(
                "UPDATE keeping SET barred_at_ms = NULL WHERE person = ?",
                [(person,) for person in steps.let_in_again],
            )
            connection.executemany(
                "UPDATE keeping SET visited_day = ? WHERE person = ?",
                [(steps.today, person) for person in steps.undated],
            )

    def visited(self, person: str, day: int | None) -> None:
        """Somebody came in. Nothing is written when they did so that day before.

        Args:
            person: who; nobody enrolled changes nothing.
            day: days since 1970-01-01; None by a clock that cannot be trusted: the next look dates it.
        """
        with self.store.transaction() as connection:
            connection.execute(
                "UPDATE keeping SET visited_day = ? WHERE person = ? AND visited_day IS NOT ?",
                (day, person, day),
            )

    def begin_lapse(self, lapse: Lapse) -> None:
        """Put on disk that a person's templates are to be destroyed, before they are."""
        with self.store.transaction() as connection:
            connection.execute("INSERT INTO lapse VALUES (?, ?, ?)", lapse)

    def unfinished(self) -> Sequence[Lapse]:
        """Cut off by a crash."""
        with self.store.transaction() as connection:
            return [Lapse(*row) for row in connection.execute("SELECT request_id, person, reason FROM lapse")]

    def finish_lapse(self, request_id: str) -> None:
        """Destroyed, and told."""
        with self.store.transaction() as connection:
            connection.execute("DELETE FROM lapse WHERE request_id = ?", (request_id,))


def begin(connection: sqlite3.Connection, person: str, *, origin: str) -> None:
    """Templates were stored: here when ``origin`` is empty, else brought from that station with the roster's leave."""
    connection.execute(
        "INSERT OR REPLACE INTO keeping (person, origin, confirmed) VALUES (?, ?, ?)",
        (person, origin, bool(origin)),
    )


def end(connection: sqlite3.Connection, person: str) -> None:
    """The templates are gone."""
    connection.execute("DELETE FROM keeping WHERE person = ?", (person,))
