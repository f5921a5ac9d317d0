"""What the demo survives: processes killed while events flow, its own death, and being started again.

YIZHAN_EVENTS sets how many events flow (at least 200 in ``make bench``, 144 here).
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.demo import Demo, Station, until

pytestmark = pytest.mark.timeout(300)

EVENTS = int(os.environ.get("YIZHAN_EVENTS", "144"))
PAIRS = {
    "tamper": ("open", True, "tamper.opened", "tamper.closed"),
    "mains": ("up", False, "mains.lost", "mains.restored"),
    "fire": ("active", True, "fire.active", "fire.cleared"),
    "contact": ("open", True, "door.forced", "door.closed"),
}
"""Wires that are moved there and back, with the key and value of the first move and the events of both."""

TURN_S = 1.1
"""A wire with more than 20 edges within 10 s is a loose one, and the station says so (core/debounce.py)."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Demo]:
    """A demo that the test may start, stop and kill."""
    demo = Demo(tmp_path, stations=1)
    yield demo
    demo.stop(signal.SIGKILL)
    until(lambda: not demo.processes(), "nothing is left of the demo")


def killed(demo: Demo, name: str) -> None:
    """Kill a service as a crash would, and wait for its successor."""
    (old,) = demo.processes(name)[:1]
    os.kill(old, signal.SIGKILL)
    until(
        lambda: [pid for pid in demo.processes(name) if pid != old],
        f"{name} is started again",
    )


def turn(station: Station) -> None:
    """Move every wire there and back."""
    for op, (key, value, _, _) in PAIRS.items():
        station.control(op, **{key: value})
        station.control(op, **{key: not value})


def flow(stations: list[Station], turns: int, between: dict[int, Callable[[], None]]) -> None:
    """Move every wire of every station once a turn, with something happening before given turns."""
    with ThreadPoolExecutor(len(stations)) as pool:
        for number in range(turns):
            began_s = time.monotonic()
            between.get(number, lambda: None)()
            list(pool.map(turn, stations))
            time.sleep(max(0.0, TURN_S - (time.monotonic() - began_s)))


def test_every_event_arrives_exactly_once_although_processes_are_killed(demo: Demo) -> None:
    stations = demo.stations
    for station in stations:
        station.calm()
    after = {station.id: station.last_event() for station in stations}

    def power_cut() -> None:
        demo.power(stations[0], on=False)
        demo.power(stations[0], on=True)
        until(stations[0].answers, "the agent is back", limit_s=30)

    turns = EVENTS // (2 * len(PAIRS) * len(stations))
    faults = {
        1: lambda: killed(demo, "bridge"),
        turns // 2: lambda: killed(demo, "web"),
        turns - 2: power_cut,
    }
    flow(stations, turns, faults)
    until(demo.serves, "the console is back", limit_s=20)

    for station in stations:
        expected = {kind: turns for *_, first, second in PAIRS.values() for kind in (first, second)}
        until(
            lambda: sum(counted(station, after[station.id]).values()) >= sum(expected.values()),  # noqa: B023 (called at once)
            f"all events of {station.id}",
            limit_s=60,
        )
        assert counted(station, after[station.id]) == expected
        numbers = [(event["install"], event["seq"]) for event in station.events()]
        assert len({install for install, _ in numbers}) == 1
        assert sorted(seq for _, seq in numbers) == list(range(1, len(numbers) + 1))
        for alert in station.alerts():
            demo.api("POST", f"alerts/{alert['id']}/acknowledge")


def counted(station: Station, after: str | None) -> dict[str, int]:
    """How often each of the wires' events is in the hub."""
    wanted = {kind for *_, first, second in PAIRS.values() for kind in (first, second)}
    return dict(Counter(event["kind"] for event in station.events(after=after) if event["kind"] in wanted))


def test_the_demo_says_how_long_it_took(demo: Demo) -> None:
    said = re.search(r"installation to three stations online: ([\d.]+) s", demo.output.read_text())
    assert said is not None


def test_a_second_start_keeps_the_data_and_makes_new_secrets(own: Demo) -> None:
    own.start()
    own.stations[0].control("exit")
    until(lambda: own.stations[0].events(kind="exit.requested"), "the event is in the hub")
    before, kept = own.ready, {event["id"] for event in own.stations[0].events()}
    assert own.stop(signal.SIGINT) == 0
    assert own.processes() == []
    assert not own.ready_file.exists()
    assert [path for path in (own.folder / "data").rglob("*") if path.is_socket()] == []

    own.start()
    assert own.ready["password"] != before["password"]
    assert kept <= {event["id"] for event in own.stations[0].events()}
    old = {"Authorization": f"Bearer {before['api_token']}"}
    assert requests.get(f"{own.ready['url']}/api/v1/stations", headers=old, timeout=10).status_code == 401
    assert own.stop() == 0


def test_nothing_outlives_a_demo_that_was_killed(own: Demo) -> None:
    own.start()
    assert len(own.processes()) >= 5
    own.stop(signal.SIGKILL)
    until(lambda: not own.processes(), "every process ended")


def refused(*options: object) -> tuple[int, str]:
    program = Path(sys.executable).with_name("cloud-hub")
    ended = subprocess.run(
        [program, "demo", *map(str, options)], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stderr


def test_a_folder_in_use_is_refused_by_name(demo: Demo) -> None:
    code, said = refused("--data", demo.folder / "data")
    assert (code, str(demo.folder / "data") in said, "another demo" in said) == (1, True, True)
    assert demo.serves()


def test_a_busy_port_is_refused_by_number(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, said = refused("--data", tmp_path, "--port", port)
    assert (code, f"port {port}" in said) == (1, True)


def test_a_stop_while_starting_leaves_nothing(own: Demo) -> None:
    own.launch()
    until(lambda: len(own.processes()) >= 3, "the demo has begun")
    time.sleep(0.5)
    assert own.stop() == 0
    assert own.processes() == []
