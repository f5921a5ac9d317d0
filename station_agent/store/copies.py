"""Sealed templates for other stations, until the hub has them, and how new the newest was that came from elsewhere.

Tables of ``people.db``, written with the templates: whoever is erased leaves nothing waiting to be sent.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from station_agent.store.keeping import Transactions

TABLES: Final = """
    CREATE TABLE outgoing (
        person TEXT NOT NULL,
        peer TEXT NOT NULL,
        id TEXT NOT NULL CONSTRAINT outgoing_id UNIQUE,
        enrolled_ms INTEGER NOT NULL,
        replication INTEGER NOT NULL,
        receiver_key TEXT NOT NULL,
        sealed TEXT,
        CONSTRAINT outgoing_pk PRIMARY KEY (person, peer)
    ) STRICT;
    CREATE TABLE received (
        person TEXT NOT NULL CONSTRAINT received_pk PRIMARY KEY,
        sealed_ms INTEGER NOT NULL,
        id TEXT NOT NULL
    ) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where templates came from.

    Attributes:
        sealed_ms: when they were sealed there; only a later sealing may replace them.
        id: of the replica.
    """

    station: str
    sealed_ms: int
    id: str


class Basis(NamedTuple):
    """What a copy was made of; when any of it changes, another one is due.

    Attributes:
        enrolled_ms: when the templates were made.
        replication: version of the replication notice agreed to.
        receiver_key: base64.
    """

    enrolled_ms: int
    replication: int
    receiver_key: str


class Waiting(NamedTuple):
    """A copy the hub has not acknowledged."""

    id: str
    person: str
    peer: str
    sealed: str


Copies = Mapping[tuple[str, str], Basis]
"""By person and peer."""


@dataclass(frozen=True, slots=True)
class CopyBook:
    """Reads and writes both tables. Waits for the disk: any thread but the control thread."""

    store: Transactions

    def made_here(self) -> dict[str, int]:
        """Everybody whose templates were made at this station, and when, in milliseconds since the Unix epoch."""
        with self.store.transaction() as connection:
            return dict(
                connection.execute(
                    "SELECT p.id, p.enrolled_at_ms FROM person p JOIN keeping k ON k.person = p.id"
                    " WHERE p.erased_at_ms IS NULL AND k.origin = ''"
                ).fetchall()
            )

    def copies(self) -> dict[tuple[str, str], Basis]:
        """Every copy that was made, sent or not."""
        with self.store.transaction() as connection:
            rows = connection.execute(
                "SELECT person, peer, enrolled_ms, replication, receiver_key FROM outgoing"
            ).fetchall()
        return {(person, peer): Basis(*basis) for person, peer, *basis in rows}

    def put(self, copy: Waiting, basis: Basis) -> None:
        """Keep one to be sent, in place of the one before it; nothing when the person was erased meanwhile."""
        with self.store.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO outgoing (person, peer, id, enrolled_ms, replication, receiver_key, sealed)"
                " SELECT ?, ?, ?, ?, ?, ?, ? FROM person WHERE id = ? AND erased_at_ms IS NULL",
                (copy.person, copy.peer, copy.id, *basis, copy.sealed, copy.person),
            )

    def drop(self, names: Iterable[tuple[str, str]]) -> None:
        """Forget copies that may not be sent any more, by person and peer."""
        with self.store.transaction() as connection:
            connection.executemany("DELETE FROM outgoing WHERE person = ? AND peer = ?", list(names))

    def waiting(self, limit: int) -> Sequence[Waiting]:
        """Copies the hub has not acknowledged."""
        with self.store.transaction() as connection:
            rows = connection.execute(
                "SELECT id, person, peer, sealed FROM outgoing WHERE sealed IS NOT NULL ORDER BY rowid LIMIT ?",
                (limit,),
            ).fetchall()
        return [Waiting(*row) for row in rows]

    def acknowledged(self, ids: Iterable[str]) -> None:
        """The hub carries these on: their ciphertext is not needed here any more."""
        with self.store.transaction() as connection:
            connection.executemany(
                "UPDATE outgoing SET sealed = NULL WHERE id = ?", [(name,) for name in ids]
            )

    def newest(self, person: str) -> tuple[int, str]:
        """When the newest replica of a person that was taken was sealed, and its id; 0 and empty before the first."""
        with self.store.transaction() as connection:
            row = connection.execute(
                "SELECT sealed_ms, id FROM received WHERE person = ?", (person,)
            ).fetchone()
        return (0, "") if row is None else (row[0], row[1])

    def erased_at_ms(self, person: str) -> int | None:
        """When the person was erased here; None when they are enrolled or never were."""
        with self.store.transaction() as connection:
            row = connection.execute("SELECT erased_at_ms FROM person WHERE id = ?", (person,)).fetchone()
        return None if row is None else row[0]

    def withdrew_at_roster(self, person: str) -> int | None:
        """Version of the roster that was in force when the person last withdrew at this kiosk; None when they did not."""
        with self.store.transaction() as connection:
            row = connection.execute(
                "SELECT roster FROM consent WHERE person = ? AND given = 0", (person,)
            ).fetchone()
        return None if row is None else int(row[0])


def took(connection: sqlite3.Connection, person: str, origin: Origin) -> None:
    """Templates from elsewhere were stored. This stays when they are erased, so that no older ones come back."""
    connection.execute(
        "INSERT OR REPLACE INTO received (person, sealed_ms, id) VALUES (?, ?, ?)",
        (person, origin.sealed_ms, origin.id),
    )


def end(connection: sqlite3.Connection, person: str) -> None:
    """The templates are gone: no copy may be sent."""
    connection.execute("DELETE FROM outgoing WHERE person = ?", (person,))
