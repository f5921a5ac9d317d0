"""Enrolled people and their encrypted templates. Face data stays at the station: no image, and no template in the clear.

Each template is sealed by AES-256-GCM under this station's gallery key, bound to person, station, engine, weights and
number: a row copied to another person, station or engine does not open. What does not open denies its person, and only
them. Calls wait for the disk, so they come from anywhere but the control thread.
"""

import hashlib
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from station_agent.errors import AgentError
from station_agent.store import consents, copies, keeping
from station_agent.store.consents import Said, UsedCode
from station_agent.store.copies import Origin
from station_agent.store.db import Schema, open_database
from station_agent.store.gallery_key import gallery_key

log = logging.getLogger(__name__)

SCHEMA: Final = Schema(
    synchronous="FULL",
    migrations=(
        """
        CREATE TABLE person (
            id TEXT NOT NULL,
            enrolled_at_ms INTEGER NOT NULL,
            consent TEXT NOT NULL,
            erased_at_ms INTEGER,
            CONSTRAINT person_pk PRIMARY KEY (id)
        ) STRICT;
        CREATE TABLE template (
            person TEXT NOT NULL,
            number INTEGER NOT NULL,
            engine TEXT NOT NULL,
            digest TEXT NOT NULL,
            nonce BLOB NOT NULL,
            sealed BLOB NOT NULL,
            CONSTRAINT template_pk PRIMARY KEY (person, engine, digest, number),
            CONSTRAINT template_person_fk FOREIGN KEY (person) REFERENCES person (id),
            CONSTRAINT template_nonce_length CHECK (length(nonce) = 12)
        ) STRICT;
        """,
        consents.TABLES,
        keeping.TABLES + copies.TABLES,
    ),
)

TEMPLATE_VERSION: Final = 1
"""Of the bytes that are sealed: float32, little-endian, as the engine made them."""

PERSON_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
"""A pseudonymous id, made by the hub. No name, and none of the characters that join the sealed data's binding."""

_NONCE_BYTES: Final = 12
"""AES-256-GCM with random nonces of 96 bits: far below 2^32 sealings under one key (NIST SP 800-38D, 8.3)."""


class CodeUsedError(AgentError, ValueError):
    """An enrolment code is used a second time."""

    def __init__(self) -> None:
        super().__init__("this enrolment code was used before")


class TemplateDamagedError(AgentError, RuntimeError):
    """A person's template does not open: altered, or sealed under another key.

    Attributes:
        person: who cannot be recognised until enrolled again.
    """

    def __init__(self, person: str, number: int) -> None:
        self.person = person
        super().__init__(
            f"template {number} of person {person} does not open: altered, or sealed by another key"
        )


@dataclass(frozen=True, slots=True)
class Person:
    """One enrolled person.

    Attributes:
        enrolled_at_ms: milliseconds since the Unix epoch.
        consent: reference of the consent record the hub holds.
    """

    id: str
    enrolled_at_ms: int
    consent: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What can be recognised by one engine, and what was found damaged.

    Attributes:
        rows: person and their vectors, shape (K, D), float32.
        damaged: one error per person left out.
    """

    rows: Sequence[tuple[str, NDArray[np.float32]]]
    damaged: Sequence[TemplateDamagedError]


class PeopleStore:
    """The station's people, in a file and under a key of their own. Any thread; calls take turns.

    Attributes:
        set_aside: where a damaged file, or its key, was moved when this one was opened: everybody must be enrolled anew.
    """

    def __init__(self, path: Path, key_file: Path, *, station: str) -> None:
        """Open both, making what is missing.

        Args:
            path: the database.
            key_file: 32 random bytes, readable by the agent alone; keep it out of backups of ``path``.
            station: whose templates these are; those of another station do not open.

        Raises:
            GalleryKeyError: the key cannot be used.
            StoreError: the database cannot be used.
        """
        key = gallery_key(key_file)
        self._cipher = AESGCM(key.secret)
        self._station = station
        self._turn = threading.Lock()
        self._closed = False
        self._opened = open_database(path, SCHEMA)
        self.set_aside = self._opened.set_aside or key.set_aside
        # erased rows are overwritten with zeros, not only unlinked
        self._opened.connection.execute("PRAGMA secure_delete = ON")

    def enrol(
        self,
        person: Person,
        templates: NDArray[np.float32],
        *,
        engine: str,
        digest: str,
        said: Said | None = None,
        code: UsedCode | None = None,
        origin: Origin | None = None,
    ) -> None:
        """Keep a person's templates of one engine, in place of those they had of it.

        Args:
            person: a person erased before may be enrolled anew, with a new consent.
            templates: shape (K, D), K >= 1.
            engine: its name.
            digest: of its weights.
            said: what they said at the kiosk, kept with the templates.
            code: the enrolment code, used up with it.
            origin: the station the templates came from; None when they were made here.

        Raises:
            CodeUsedError: the code was used before; nothing was changed.
            ValueError: an id that is not pseudonymous, or no template.
            sqlite3.Error: the disk refused; nothing was changed.
        """
        if not PERSON_PATTERN.fullmatch(person.id):
            raise ValueError(
                f"{person.id!r} is not a person's id: lower-case letters, digits and hyphens, at most 64"
            )
        if templates.ndim != 2 or not len(templates):  # noqa: PLR2004 (rows and columns)
            raise ValueError(f"templates of shape {templates.shape} where (K, D) is expected")
        sealed = list(self._seal(person.id, engine, digest, templates))
        with self.transaction() as connection:
            if code is not None and not consents.use(connection, code, now_ms=person.enrolled_at_ms):
                raise CodeUsedError
            _enrol(connection, person, engine, digest, sealed)
            keeping.begin(connection, person.id, origin=origin.station if origin else "")
            if origin is not None:
                copies.took(connection, person.id, origin)
            if said is not None:
                consents.put(connection, person.id, said)
        log.info("person_enrolled", extra={"person": person.id, "templates": len(sealed)})

    def erase(
        self, person: str, *, erased_at_ms: int, said: Said | None = None, code: UsedCode | None = None
    ) -> bool:
        """Destroy a person's templates. What stays is that there was such an id, and when it went.

        Args:
            person: whose.
            erased_at_ms: milliseconds since the Unix epoch.
            said: that they withdrew, when they did so at the kiosk; nothing else they said is kept.
            code: the enrolment code they proved themselves with, used up with it.

        Returns:
            False when nobody of that id is enrolled.

        Raises:
            sqlite3.Error: the disk refused; nothing was changed.
        """
        with self.transaction() as connection:
            if code is not None:
                consents.use(connection, code, now_ms=erased_at_ms)
            erased = _erase(connection, person, erased_at_ms)
            keeping.end(connection, person)
            copies.end(connection, person)
            if said is None:
                consents.forget(connection, person)
            else:
                consents.put(connection, person, said)
        if erased:
            with self._turn:
                # the log still holds the pages as they were: fold it in and cut it to nothing
                self._opened.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            log.info("person_erased", extra={"person": person})
        return erased

    def people(self) -> list[Person]:
        """Everybody enrolled, by id."""
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT id, enrolled_at_ms, consent FROM person WHERE erased_at_ms IS NULL ORDER BY id"
            ).fetchall()
        return [Person(*row) for row in rows]

    def said(self) -> dict[str, Said]:
        """By person, the latest they said at this kiosk."""
        with self.transaction() as connection:
            return consents.every(connection)

    def used(self, digest: str) -> bool:
        """Whether an enrolment code was used here."""
        with self.transaction() as connection:
            return consents.used(connection, digest)

    def sealed_digests(self) -> list[tuple[str, list[bytes]]]:
        """Everybody enrolled, with the SHA-256 of each of their sealed templates: for the root of an erasure receipt."""
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT p.id, t.sealed FROM person p LEFT JOIN template t ON t.person = p.id"
                " WHERE p.erased_at_ms IS NULL ORDER BY p.id"
            ).fetchall()
        digests: dict[str, list[bytes]] = {}
        for person, sealed in rows:
            kept = digests.setdefault(person, [])
            if sealed is not None:
                kept.append(hashlib.sha256(sealed).digest())
        return list(digests.items())

    def load(self, engine: str, digest: str) -> Loaded:
        """Open the templates of one engine and weights; those of others stay closed.

        A person of whom any template does not open is left out altogether.
        """
        with self.transaction() as connection:
            sealed = _sealed(connection, engine, digest)
        rows: dict[str, list[NDArray[np.float32]]] = {}
        damaged: dict[str, TemplateDamagedError] = {}
        for template in sealed:
            try:
                opened = self._open(template, engine, digest)
            except TemplateDamagedError as error:
                log.error("template_damaged", extra={"person": error.person, "template": template.number})  # noqa: TRY400 (an expected fact, not a fault of the code)
                damaged.setdefault(error.person, error)
            else:
                rows.setdefault(template.person, []).append(opened)
        whole = [(person, np.stack(vectors)) for person, vectors in rows.items() if person not in damaged]
        return Loaded(rows=whole, damaged=tuple(damaged.values()))

    def close(self) -> None:
        """Close the file and give up its lock. A second call does nothing."""
        with self._turn:
            if not self._closed:
                self._closed = True
                self._opened.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, for the tables kept beside the templates; calls take turns."""
        connection = self._opened.connection
        with self._turn:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # a full disk rolls back by itself
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _binding(self, person: str, engine: str, digest: str, number: int) -> bytes:
        parts = (person, self._station, engine, digest, str(TEMPLATE_VERSION), str(number))
        return "|".join(parts).encode()

    def _seal(self, person: str, engine: str, digest: str, rows: NDArray[np.float32]) -> Iterator["_Sealed"]:
        for number, row in enumerate(rows):
            nonce = os.urandom(_NONCE_BYTES)
            content = np.asarray(row, dtype="<f4").tobytes()
            binding = self._binding(person, engine, digest, number)
            yield _Sealed(person, number, nonce, self._cipher.encrypt(nonce, content, binding))

    def _open(self, sealed: "_Sealed", engine: str, digest: str) -> NDArray[np.float32]:
        binding = self._binding(sealed.person, engine, digest, sealed.number)
        try:
            clear = self._cipher.decrypt(sealed.nonce, sealed.content, binding)
        except (InvalidTag, ValueError) as error:
            raise TemplateDamagedError(sealed.person, sealed.number) from error
        return np.frombuffer(clear, dtype="<f4").astype(np.float32)


class _Sealed(NamedTuple):
    person: str
    number: int
    nonce: bytes
    content: bytes


def _enrol(
    connection: sqlite3.Connection,
    person: Person,
    engine: str,
    digest: str,
    sealed: Iterable[_Sealed],
) -> None:
    connection.execute(
        "INSERT INTO person (id, enrolled_at_ms, consent) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "enrolled_at_ms = excluded.enrolled_at_ms, consent = excluded.consent, erased_at_ms = NULL",
        (person.id, person.enrolled_at_ms, person.consent),
    )
    connection.execute(
        "DELETE FROM template WHERE person = ? AND engine = ? AND digest = ?", (person.id, engine, digest)
    )
    connection.executemany(
        "INSERT INTO template (person, number, engine, digest, nonce, sealed) VALUES (?, ?, ?, ?, ?, ?)",
        [(person.id, row.number, engine, digest, row.nonce, row.content) for row in sealed],
    )


def _erase(connection: sqlite3.Connection, person: str, erased_at_ms: int) -> bool:
    connection.execute("DELETE FROM template WHERE person = ?", (person,))
    marked = connection.execute(
        "UPDATE person SET erased_at_ms = ?, consent = '' WHERE id = ? AND erased_at_ms IS NULL",
        (erased_at_ms, person),
    )
    return marked.rowcount == 1


def _sealed(connection: sqlite3.Connection, engine: str, digest: str) -> list[_Sealed]:
    rows = connection.execute(
        "SELECT t.person, t.number, t.nonce, t.sealed FROM template t JOIN person p ON p.id = t.person "
        "WHERE t.engine = ? AND t.digest = ? AND p.erased_at_ms IS NULL ORDER BY t.person, t.number",
        (engine, digest),
    )
    return [_Sealed(*row) for row in rows]
