"""Keeps the demo's processes alive: services come back at once, a station that died stays dark for a while first.

A thread of the runner looks every ``LOOK_S``; the stage's threads cut and restore power. One lock orders them all.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from cloud_hub.demo.processes import Child

LOOK_S: Final = 0.1
DARK_S: Final = 50.0
"""A station that died comes back after this long, so that its silent alarm (30 s) can be seen and then clear itself."""

QUICK_DEATH_S: Final = 3.0
LONGEST_PAUSE_S: Final = 5.0

Power = Literal["on", "cut", "dark", "elsewhere"]


def store_held(store: Path) -> bool:
    """A process holds one of the folder's lock files."""
    return any(_locked(path) for path in store.glob("*.lock"))


def _locked(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return False


@dataclass(slots=True)
class Kept:
    """One process under care.

    Attributes:
        store: folder whose lock files tell that somebody else runs it; only stations have one.
        dark_s: pause before it is started again after a death.
        started_s: monotonic.
        died_s: monotonic; None while it runs or has never run.
        pause_s: grows while it dies at once, so that a broken program is not started ten times a second.
        cut: the visitor took its power.
    """

    child: Child
    store: Path | None = None
    dark_s: float = 0.0
    started_s: float = 0.0
    died_s: float | None = None
    pause_s: float = 0.0
    cut: bool = False
    deaths: int = field(default=0)


class Keeper:
    """All processes of the demo, in the order in which they are started."""

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[Path], bool] = store_held,
    ) -> None:
        """Keep nothing yet.

        Args:
            say: tells the person at the terminal about a death.
            clock: monotonic seconds.
            held: whether somebody runs the station whose data folder this is.
        """
        self._say = say
        self._clock = clock
        self._held = held
        self._lock = threading.RLock()
        self._kept: dict[str, Kept] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def start(self, child: Child, *, store: Path | None = None) -> None:
        """Start a process and keep it; a station names its ``store``."""
        with self._lock:
            kept = Kept(child, store=store, dark_s=DARK_S if store else 0.0)
            self._kept[child.name] = kept
            self._begin(kept)

    def watch(self) -> None:
        """Look after them from now on."""
        self._thread.start()

    def deaths(self, name: str) -> int:
        """How often it has died by itself."""
        with self._lock:
            return self._kept[name].deaths

    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by name."""
        with self._lock:
            return {name: pid for name, kept in self._kept.items() if (pid := kept.child.pid) is not None}

    def last_words(self, name: str) -> str:
        """End of a process's log."""
        with self._lock:
            return self._kept[name].child.last_words()

    def power(self, name: str) -> Power:
        """Whether a station runs, and why not."""
        with self._lock:
            kept = self._kept[name]
            if kept.child.pid is not None:
                return "on"
            if kept.store is not None and self._held(kept.store):
                return "elsewhere"
            return "cut" if kept.cut else "dark"

    def cut(self, name: str) -> None:
        """Take a station's power: it dies in the middle of whatever it does."""
        with self._lock:
            kept = self._kept[name]
            kept.cut, kept.died_s = True, self._clock()
            kept.child.kill()

    def restore(self, name: str) -> None:
        """Give a station its power back."""
        with self._lock:
            kept = self._kept[name]
            kept.cut = False
            if kept.child.pid is None and not (kept.store and self._held(kept.store)):
                self._begin(kept)

    def look(self) -> None:
        """Start again what has died and waited long enough."""
        with self._lock:
            for kept in self._kept.values():
                if kept.child.pid is None and not kept.cut and not self._closing.is_set():
                    self._revive(kept)

    def close(self) -> None:
        """Stop everything: stations first, so that they can say goodbye, the broker last."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            stations = [kept.child for kept in self._kept.values() if kept.store is not None]
            for child in stations:
                child.interrupt()
            for child in stations:
                child.wait()
            for kept in reversed(self._kept.values()):
                kept.child.interrupt()
                kept.child.wait()

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_S):
            self.look()

    def _begin(self, kept: Kept) -> None:
        kept.child.start()
        kept.started_s, kept.died_s = self._clock(), None

    def _revive(self, kept: Kept) -> None:
        now_s = self._clock()
        if kept.died_s is None:
            self._note_death(kept, now_s)
        if kept.store is not None and self._held(kept.store):
            kept.died_s = now_s  # somebody else runs it: start counting when they stop
        elif kept.died_s is not None and now_s - kept.died_s >= max(kept.pause_s, kept.dark_s):
            self._begin(kept)

    def _note_death(self, kept: Kept, now_s: float) -> None:
        quick = now_s - kept.started_s < QUICK_DEATH_S
        kept.pause_s = min(LONGEST_PAUSE_S, max(0.2, kept.pause_s * 2)) if quick else 0.0
        kept.died_s = now_s
        kept.deaths += 1
        later = f"; back in {kept.dark_s:.0f} s" if kept.dark_s else "; starting it again"
        self._say(f"{kept.child.name} died ({_how(kept.child.returncode)}){later}")


def _how(returncode: int | None) -> str:
    if returncode is None:
        return "never started"
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
