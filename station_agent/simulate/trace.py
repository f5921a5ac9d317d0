"""What a probe on every wire would have seen: one JSON line per edge, on disk before anybody acts on it."""

import json
import threading
from contextlib import suppress
from pathlib import Path

from station_agent.clock import Clock


class Trace:
    """Writes ``{"t": monotonic seconds, "device": wire, "value": 0 | 1}``. Any thread.

    1 means energised, open, pressed, active or present. A wire's values alternate, also over a restart: the file is
    continued, and a line that a killed agent left half-written is ended first.

    Args:
        path: the file; None to write nothing.
        clock: monotonic time.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = {} if path is None else _last_values(path)
        self._file = None if path is None else path.open("a", encoding="utf-8")
        if self._file is not None and path is not None and _is_torn(path):
            self._file.write("\n")

    def write(self, device: str, *, active: bool) -> None:
        """Write one level; nothing when the wire has it already."""
        value = int(active)
        with self._lock:
            if self._last.get(device) == value:
                return
            self._last[device] = value
            if self._file is not None:
                line = {"t": round(self._clock.monotonic_s(), 6), "device": device, "value": value}
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file; what is written afterwards is lost. Safe to call twice."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def _last_values(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    values: dict[str, int] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):
                edge = json.loads(line)
                values[str(edge["device"])] = int(edge["value"])
    return values


def _is_torn(path: Path) -> bool:
    text = path.read_bytes()
    return bool(text) and not text.endswith(b"\n")
