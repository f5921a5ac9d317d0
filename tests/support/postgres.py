"""A real PostgreSQL server for the tests: one per run on a free port, one fresh database per test."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.parts import free_port, program, require

START_LIMIT_S = 30.0
UNPRIVILEGED = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user."""


def _binaries() -> Path | None:
    """Folder of the newest server installed."""
    debian = Path("/usr/lib/postgresql")
    versions = sorted(debian.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True)
    if versions:
        return versions[0].parent
    found = program("initdb")
    return Path(found).resolve().parent if found else None


class Server:
    """A server in a folder of its own. For tests without durability, which it never outlives; for benchmarks with it."""

    def __init__(self, binaries: Path, *, durable: bool = False) -> None:
        self.port = free_port()
        self._user = UNPRIVILEGED if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="yizhan-pg-"))
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        self._log = (self._folder / "log").open("wb")
        data = self._folder / "data"
        self._run(binaries / "initdb", "-D", data, "-U", "yizhan", "-A", "trust", "-E", "UTF8", "-N").wait()
        options = ["max_connections=200"]
        if not durable:
            options += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        self._process = self._run(
            *(binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", self.port, "-k", self._folder),
            *(word for option in options for word in ("-c", option)),
        )
        self._wait_until_it_serves()

    def url(self, database: str) -> str:
        """SQLAlchemy address of one of its databases."""
        return f"postgresql+psycopg://yizhan@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """One statement outside any transaction."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user="yizhan", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())

    def close(self) -> None:
        """Stop at once and leave nothing."""
        self._process.terminate()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(10)
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, *command: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(word) for word in command],
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            cwd=self._folder,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdout=self._log,
            stderr=self._log,
        )

    def _wait_until_it_serves(self) -> None:
        deadline_s = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    pytest.fail(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
            else:
                return


@contextmanager
def open_server(*, durable: bool = False) -> Iterator[Server]:
    """A running server, gone afterwards."""
    binaries = _binaries()
    require(binaries, "no PostgreSQL server; on Debian: apt-get install postgresql")
    assert binaries is not None
    server = Server(binaries, durable=durable)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with open_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    name = f"t{os.urandom(6).hex()}"
    postgres_server.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")
