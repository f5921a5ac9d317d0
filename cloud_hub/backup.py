"""Copies of the database, and back. Secrets and settings are files beside it and not part of a copy."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import select
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from cloud_hub import migrations
from cloud_hub.db import make_engine, make_sessions, utc_now
from cloud_hub.errors import HubError
from cloud_hub.models import ProcessStatus

_ALIVE: Final = timedelta(seconds=15)


def backup(url: URL, target: Path) -> None:
    """Write a consistent copy while the hub runs.

    Raises:
        HubError: the target exists, or the copy failed; then no half-written target is left.
    """
    if target.exists():
        raise HubError(f"{target} exists; nothing was changed")
    if not target.parent.is_dir():
        raise HubError(f"{target.parent}: no such folder")
    beside = target.with_name(f".{target.name}.part")
    beside.unlink(missing_ok=True)
    try:
        if url.get_backend_name() == "sqlite":
            _copy_sqlite(_file_of(url), beside)
        else:
            _run_tool("pg_dump", url, "--format=plain", "--no-owner", "--no-privileges", f"--file={beside}")
        beside.chmod(0o600)
        _make_durable(beside)
        beside.rename(target)
    finally:
        beside.unlink(missing_ok=True)


def restore(url: URL, source: Path) -> None:
    """Put a copy in place of the database. The hub must not run.

    Raises:
        HubError: the copy is not one of this hub, the hub runs, or the database could not be replaced.
    """
    if not source.is_file():
        raise HubError(f"{source}: no such file")
    _refuse_while_alive(url)
    if url.get_backend_name() == "sqlite":
        _check_sqlite(source)
        _replace_sqlite(_file_of(url), source)
        return
    _refuse_foreign_dump(source)
    clean = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
    _run_tool(
        "psql",
        url,
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        f"--command={clean}",
        f"--file={source}",
    )


def _file_of(url: URL) -> Path:
    if not url.database or url.database == ":memory:":
        raise HubError("a database in memory has no copy")
    return Path(url.database)


def _copy_sqlite(source: Path, target: Path) -> None:
    if not source.is_file():
        raise HubError(f"{source}: no such file")
    try:
        with closing(sqlite3.connect(source, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise HubError(f"{source}: {error}") from error


def _check_sqlite(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise HubError(f"{path}: not a copy of a hub's database: {error}") from error
    if verdict != "ok":
        raise HubError(f"{path}: damaged: {verdict}")
    if revision is None or revision[0] > migrations.head():
        raise HubError(
            f"{path}: of another release (revision {revision and revision[0]}, ours is {migrations.head()})"
        )


def _replace_sqlite(database: Path, source: Path) -> None:
    """A whole new file takes the old one's name; the old journal would be applied to it, so it goes first."""
    beside = database.with_name(f".{database.name}.part")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, beside)
        beside.chmod(0o600)
        _make_durable(beside)
        for tail in ("-wal", "-shm"):
            database.with_name(database.name + tail).unlink(missing_ok=True)
        beside.replace(database)
        _make_durable(database.parent)
    except OSError as error:
        raise HubError(f"{error.filename}: {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)


def _refuse_foreign_dump(source: Path) -> None:
    with source.open("rb") as file:
        if b"PostgreSQL database dump" not in file.read(1000):
            raise HubError(f"{source}: not a dump made by cloud-hub backup")


def _refuse_while_alive(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and not _file_of(url).exists():
        return
    engine = make_engine(url)
    try:
        with make_sessions(engine.execution_options(read_only=True))() as session:
            seen = session.scalars(
                select(ProcessStatus).where(ProcessStatus.seen_at > utc_now() - _ALIVE)
            ).all()
    except SQLAlchemyError:
        return  # empty or damaged: a reason to restore, not to refuse
    finally:
        engine.dispose()
    if any(process.ready for process in seen):
        names = ", ".join(process.name for process in seen)
        raise HubError(f"the hub runs ({names}); stop it first")


def _run_tool(tool: str, url: URL, *arguments: str) -> None:
    program = shutil.which(tool)
    if program is None:
        raise HubError(f"{tool} is not installed; on Debian: apt-get install postgresql-client")
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    address = url.set(drivername="postgresql", password=None).render_as_string()
    done = subprocess.run(  # noqa: S603 (a fixed program, arguments from the settings)
        [program, f"--dbname={address}", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise HubError(f"{tool}: {words[-1]}")


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
