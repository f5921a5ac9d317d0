"""What the demo survives: processes killed while events flow, its own death, and being started again.

YIZHAN_EVENTS sets how many events flow (200 in ``make bench``, 60 here).
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
from pathlib import Path

import pytest
import requests

from tests.support.demo import Demo, Station, until

pytestmark = pytest.mark.timeout(300)

EVENTS = int(os.environ.get("YIZHAN_EVENTS", "60"))
BACK_WITHIN_S = 1.5
"""The demo promises a second; half a one more for a busy machine to start a process."""


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
        limit_s=BACK_WITHIN_S,
    )


def flow(station: Station, events: int, between: dict[int, Callable[[], None]]) -> None:
    """Open and close the door without a grant, two events a turn, with something happening at given turns."""
    for turn in range(events // 2):
        between.get(turn, lambda: None)()
        station.control("contact", open=True)
        station.control("contact", open=False)


def test_every_event_arrives_exactly_once_although_processes_are_killed(demo: Demo) -> None:
    station = demo.stations[0]
    station.calm()
    after = station.last_event()

    def power_cut() -> None:
        demo.power(station, on=False)
        demo.power(station, on=True)
        until(station.answers, "the agent is back", limit_s=30)

    quarter = EVENTS // 8
    faults = {
        quarter: lambda: killed(demo, "bridge"),
        2 * quarter: lambda: killed(demo, "web"),
        3 * quarter: power_cut,
    }
    flow(station, EVENTS, faults)
    until(demo.serves, "the console is back", limit_s=20)

    def arrived() -> Counter[str]:
        return Counter(event["kind"] for event in station.events(after=after))

    until(lambda: arrived()["door.closed"] >= EVENTS // 2, "the last event is in the hub", limit_s=60)
    assert (arrived()["door.forced"], arrived()["door.closed"]) == (EVENTS // 2, EVENTS // 2)
    numbers = [(event["install"], event["seq"]) for event in station.events()]
    assert len({install for install, _ in numbers}) == 1
    assert sorted(seq for _, seq in numbers) == list(range(1, len(numbers) + 1))
    for alert in station.alerts():
        demo.api("POST", f"alerts/{alert['id']}/acknowledge")


def test_the_demo_says_how_long_it_took(demo: Demo) -> None:
    said = re.search(r"installation to three stations online: ([\d.]+) s", demo.output.read_text())
    assert said is not None
    assert float(said[1]) <= 20


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
