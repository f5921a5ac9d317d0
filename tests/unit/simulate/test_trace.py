"""The trace file: one line per edge, alternating, over restarts too."""

import json
import threading
from pathlib import Path
from typing import Any

from station_agent.simulate.trace import Trace
from tests.support.hand_clock import HandClock


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_edge_is_on_disk_at_once_with_its_time(tmp_path: Path) -> None:
    clock, path = HandClock(5.25), tmp_path / "trace"
    trace = Trace(path, clock)
    trace.write("relay:main", active=False)
    clock.advance(1)
    trace.write("relay:main", active=True)
    assert lines(path) == [
        {"t": 5.25, "device": "relay:main", "value": 0},
        {"t": 6.25, "device": "relay:main", "value": 1},
    ]
    trace.close()


def test_a_level_that_stays_is_no_edge(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace", HandClock())
    for active in (False, False, True, True, False):
        trace.write("fire", active=active)
    trace.close()
    assert [line["value"] for line in lines(tmp_path / "trace")] == [0, 1, 0]


def test_a_restart_continues_the_file_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(
        '{"t": 1, "device": "relay:main", "value": 1}\n{"t": 2, "device": "mains", "value": 1}\n{"t": 3, "dev'
    )
    trace = Trace(path, HandClock())
    trace.write("mains", active=True)
    trace.write("relay:main", active=False)
    trace.close()
    text = path.read_text().splitlines()
    assert text[2] == '{"t": 3, "dev'
    assert [json.loads(line)["device"] for line in text[3:]] == ["relay:main"]


def test_without_a_file_and_after_the_end_nothing_is_written(tmp_path: Path) -> None:
    Trace(None, HandClock()).write("fire", active=True)
    trace = Trace(tmp_path / "trace", HandClock())
    trace.close()
    trace.close()
    trace.write("fire", active=True)
    assert lines(tmp_path / "trace") == []


def test_many_threads_write_whole_lines_that_alternate(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace", HandClock())

    def toggle() -> None:
        for n in range(200):
            trace.write("fire", active=n % 2 == 0)

    threads = [threading.Thread(target=toggle) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trace.close()
    values = [line["value"] for line in lines(tmp_path / "trace")]
    assert values == [1, 0] * (len(values) // 2) + [1] * (len(values) % 2)
