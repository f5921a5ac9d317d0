"""The demo, really running: one per test session, driven from outside by its API, control sockets and traces."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import pytest
import requests

from cloud_hub.demo.control import ControlError, call
from tests.support.parts import program, require

START_LIMIT_S: Final = 120.0
STOP_LIMIT_S: Final = 40.0

MARK: Final = "YIZHAN_TEST_DEMO"
"""Environment variable by which every process of one demo is known."""

if TYPE_CHECKING:
    from tests.support.postgres import Server

Found = TypeVar("Found")


def until(find: Callable[[], Found], what: str, *, limit_s: float = 30.0, every_s: float = 0.05) -> Found:
    """Ask until the answer is true, and return it; fail with ``what`` after ``limit_s`` seconds."""
    deadline_s = time.monotonic() + limit_s
    while True:
        found = find()
        if found:
            return found
        assert time.monotonic() < deadline_s, f"not within {limit_s:g} s: {what}"
        time.sleep(every_s)


class Station:
    """One simulated station of a running demo, as seen from outside."""

    def __init__(self, demo: "Demo", entry: dict[str, Any]) -> None:
        self._demo = demo
        self.id: str = entry["id"]
        self.door: str = entry["door"]
        self.socket = Path(entry["control"])
        self.trace_file = Path(entry["trace"])
        self.config = Path(entry["config"])
        self.worker = Path(entry["worker_image"])
        self.stranger = Path(entry["stranger_image"])

    def control(self, op: str, **fields: Any) -> dict[str, Any]:
        """Move the simulated world."""
        return call(self.socket, op, **fields)

    def answers(self) -> bool:
        """The agent serves its control socket."""
        with contextlib.suppress(ControlError):
            return bool(self.control("status")["ok"])
        return False

    def trace(self) -> list[dict[str, Any]]:
        """Every edge so far; the last line may still be being written."""
        lines = self.trace_file.read_text().splitlines(keepends=True)
        # a killed agent may have left half a line
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    def pulses(self) -> int:
        """How often the lock's relay has been energised."""
        return sum(edge["device"] == f"relay:{self.door}" and edge["value"] == 1 for edge in self.trace())

    def last_event(self) -> str | None:
        """Id of the newest event in the hub, for ``events``."""
        events = self.events()
        return str(events[-1]["id"]) if events else None

    def events(self, *, kind: str | None = None, after: str | None = None) -> list[dict[str, Any]]:
        """Events in the hub, oldest first."""
        items: list[dict[str, Any]] = []
        wanted = {"station": self.id, "kind": kind, "after": after, "limit": 200}
        while True:
            page = self._demo.get("events", **wanted)
            items += page["items"]
            if page["next"] is None:
                return items
            wanted["after"] = page["next"]

    def presence(self) -> str:
        """What the hub says of it."""
        (item,) = [item for item in self._demo.get("stations")["items"] if item["id"] == self.id]
        return str(item["presence"])

    def alerts(self, *, state: str = "open") -> list[dict[str, Any]]:
        """Its alerts, without the standing notice that the demo checks no liveness."""
        found = self._demo.get("alerts", state=state)["items"]
        return [item for item in found if item["station"] == self.id and item["kind"] != "liveness.off"]

    def calm(self) -> None:
        """Nobody before the camera, door shut, no wire pulled, and the lock released."""
        self.control("clear")
        self.control("fire", active=False)
        self.control("contact", open=False)
        self.control("network", up=True)
        until(
            lambda: self.control("status")["doors"][self.door] == "locked",
            f"{self.id} came to rest",
            limit_s=30,
        )


class Demo:
    """A running demo."""

    def __init__(self, folder: Path, *, stations: int = 3, options: Sequence[str] = ()) -> None:
        self.folder = folder
        self._options = options
        self.count = stations
        self.ready_file = folder / "ready.json"
        self.output = folder / "output.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._mark = os.urandom(8).hex()
        self.ready: dict[str, Any] = {}
        self.stations: list[Station] = []

    def launch(self) -> None:
        """Start it."""
        command = Path(sys.executable).with_name("cloud-hub")
        options = ("--data", self.folder / "data", "--stations", self.count, "--ready-file", self.ready_file)
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [str(command), "demo", *map(str, options), *self._options],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, MARK: self._mark},
            )

    def start(self) -> None:
        """Start it and wait for the ready file."""
        self.launch()
        until(
            lambda: self.ready_file.exists() or self._process_ended(),
            "the demo is ready",
            limit_s=START_LIMIT_S,
        )
        assert self.ready_file.exists(), self.output.read_text()
        self.ready = json.loads(self.ready_file.read_text())
        self.stations = [Station(self, entry) for entry in self.ready["stations"]]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it and return its exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            os.kill(self._process.pid, number)
        try:
            return self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its warden ends the rest, so that no other test suffers
            self._process.wait()
            raise

    def processes(self, word: str = "") -> list[int]:
        """Ids of its living processes, itself included, whose command line has this word."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                ours = f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes()
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if ours and (not word or word in words):
                    found.append(int(folder.name))
        return sorted(found)

    def serves(self) -> bool:
        """The console answers."""
        try:
            return requests.get(f"{self.ready['url']}/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False

    def api(self, method: str, path: str, **more: Any) -> requests.Response:
        """Ask the hub's API."""
        headers = {"Authorization": f"Bearer {self.ready['api_token']}"}
        return requests.request(
            method, f"{self.ready['url']}/api/v1/{path}", headers=headers, timeout=15, **more
        )

    def get(self, path: str, **query: Any) -> Any:
        """One document of the API."""
        wanted = {name: value for name, value in query.items() if value is not None}
        answer = self.api("GET", path, params=wanted)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def unlock(self, station: Station, reason: str = "test") -> dict[str, Any]:
        """Order an unlock; the command as accepted."""
        answer = self.api(
            "POST", f"stations/{station.id}/doors/{station.door}/unlock", json={"reason": reason}
        )
        assert answer.status_code == 202, answer.text
        command: dict[str, Any] = answer.json()
        return command

    def outcome(self, command: dict[str, Any], *, limit_s: float = 30.0) -> dict[str, Any]:
        """Wait for an order's final state."""

        def final() -> dict[str, Any] | None:
            found: dict[str, Any] = self.get(f"commands/{command['id']}")
            return found if found["final"] else None

        found = until(final, f"command {command['id']} is final", limit_s=limit_s)
        assert found is not None
        return found

    def power(self, station: Station, *, on: bool) -> None:
        """Cut or restore a station's power on the stage, as a visitor does."""
        stage = urlsplit(self.ready["stage_url"])
        with requests.Session() as browser:
            browser.get(self.ready["stage_url"], timeout=15).raise_for_status()
            answer = browser.post(
                f"http://{stage.netloc}/stations/{station.id}/act",
                json={"action": "power", "value": on},
                headers={"Origin": f"http://{stage.netloc}"},
                timeout=15,
            )
        assert answer.status_code == 200, answer.text

    def log(self, name: str) -> str:
        """Log of one process."""
        return (self.folder / "data" / "logs" / f"{name}.log").read_text()

    def _process_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None


BACKENDS: Final = ("sqlite-embedded", "postgres-mosquitto")


@pytest.fixture(scope="module", params=BACKENDS)
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """One demo per pair of back ends, for all tests of a file; each leaves it as it found it."""
    options: tuple[str, ...] = ()
    if request.param == "postgres-mosquitto":
        require(program("mosquitto", "/usr/sbin"), "Mosquitto is not installed")
        server: Server = request.getfixturevalue("postgres_server")
        database = f"demo{os.urandom(4).hex()}"
        server.execute(f"CREATE DATABASE {database}")
        options = ("--broker", "mosquitto", "--database-url", server.url(database))
    folder = Path(tempfile.mkdtemp(prefix="yizhan-demo-"))
    demo = Demo(folder, options=options)
    try:
        demo.start()
        yield demo
    finally:
        demo.stop()
        shutil.rmtree(folder, ignore_errors=True)
