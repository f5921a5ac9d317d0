"""What every request handler needs: settings, sessions, clock, bell and live streams. Bound to the app by ``app``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask, current_app, g
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.bell import Ringer
from cloud_hub.live.broadcaster import Broadcaster
from cloud_hub.settings import Hub

if TYPE_CHECKING:
    from sqlalchemy import Engine

KEY: Final = "yizhan"


@dataclass(frozen=True, slots=True)
class Web:
    """The web process.

    Attributes:
        writing: sessions that take the write lock at once.
        reading: sessions that only read, so that a page never waits for a writer.
        clock: aware UTC now.
    """

    hub: Hub
    writing: sessionmaker[Session]
    reading: sessionmaker[Session]
    clock: Callable[[], datetime]
    ringer: Ringer
    broadcaster: Broadcaster

    def close(self) -> None:
        """End live streams, and give sockets and connections back."""
        self.broadcaster.close()
        self.ringer.close()
        cast("Engine", self.writing.kw["bind"]).dispose()


def reading_only(sessions: sessionmaker[Session]) -> sessionmaker[Session]:
    """The same database, through transactions that never ask for the write lock."""
    engine = cast("Engine", sessions.kw["bind"])
    options: dict[str, Any] = {**sessions.kw, "bind": engine.execution_options(read_only=True)}
    return sessionmaker(**options)


def bind(app: Flask, web: Web) -> None:
    """Give the app its context, and close each request's reading session after it."""
    app.extensions[KEY] = web
    app.teardown_appcontext(_close)


def web() -> Web:
    """The context of the current app."""
    return cast("Web", current_app.extensions[KEY])


def now() -> datetime:
    """This moment, aware UTC."""
    return web().clock()


def read() -> Session:
    """The request's reading session."""
    if "reading" not in g:
        g.reading = web().reading()
    return cast("Session", g.reading)


@contextmanager
def write() -> Iterator[Session]:
    """One transaction: committed at the end, rolled back on any exception.

    The request's reading session gives its connection back first: a request that held two at once would let a burst
    of them wait for each other until the pool's patience ends.
    """
    if (reading := g.get("reading")) is not None:
        reading.close()
    with web().writing.begin() as session:
        yield session


def _close(_error: BaseException | None) -> None:
    session = g.pop("reading", None)
    if session is not None:
        session.close()
