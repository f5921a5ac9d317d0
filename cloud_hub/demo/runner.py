"""Runs the demo: starts everything in order, says so, keeps it alive, and leaves nothing behind.

The main thread starts and waits; the keeper's thread restarts what dies; the stage serves from threads of its own.
"""

import contextlib
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from cloud_hub.demo import broker, hub, people, progress, stations
from cloud_hub.demo.broker import BrokerKind
from cloud_hub.demo.control import ControlError
from cloud_hub.demo.errors import DemoError, StopRequested
from cloud_hub.demo.faces import find_faces
from cloud_hub.demo.keeper import Keeper
from cloud_hub.demo.layout import Layout, open_layout
from cloud_hub.demo.ports import HOST, answers, free_ports, web_port
from cloud_hub.demo.processes import Child, Warden
from cloud_hub.demo.ready import Addresses, remove_ready, write_ready
from cloud_hub.demo.stage.server import Stage
from cloud_hub.demo.stations import Simulated
from cloud_hub.settings import CONFIG_VARIABLE, Hub

DEFAULT_FOLDER: Final = Path("demo-data")
MOST_STATIONS: Final = 20
START_LIMIT_S: Final = 90.0
"""A slow machine may take this long for one step before the demo gives up."""

LOOK_S: Final = 0.5
"""The kernel may hand a signal to any thread, and Python acts on it only when the main thread wakes."""

DEATHS_LIMIT: Final = 3
"""A service that dies this often before it has ever served is broken; a station that dies once is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """What the demo runs on.

    Attributes:
        broker: the embedded one, or the machine's own Mosquitto.
        database_url: SQLAlchemy address; a SQLite file in the demo's folder when None.
    """

    broker: BrokerKind = "embedded"
    database_url: str | None = None


def run(
    *,
    port: int | None,
    data_dir: Path | None,
    stations: int,
    ready_file: Path | None,
    backends: Backends,
) -> int:
    """Run the demo until Ctrl-C or SIGTERM. Returns the exit code.

    Args:
        port: of the console; a usual one or any free one when None.
        data_dir: everything is kept there; ``demo-data`` in the current folder when None.
        stations: how many, 1 to ``MOST_STATIONS``.
        ready_file: written when everything serves, removed at the end.
        backends: broker and database.
    """
    stop = threading.Event()
    with _signals(stop):
        try:
            _check_count(stations)
            remove_ready(ready_file)
            with open_layout(data_dir or DEFAULT_FOLDER) as layout:
                _Demo(
                    layout, port=port, count=stations, ready_file=ready_file, stop=stop, backends=backends
                ).run()
        except DemoError as error:
            click.secho(f"cloud-hub demo: {error}", fg="red", err=True)
            return 1
        except StopRequested:
            click.echo("  stopped before everything had started")
        finally:
            remove_ready(ready_file)
    return 0


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_STATIONS:
        raise DemoError(f"--stations: {count} is not between 1 and {MOST_STATIONS}")


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks for an orderly end."""
    before = {
        number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Demo:
    """One run."""

    def __init__(
        self,
        layout: Layout,
        *,
        port: int | None,
        count: int,
        ready_file: Path | None,
        stop: threading.Event,
        backends: Backends,
    ) -> None:
        self._layout = layout
        self._backends = backends
        self._stop = stop
        self._ready_file = ready_file
        self._faces = find_faces()
        self._web_port = web_port(port)
        self._broker_port, self._stage_port, *kiosk_ports = free_ports(2 + count)
        self._stations = stations.name_stations(layout, kiosk_ports)
        self._accounts = {
            name: secrets.token_urlsafe(18)
            for name in (hub.BRIDGE_ACCOUNT, "tester", *(station.id for station in self._stations))
        }
        self._warden = Warden()
        self._keeper = Keeper(progress.note)
        self._stage = Stage(
            port=self._stage_port,
            stations=self._stations,
            keeper=self._keeper,
            faces=self._faces,
            folder=layout.runtime,
            hub_url=f"http://{HOST}:{self._web_port}",
        )

    def run(self) -> None:
        """Start, serve, stop."""
        progress.heading(f"Yizhan demo · {self._layout.root}")
        try:
            settings, sign_in = self._prepare()
            self._start(settings)
            self._await_service(sign_in)
            self._announce(sign_in)
            while not self._stop.wait(LOOK_S):
                continue
            progress.note("stopping")
        finally:
            self._tidy()

    def _prepare(self) -> tuple[Hub, hub.SignIn]:
        """Files, keys, database, and the broker meanwhile."""
        self._keeper.watch()
        serve = broker.prepare(
            self._backends.broker, self._layout.broker, port=self._broker_port, accounts=self._accounts
        )
        self._keep("broker", serve)
        key = hub.command_key(self._layout)
        for station in self._stations:
            stations.write_station(
                station, broker_port=self._broker_port, password=self._accounts[station.id], command_key=key
            )
        settings = hub.write_settings(
            self._layout,
            web_port=self._web_port,
            broker_port=self._broker_port,
            broker_password=self._accounts[hub.BRIDGE_ACCOUNT],
            stage_url=self._stage.url,
            database_url=self._backends.database_url,
        )
        with ThreadPoolExecutor(1) as pool:
            keys = pool.submit(stations.provision, self._stations)
            sign_in = hub.prepare_database(settings)
            progress.step("database ready, administrator made")
            hub.register_stations(settings, self._stations, keys.result())
            people.furnish(settings, [station.id for station in self._stations])
        progress.step(f"{len(self._stations)} stations have their keys and are registered")
        self._await("the broker", "broker", lambda: answers(self._broker_port))
        progress.step(f"{self._backends.broker} broker on {HOST}:{self._broker_port} (MQTT 5)")
        return settings, sign_in

    def _start(self, settings: Hub) -> None:
        program = Path(sys.executable).with_name("cloud-hub")
        for name in ("web", "bridge"):
            self._keep(name, [program, name], {CONFIG_VARIABLE: str(settings.path)})
        for station in self._stations:
            self._keeper.start(self._child(station.id, station.run_command()), store=station.store)
        self._stage.start()

    def _await_service(self, sign_in: hub.SignIn) -> None:
        """Wait for every part, the slow ones side by side."""
        with ThreadPoolExecutor(len(self._stations)) as pool:
            enrolled = [pool.submit(self._enrol, station) for station in self._stations]
            self._await("the console", "web", lambda: hub.get(self._web_port, "/healthz")[0] == 200)  # noqa: PLR2004
            progress.step(f"console on {HOST}:{self._web_port}")
            self._await("the bridge", "bridge", lambda: hub.get(self._web_port, "/readyz")[0] == 200)  # noqa: PLR2004
            progress.step("bridge connected to the broker")
            for station, waiting in zip(self._stations, enrolled, strict=True):
                self._await(station.id, station.id, waiting.done)
                waiting.result()
                progress.step(f"{station.id} {station.name}: worker enrolled")
        wanted = {station.id for station in self._stations}
        self._await(
            "the hub to see the stations",
            "bridge",
            lambda: wanted <= hub.online(self._web_port, sign_in.api_token),
        )
        progress.step(f"{len(wanted)} stations online")

    def _announce(self, sign_in: hub.SignIn) -> None:
        took_s = progress.seconds_since_start()
        addresses = Addresses(
            web_port=self._web_port,
            broker_port=self._broker_port,
            stage_url=self._stage.url,
            tester=("tester", self._accounts["tester"]),
        )
        if self._ready_file is not None:
            write_ready(
                self._ready_file,
                addresses=addresses,
                sign_in=sign_in,
                stations=self._stations,
                faces=self._faces,
                pids=self._keeper.pids(),
            )
        progress.summary(
            [
                ("控制台 Console", addresses.url),
                ("用户名 User", sign_in.username),
                ("密码 Password", sign_in.password),
                ("舞台 Stage", addresses.stage_url),
                *(("门口屏幕 Kiosk", f"{station.kiosk_url} {station.name}") for station in self._stations),
                ("日志 Logs", str(self._layout.log("*"))),
                ("停止 Stop", "Ctrl-C"),
            ]
        )
        count = len(self._stations)
        click.echo(f"  Time from finished installation to {_in_words(count)} online: {took_s:.1f} s\n")
        sys.stdout.flush()

    def _tidy(self) -> None:
        remove_ready(self._ready_file)
        for station in self._stations:
            if self._keeper.pids().get(station.id):
                stations.forget_visitor(station)
        self._stage.close()
        self._keeper.close()
        self._warden.close()
        progress.step("everything stopped")

    def _keep(
        self, name: str, command: Sequence[str | Path], environment: dict[str, str] | None = None
    ) -> None:
        self._keeper.start(self._child(name, command, environment))

    def _child(
        self, name: str, command: Sequence[str | Path], environment: dict[str, str] | None = None
    ) -> Child:
        return Child(name, command, log=self._layout.log(name), warden=self._warden, environment=environment)

    def _enrol(self, station: Simulated) -> int:
        deadline_s = time.monotonic() + START_LIMIT_S
        while not self._stop.is_set():
            try:
                stations.wait_until_answering(station, limit_s=1.0)
                return stations.prepare_people(station, self._faces)
            except ControlError as error:
                if time.monotonic() > deadline_s:
                    raise DemoError(str(error)) from error
        return 0

    def _await(self, what: str, process: str, condition: Callable[[], bool]) -> None:
        """Wait for a condition that the named process brings about.

        Raises:
            DemoError: it never came, or the process keeps dying.
            StopRequested: the person does not want to wait.
        """
        deadline_s = time.monotonic() + START_LIMIT_S
        while not condition():
            if self._stop.wait(0.05):
                raise StopRequested
            station = any(station.id == process for station in self._stations)
            broken = self._keeper.deaths(process) >= (1 if station else DEATHS_LIMIT)
            if broken or time.monotonic() > deadline_s:
                why = "died" if broken else f"did not serve within {START_LIMIT_S:.0f} s"
                raise DemoError(
                    f"waiting for {what}: {process} {why}. The end of {self._layout.log(process)}:\n"
                    + self._keeper.last_words(process)
                )


def _in_words(count: int) -> str:
    return {1: "one station", 2: "two stations", 3: "three stations"}.get(count, f"{count} stations")
