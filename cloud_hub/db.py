"""The database: engine, naming convention, and a time type that refuses to be naive. SQLite and PostgreSQL alike."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from cloud_hub.settings import Hub

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in Python, on every database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone: whose midnight would it be?"""
        if value is None:
            return None
        if value.tzinfo is None:
            message = f"naive time {value.isoformat()}"
            raise ValueError(message)
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give SQLite's text its zone back."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


BigId = BigInteger().with_variant(Integer, "sqlite")
"""A row number. SQLite counts up by itself only in a column of type INTEGER."""


class Base(DeclarativeBase):
    """Root of all tables."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 (declarative)


def _dumps(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_JSON: dict[str, Any] = {"json_serializer": _dumps, "json_deserializer": msgspec.json.decode}


def utc_now() -> datetime:
    """This moment on the hub's clock."""
    return datetime.now(UTC)


def make_engine(url: str | URL) -> Engine:
    """An engine with the settings that this project's guarantees rest on."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": 15}, **_JSON)
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", _begin_immediately)
        return engine
    return create_engine(parsed, pool_size=10, max_overflow=40, pool_pre_ping=True, **_JSON)


def url_of(hub: Hub) -> URL:
    """Address of the hub's database, with its password from the file that the settings name.

    Raises:
        OSError: the password file cannot be read.
    """
    url = make_url(hub.database_url)
    if (file := hub.settings.database_password_file) is not None:
        url = url.set(password=hub.beside(file).read_text(encoding="utf-8").strip())
    return url


def whole_views(engine: Engine) -> Engine:
    """The same engine, each of whose transactions sees the database as of one moment, as SQLite's always do."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ")


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)


def _tune_sqlite(connection: Any, _record: object) -> None:
    """WAL so that readers never wait for a writer; FULL so that a commit survives a power cut (safety.md D3)."""
    # Transactions are begun by `_begin_immediately`, not by the driver at the first INSERT.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=15000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediately(connection: Any) -> None:
    """Take the write lock first: a reader that turns writer half-way would fail with SQLITE_BUSY at once."""
    options = connection.get_execution_options()
    connection.exec_driver_sql("BEGIN" if options.get("read_only") else "BEGIN IMMEDIATE")
