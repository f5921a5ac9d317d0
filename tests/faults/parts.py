"""One process of a rig with a handle of its own: started, armed, stopped in its tracks, killed, and its logs kept."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from firmware_config import crashpoint
from tests.support.station import wait_for

START_S = 60.0


def program(name: str) -> Path:
    """A command of this installation."""
    return Path(sys.executable).with_name(name)


class Part:
    """One program in a process group of its own.

    Attributes:
        ready: true once it does its work.
        deaths: how often it was killed or died.
    """

    def __init__(
        self, name: str, command: Sequence[object], *, log: Path, ready: Callable[[], bool], cwd: Path
    ) -> None:
        self.name = name
        self.ready = ready
        self.deaths = 0
        self._command = [str(word) for word in command]
        self._log = log
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def died(self) -> bool:
        """It was started and has ended, not by our hand."""
        return self._process is not None and self._process.poll() is not None

    def launch(
        self,
        *,
        armed: str | None = None,
        environment: Mapping[str, str] | None = None,
        wrap: Sequence[str] = (),
    ) -> None:
        """Start it, without waiting for it.

        Args:
            armed: a crash point, ``NAME`` or ``NAME:N``.
            environment: more of it.
            wrap: a command that runs the program, such as ``prlimit --as=…``.
        """
        assert not self.alive, f"{self.name} runs already"
        arms = {crashpoint.VARIABLE: armed} if armed else {}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*wrap, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._cwd,
                env={**os.environ, **(environment or {}), **arms},
                start_new_session=True,
            )

    def await_ready(self, within_s: float = START_S) -> None:
        """Wait until it does its work."""

        def look() -> bool:
            assert self.alive, f"{self.name} ended at its start: {self.last_words()}"
            return self.ready()

        wait_for(look, within_s=within_s, what=f"{self.name} ready")

    def start(self, **how: object) -> None:
        """Launch it and wait until it does its work."""
        self.launch(**how)  # type: ignore[arg-type]  # as ``launch`` takes them
        self.await_ready()

    def kill(self) -> None:
        """SIGKILL for all of it: what a power cut leaves of a process."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        self.deaths += 1

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        try:
            return process.wait(30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP for all of it."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.killpg(self.pid, signal.SIGCONT)

    def children(self) -> list[int]:
        """Ids of the processes it started."""
        try:
            text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        except FileNotFoundError:
            return []
        return [int(word) for word in text.split()]

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
