"""What people said at this kiosk, and which enrolment codes are used up: tables of ``people.db``, written with the templates.

A code and the template it brought are one transaction, so that a power cut leaves both or neither.
"""

import sqlite3
from dataclasses import dataclass
from typing import Final

from station_agent.core.consents import Word

TABLES: Final = """
    CREATE TABLE consent (
        person TEXT NOT NULL CONSTRAINT consent_pk PRIMARY KEY,
        given INTEGER NOT NULL CONSTRAINT consent_given CHECK (given IN (0, 1)),
        notice INTEGER NOT NULL,
        replication INTEGER NOT NULL CONSTRAINT consent_replication CHECK (replication IN (0, 1)),
        said_at_ms INTEGER NOT NULL,
        roster INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE used_code (
        digest TEXT NOT NULL CONSTRAINT used_code_pk PRIMARY KEY,
        expires_ms INTEGER NOT NULL
    ) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a person said at the kiosk.

    Attributes:
        given: agreed to the use of their face; False: withdrawn.
        notice: version of the notice that was shown.
        replication: the second consent: the face may serve at other stations.
        said_at_ms: milliseconds since the Unix epoch.
        roster: version of the roster in force; 0 without one.
    """

    given: bool
    notice: int
    replication: bool
    said_at_ms: int
    roster: int

    @property
    def reference(self) -> str:
        """As it is kept with the templates."""
        return f"kiosk:{self.notice}:{self.said_at_ms}"

    @property
    def word(self) -> Word:
        """As decisions need it."""
        return Word(given=self.given, notice=self.notice, roster=self.roster)


@dataclass(frozen=True, slots=True)
class UsedCode:
    """An enrolment code that counts no more.

    Attributes:
        digest: as the roster has it.
        expires_ms: when it would have expired; then it can be forgotten.
    """

    digest: str
    expires_ms: int


def put(connection: sqlite3.Connection, person: str, said: Said) -> None:
    """Keep a person's latest word."""
    connection.execute(
        "INSERT OR REPLACE INTO consent (person, given, notice, replication, said_at_ms, roster)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (person, said.given, said.notice, said.replication, said.said_at_ms, said.roster),
    )


def forget(connection: sqlite3.Connection, person: str) -> None:
    """The person was erased: nothing of what they said is left."""
    connection.execute("DELETE FROM consent WHERE person = ?", (person,))


def every(connection: sqlite3.Connection) -> dict[str, Said]:
    """Latest words by person."""
    rows = connection.execute("SELECT person, given, notice, replication, said_at_ms, roster FROM consent")
    return {
        person: Said(
            given=bool(given),
            notice=notice,
            replication=bool(replication),
            said_at_ms=said_at_ms,
            roster=roster,
        )
        for person, given, notice, replication, said_at_ms, roster in rows
    }


def use(connection: sqlite3.Connection, code: UsedCode, *, now_ms: int) -> bool:
    """Use a code up. False when it was used before.

    Args:
        connection: in a transaction.
        code: whose entry the roster has.
        now_ms: by a synchronised clock; codes that expired before are forgotten.
    """
    connection.execute("DELETE FROM used_code WHERE expires_ms < ?", (now_ms,))
    added = connection.execute(
        "INSERT OR IGNORE INTO used_code (digest, expires_ms) VALUES (?, ?)", (code.digest, code.expires_ms)
    )
    return added.rowcount == 1


def used(connection: sqlite3.Connection, digest: str) -> bool:
    """Whether a code was used at this station."""
    found = connection.execute("SELECT 1 FROM used_code WHERE digest = ?", (digest,)).fetchone()
    return found is not None
