"""A simulated agent as a process of its own, driven through its control socket and judged by its trace."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("station-agent")
START_S = 30.0


class AgentProcess:
    """Started with ``start``; ended by ``stop`` or ``kill``."""

    def __init__(self, config: Path, *, wrap: Sequence[str] = ()) -> None:
        self.config = config
        self._wrap = wrap
        self.trace_file = config.parent / "trace.jsonl"
        self.control = config.parent / "c.sock"
        self.log_file = config.parent / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._wrap,
                    *(PROGRAM, "run", "--config", self.config, "--simulate"),
                    *("--trace", self.trace_file, "--control", self.control),
                ],
                stdout=log,
                stderr=log,
            )
        deadline_s = time.monotonic() + START_S
        while True:
            try:
                self.ask(op="status")
            except OSError:
                assert self._process.poll() is None, self.log_file.read_text(encoding="utf-8")
                assert time.monotonic() < deadline_s, self.log_file.read_text(encoding="utf-8")
                self._wait(0.05)
            else:
                return

    def ask(self, **order: Any) -> dict[str, Any]:
        """One order on the control socket, and its answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(30)
            line.connect(str(self.control))
            line.sendall(json.dumps(order).encode() + b"\n")
            with line.makefile("rb") as answers:
                answer: dict[str, Any] = json.loads(answers.readline())
        return answer

    def do(self, **order: Any) -> dict[str, Any]:
        """As ``ask``, and it must be obeyed."""
        answer = self.ask(**order)
        assert answer["ok"], answer
        return answer

    def edges(self, *devices: str) -> list[tuple[str, int]]:
        """All edges so far, those of ``devices`` only when some are named; the levels at start come first."""
        lines = self.trace_file.read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        return [(row["device"], row["value"]) for row in rows if not devices or row["device"] in devices]

    def wait_until(self, happened: Callable[[], bool], *, within_s: float = 30.0) -> None:
        """Wait for something to become true while the agent runs."""
        deadline_s = time.monotonic() + within_s
        while not happened():
            assert time.monotonic() < deadline_s, f"not within {within_s} s"
            self._wait(0.02)

    def wait_edges(self, *devices: str, expected: list[tuple[str, int]], within_s: float = 30.0) -> None:
        """Wait until the edges of ``devices`` are exactly these."""
        self.wait_until(lambda: len(self.edges(*devices)) >= len(expected), within_s=within_s)
        assert self.edges(*devices) == expected

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL, as a power cut."""
        return self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            os.kill(process.pid, how)
        return process.wait(timeout=30)

    def _wait(self, seconds: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
