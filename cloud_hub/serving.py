"""``cloud-hub serve``: the web process and the bridge as children, started again when they die, stopped together."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

PARTS: Final = ("bridge", "web")
_PR_SET_PDEATHSIG: Final = 1
LOOK_S: Final = 0.2
STOP_LIMIT_S: Final = 10.0
HEALTHY_S: Final = 30.0
"""Alive this long, a child's earlier deaths are forgotten."""

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0


@dataclass(slots=True)
class Part:
    """One child."""

    name: str
    process: subprocess.Popen[bytes]
    started_s: float
    pause_s: float = FIRST_PAUSE_S
    due_s: float | None = None


def serve(config: Path) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        0 after a signal; 1 when a child could not even start once: its own message has said why.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parts = [Part(name, _start(name, config), time.monotonic()) for name in PARTS]
    proven: set[str] = set()
    code = 0
    while not stop.wait(LOOK_S):
        now_s = time.monotonic()
        proven |= {part.name for part in parts if part.due_s is None and now_s - part.started_s > HEALTHY_S}
        if any(_died_early(part, proven) for part in parts):
            code = 1
            break
        for part in parts:
            _care(part, config, now_s)
    _stop(parts)
    return code


def end_with(supervisor: int) -> None:
    """In a child: end when the supervisor does, however it ends, or two hubs would share one database."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        raise SystemExit(1)  # it died before the line above


def _died_early(part: Part, proven: set[str]) -> bool:
    """Its first start failed by its own verdict, not by a signal: another try would end the same."""
    returncode = part.process.poll()
    return (
        part.name not in proven
        and part.pause_s == FIRST_PAUSE_S
        and returncode is not None
        and returncode > 0
    )


def _care(part: Part, config: Path, now_s: float) -> None:
    if part.due_s is not None:
        if now_s >= part.due_s:
            part.process, part.started_s, part.due_s = _start(part.name, config), now_s, None
        return
    if (returncode := part.process.poll()) is None:
        return
    part.pause_s = (
        FIRST_PAUSE_S if now_s - part.started_s > HEALTHY_S else min(LONGEST_PAUSE_S, part.pause_s * 2)
    )
    part.due_s = now_s + part.pause_s
    log.error("part died", extra={"part": part.name, "code": returncode, "again_in_s": part.pause_s})


def _start(name: str, config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (this program)
        [
            sys.executable,
            "-m",
            "cloud_hub.cli",
            name,
            "--config",
            str(config),
            "--supervisor",
            str(os.getpid()),
        ],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _stop(parts: list[Part]) -> None:
    for part in parts:
        part.process.terminate()
    deadline_s = time.monotonic() + STOP_LIMIT_S
    for part in parts:
        try:
            part.process.wait(max(0.1, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            part.process.kill()
            part.process.wait()
