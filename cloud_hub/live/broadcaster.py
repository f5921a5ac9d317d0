"""Fan-out of bell rings to live streams. One thread listens; each stream is read by the thread of its request.

A ring says only "this topic changed", so what a slow reader has not fetched yet collapses into a set of topics: memory
per stream is bounded by the topics it asked for, and nothing is lost by being slow.
"""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cloud_hub.bell import WEB, Bell

RESYNC: Final = "*"
"""Instead of topics: everything on the page may have changed."""

TOPICS_LIMIT: Final = 64
"""Most topics of one stream."""

PENDING_LIMIT: Final = 256
"""Most topics a stream holds unread (a wildcard matches many); beyond it they become one ``RESYNC``."""

STREAMS_PER_OWNER: Final = 8
"""Open streams of one sign-in; one more ends the oldest, so that reloading cannot use up the hub's streams."""

log = logging.getLogger(__name__)


class Full(Exception):  # noqa: N818 (read as an answer)
    """As many live streams are open as the settings allow."""


class Stream:
    """One open page."""

    def __init__(self, *, owner: str, topics: Iterable[str]) -> None:
        wanted = sorted(set(topics))
        self.owner = owner
        self._exact = {topic for topic in wanted if not topic.endswith("*")}
        self._prefixes = tuple(topic[:-1] for topic in wanted if topic.endswith("*"))
        self._changed = threading.Condition()
        self._pending: dict[str, None] = {RESYNC: None}
        self._ended = False

    def offer(self, topics: Iterable[str]) -> None:
        """Note changed topics. Never blocks for long: the reader holds the lock only to take them."""
        wanted = [
            t for t in topics if t == RESYNC or t in self._exact or t.startswith(self._prefixes or ("\0",))
        ]
        if not wanted:
            return
        with self._changed:
            self._pending.update(dict.fromkeys(wanted))
            if RESYNC in self._pending or len(self._pending) > PENDING_LIMIT:
                self._pending = {RESYNC: None}
            self._changed.notify()

    def take(self, timeout_s: float) -> list[str] | None:
        """Changed topics in the order they changed, an empty list after ``timeout_s`` seconds, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._pending, timeout=timeout_s)
            if self._ended:
                return None
            taken, self._pending = list(self._pending), {}
            return taken

    def end(self) -> None:
        """Let the reader go."""
        with self._changed:
            self._ended = True
            self._changed.notify()


class Broadcaster:
    """All live streams of this process."""

    def __init__(self, bells: Path, *, limit: int) -> None:
        self._bells = bells
        self._limit = limit
        self._lock = threading.Lock()
        self._streams: dict[Stream, None] = {}
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    @property
    def open_streams(self) -> int:
        """Streams open now."""
        with self._lock:
            return len(self._streams)

    def open(self, *, owner: str, topics: Iterable[str]) -> Stream:
        """Start a stream. Its first take is a resync: the page may have changed since it was made.

        Raises:
            Full: the limit is reached, or the process is going down.
        """
        stream = Stream(owner=owner, topics=topics)
        with self._lock:
            own = [other for other in self._streams if other.owner == owner]
            for other in own[: max(0, len(own) - STREAMS_PER_OWNER + 1)]:
                other.end()
                del self._streams[other]
            if self._closed.is_set() or len(self._streams) >= self._limit:
                raise Full
            self._streams[stream] = None
            self._listen()
        return stream

    def close_stream(self, stream: Stream) -> None:
        """Forget a stream. Safe to call twice."""
        stream.end()
        with self._lock:
            self._streams.pop(stream, None)

    def publish(self, topics: Iterable[str]) -> None:
        """Tell every stream."""
        topics = list(topics)
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.offer(topics)

    def close(self) -> None:
        """End all streams and the listening thread. Safe to call twice."""
        self._closed.set()
        with self._lock:
            streams, self._streams = list(self._streams), {}
            thread, self._thread = self._thread, None
        for stream in streams:
            stream.end()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _listen(self) -> None:
        if self._thread is None:
            bell = Bell(self._bells, WEB)
            self._thread = threading.Thread(target=self._run, args=(bell,), name="live", daemon=True)
            self._thread.start()

    def _run(self, bell: Bell) -> None:
        try:
            while not self._closed.is_set():
                topics = bell.wait(0.5)
                if topics:
                    self.publish(topics)
                elif topics is not None:
                    self.publish([RESYNC])
        except Exception:
            log.exception("live.listener.failed")
            self._let_go()
        finally:
            bell.close()

    def _let_go(self) -> None:
        """Without a listener a stream would be silently stale: end them all; the next one starts a new listener."""
        with self._lock:
            streams, self._streams, self._thread = list(self._streams), {}, None
        for stream in streams:
            stream.end()
