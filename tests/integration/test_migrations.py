"""The tables a database gets by migrating are the tables the code believes in."""

import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

import cloud_hub.models  # noqa: F401 (registers every table)
from cloud_hub import migrations
from cloud_hub.db import Base, make_engine
from cloud_hub.models import Event
from tests.support.hub import INSTALL, START, STATION, World


def test_a_migrated_database_has_exactly_the_tables_of_the_models(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_a_new_database_has_no_revision_and_a_migrated_one_the_newest(database_url: str) -> None:
    engine = make_engine(database_url)
    assert migrations.current(engine) is None
    migrations.upgrade(engine)
    assert migrations.current(engine) == migrations.head()
    engine.dispose()


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    before = sorted(inspect(engine).get_table_names())
    migrations.upgrade(engine)
    assert sorted(inspect(engine).get_table_names()) == before


def test_processes_that_upgrade_at_once_do_it_one_after_the_other(database_url: str) -> None:
    program = (
        "import sys; from cloud_hub import migrations; sys.stdin.readline(); migrations.upgrade(sys.argv[1])"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, database_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"now\n")
        process.stdin.flush()
    words = [process.communicate(timeout=60)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], words
    engine = make_engine(database_url)
    assert migrations.current(engine) == migrations.head()
    engine.dispose()


def test_every_constraint_has_a_name_that_the_convention_gives(engine: Engine) -> None:
    inspector = inspect(engine)
    unnamed = [
        (table, constraint)
        for table in Base.metadata.tables
        for constraint in [*inspector.get_foreign_keys(table), *inspector.get_unique_constraints(table)]
        if not constraint["name"]
    ]
    assert unnamed == []


def test_the_database_itself_refuses_the_same_event_twice(
    world: World, sessions: sessionmaker[Session]
) -> None:
    def event() -> Event:
        return Event(
            station_id=STATION, install_id=INSTALL, seq=7, kind="door.opened", occurred_at=START,
            received_at=world.now, clock="synced", backfilled=False, data={},
        )  # fmt: skip

    with sessions.begin() as session:
        session.add(event())
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(event())
