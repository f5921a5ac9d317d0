"""Child processes: each in a process group of its own with its own log, and none outlives the demo."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from cloud_hub.demo import warden

STOP_LIMIT_S: Final = 8.0
"""How long a process may take to end after SIGTERM before it is killed."""


class Warden:
    """The process that kills the others when the demo is gone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 (this file beside us)
            [sys.executable, "-I", "-S", warden.__file__],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def tell(self, sign: str, group: int) -> None:
        """``+``: watch this process group; ``-``: it has ended."""
        with self._lock, contextlib.suppress(OSError):
            assert self._process.stdin is not None  # noqa: S101 (opened as a pipe above)
            self._process.stdin.write(f"{sign}{group}\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """Let it kill whatever is left, and wait for it."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=STOP_LIMIT_S)


class Child:
    """One program that can be started, stopped and started again. Its methods are called under its keeper's lock."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        warden: Warden,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._command = [str(word) for word in command]
        self._log = log
        self._warden = warden
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._keep_last_log()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def returncode(self) -> int | None:
        """How it ended, negative for a signal; None while it runs or before its first start."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Start it, after clearing away whatever is left of its last run."""
        self.sweep()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (the project's own programs)
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        self._warden.tell("+", self._process.pid)

    def interrupt(self) -> None:
        """Ask it to end."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, limit_s: float = STOP_LIMIT_S) -> None:
        """Wait for its end, then kill it and whatever it started."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(limit_s)
        self.sweep()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.sweep()

    def last_words(self, lines: int = 12) -> str:
        """End of its log, for a message."""
        with contextlib.suppress(OSError):
            return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return ""

    def sweep(self) -> None:
        """Kill the whole process group: a dead parent may have left workers behind."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._warden.tell("-", process.pid)

    def _keep_last_log(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            self._log.replace(self._log.with_suffix(".log.1"))


def run_all(
    commands: Sequence[Sequence[str | Path]], *, limit_s: float
) -> list[subprocess.CompletedProcess[str]]:
    """Run a few short programs side by side and return how each ended, in order.

    Raises:
        subprocess.TimeoutExpired: one took longer than ``limit_s`` seconds; all are killed.
    """
    deadline_s = time.monotonic() + limit_s
    started = [
        subprocess.Popen(  # noqa: S603 (the project's own programs)
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    try:
        outputs = [
            process.communicate(timeout=max(0.1, deadline_s - time.monotonic())) for process in started
        ]
    finally:
        for process in started:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(started, outputs, strict=True)
    ]
