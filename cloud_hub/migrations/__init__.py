"""Brings a database to the tables of this release. Each revision works with the release before it."""

import threading
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from cloud_hub.db import make_engine, url_of
from cloud_hub.errors import HubError
from cloud_hub.settings import Hub

_LOCK: Final = 0x79_7A_6D_67
"""PostgreSQL advisory lock: two processes that upgrade at once do it one after the other."""


_ALEMBIC: Final = threading.Lock()
"""Alembic keeps the migration under way in a variable of the module."""


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, without a file of its own."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """Newest revision of this release."""
    revision = ScriptDirectory.from_config(configuration()).get_current_head()
    assert revision is not None  # noqa: S101 (versions/ is never empty)
    return revision


def current(engine: Engine) -> str | None:
    """Revision of a database, None when it was never set up."""
    with engine.execution_options(read_only=True).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Engine | URL | str) -> None:
    """Apply what is missing, all of it or nothing."""
    engine = database if isinstance(database, Engine) else make_engine(database)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            with _ALEMBIC:
                command.upgrade(configuration(connection), "head")
    finally:
        if engine is not database:
            engine.dispose()


def open_engine(hub: Hub) -> Engine:
    """The hub's database, checked.

    Raises:
        HubError: it is not reachable, or not of this release.
    """
    try:
        engine = make_engine(url_of(hub))
    except OSError as error:
        raise HubError(f"{error.filename}: {error.strerror}") from error
    address = engine.url.render_as_string(hide_password=True)
    try:
        revision = current(engine)
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        raise HubError(f"database {address} cannot be used: {reason}") from error
    if revision != head():
        raise HubError(
            f"database {address} is at revision {revision}, this release needs {head()}: run cloud-hub db upgrade"
        )
    return engine
