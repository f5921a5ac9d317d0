"""A click to the relay's edge: real web, bridge, Mosquitto and agents, beside two bare round trips of the same broker.

The limits of a door (three a minute) and of an operator (six) stay as they are: many doors and many operators take turns.
"""

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from typing import Any, Final, Self

from firmware_config.signing import encode_public, new_private_key
from tests.benchmarks.echo import Probe, open_probe
from tests.benchmarks.report import Row, percentile, spread
from tests.benchmarks.rig import PASSWORD, BenchHub, bench_hub, until
from tests.support.agent import AgentProcess

ORDERS: Final = 500
WARM_UP: Final = 20
STATIONS: Final = 5
RELAYS: Final = (9, 10, 11, 12, 13, 16, 17, 18)
CONTACTS: Final = (4, 5, 6, 7, 8, 19, 20, 21)
"""Pins of eight doors, the most a station may have."""

OPERATORS: Final = 24
LEAST_GAP_S: Final = 0.2
EDGE_LIMIT_S: Final = 10.0
WORST_RATIO: Final = 8.0
STATES: Final = ("REQUESTED", "SENT", "CHALLENGED", "AUTHORISED", "PULSING", "OPENED")

STATION: Final = """\
schema = 1
station = "{station}"
name = "Bench station"
data_dir = "data"
profile = "profile.toml"
signing_key_file = "station.pem"
hub = {{ command_keys = [{{ public = "{hub_public}" }}] }}
face = {{ enabled = false, liveness = "off" }}
occupancy = {{ capacity = 8 }}

[broker]
host = "127.0.0.1"
port = {port}
tls = false
username = "{station}"
password_file = "broker.password"
"""
PROFILE: Final = 'schema = 1\ntitle = "Doors only"\nboard = "bench"\n'


@dataclass(frozen=True, slots=True)
class Click:
    """One order.

    Attributes:
        reference_ms: two bare round trips just before it.
        answered_ms: until the HTTP answer.
        edge_ms: until the relay was energised.
        final_ms: until its final state was seen in the API.
        hops_ms: until each state, by the order's own timeline.
        state: the final one. On a machine that stands still for half a second nobody walks through in time.
    """

    reference_ms: float
    answered_ms: float
    edge_ms: float
    final_ms: float
    hops_ms: dict[str, float]
    state: str


class Trace:
    """Follows an agent's trace from where it stands."""

    def __init__(self, path: Path) -> None:
        self._file = path.open(encoding="utf-8")
        self._part = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def energised_s(self, door: str) -> float:
        """When the relay of a door is energised next, on CLOCK_BOOTTIME, which is also this process's."""
        deadline_s = time.monotonic() + EDGE_LIMIT_S
        while True:
            for edge in self._edges():
                if edge["device"] == f"relay:{door}" and edge["value"] == 1:
                    return float(edge["t"])
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"no edge at {door}")
            time.sleep(0.004)

    def skip(self) -> None:
        """Forget what there is."""
        self._file.seek(0, 2)
        self._part = ""

    def _edges(self) -> Iterator[dict[str, Any]]:
        *whole, self._part = (self._part + self._file.read()).split("\n")
        return (json.loads(line) for line in whole if line)


class Desk:
    """The operators, on one kept connection."""

    def __init__(self, hub: BenchHub, tokens: list[str]) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", hub.web_port, timeout=30)
        self._tokens = tokens
        self._turn = cycle(tokens)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def warm_up(self) -> None:
        """Each token's first use is an entry in the audit log."""
        for token in self._tokens:
            self._ask("GET", "/stations", token)

    def unlock(self, station: str, door: str) -> dict[str, Any]:
        """Order it; accepted, or the benchmark is wrong."""
        path = f"/stations/{station}/doors/{door}/unlock"
        status, body = self._ask("POST", path, next(self._turn), {"reason": "measurement", "pulse_ms": 500})
        assert status == HTTPStatus.ACCEPTED, body
        return body

    def command(self, command_id: str) -> dict[str, Any]:
        """An order as the API shows it."""
        status, body = self._ask("GET", f"/commands/{command_id}", self._tokens[0])
        assert status == HTTPStatus.OK, body
        return body

    def online(self) -> set[str]:
        """Ids of the stations that the hub calls online."""
        _, body = self._ask("GET", "/stations?limit=200", self._tokens[0])
        return {item["id"] for item in body["items"] if item["presence"] == "online"}

    def _ask(
        self, method: str, path: str, token: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        raw = None if body is None else json.dumps(body).encode()
        self._line.request(method, f"/api/v1{path}", raw, headers)
        answer = self._line.getresponse()
        return answer.status, json.loads(answer.read())


def measure() -> list[Row]:
    """On SQLite, then on PostgreSQL."""
    return [row for database in ("sqlite", "postgres") for row in rows(database, run(database))]


def run(
    database: str, *, orders: int = ORDERS, stations: int = STATIONS, warm_up: int = WARM_UP
) -> list[Click]:
    """That many orders, after a few that do not count."""
    names = [f"st-bench{number:04}" for number in range(stations)]
    with tempfile.TemporaryDirectory(prefix="yz-") as folder, ExitStack() as stack:
        hub = stack.enter_context(bench_hub(Path(folder) / "hub", database=database, stations=names))
        agents = {name: _agent(Path(folder) / name, name, hub) for name in names}
        hub.start("bridge", "web")
        for agent in agents.values():
            agent.start()
            stack.callback(agent.stop)
        desk = Desk(hub, hub.operators(OPERATORS))
        stack.callback(desk.close)
        desk.warm_up()
        until(lambda: desk.online() == set(names), "every station is online")
        traces = {name: stack.enter_context(Trace(agent.trace_file)) for name, agent in agents.items()}
        probe = stack.enter_context(open_probe(hub.broker.port))
        places = cycle([(name, f"door{number}") for number in range(len(RELAYS)) for name in names])
        in_a_minute = min(3 * stations * len(RELAYS), 6 * OPERATORS)
        gap_s = LEAST_GAP_S if orders + warm_up <= in_a_minute else max(LEAST_GAP_S, 61 / in_a_minute)
        clicks = []
        for number in range(orders + warm_up):
            due_s = time.monotonic() + gap_s
            station, door = next(places)
            traces[station].skip()
            agents[station].do(op="walk_through", door=door)
            click = _click(desk, probe, traces[station], station, door)
            if number >= warm_up:
                clicks.append(click)
            time.sleep(max(0.0, due_s - time.monotonic()))
        return clicks


def rows(database: str, clicks: list[Click]) -> list[Row]:
    """The figures, and where the time went."""
    n = len(clicks)
    edges, references = [click.edge_ms for click in clicks], [click.reference_ms for click in clicks]
    ratio = statistics.median(edges) / statistics.median(references)
    opened = [click for click in clicks if click.state == STATES[-1]]
    hops = " → ".join(
        f"{state} {statistics.median(click.hops_ms[state] for click in opened):.1f}" for state in STATES[:-1]
    )
    return [
        Row(f"{database}: click to relay energised", n, spread(edges, "ms")),
        Row(f"{database}: two bare QoS 1 round trips, between the clicks", n, spread(references, "ms")),
        Row(
            f"{database}: ratio of the medians (at most {WORST_RATIO:g})",
            n,
            f"{ratio:.2f}; of p95 {percentile(edges, 0.95) / percentile(references, 0.95):.2f}",
        ),
        Row(f"{database}: click to HTTP answer", n, spread([click.answered_ms for click in clicks], "ms")),
        Row(
            f"{database}: click to OPENED in the API (pulse 0.5 s, looked at every 20 ms)",
            n,
            spread([click.final_ms for click in opened], "ms"),
        ),
        Row(f"{database}: ended OPENED", n, str(len(opened))),
        Row(f"{database}: median ms after the click", n, hops),
    ]


def _click(desk: Desk, probe: Probe, trace: Trace, station: str, door: str) -> Click:
    reference_ms = probe.round_trips_ms(2)
    wall_s, began_s = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    command = desk.unlock(station, door)
    answered_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    edge_s = trace.energised_s(door)
    while not command["final"]:
        time.sleep(0.02)
        command = desk.command(command["id"])
    final_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    hops = {
        step["state"]: (datetime.fromisoformat(step["at"]).timestamp() - wall_s) * 1000
        for step in command["timeline"]
    }
    return Click(
        reference_ms,
        (answered_s - began_s) * 1000,
        (edge_s - began_s) * 1000,
        (final_s - began_s) * 1000,
        hops,
        command["state"],
    )


def _agent(folder: Path, name: str, hub: BenchHub) -> AgentProcess:
    folder.mkdir()
    key = new_private_key(folder / "station.pem")
    hub.register({name: encode_public(key.public_key())})
    (folder / "broker.password").write_text(f"{PASSWORD}\n")
    profile = PROFILE
    station = STATION.format(station=name, hub_public=hub.command_key, port=hub.broker.port)
    for number, (relay, contact) in enumerate(zip(RELAYS, CONTACTS, strict=True)):
        profile += f'[[doors]]\nid = "door{number}"\nrelay = {{ pin = {relay} }}\n'
        profile += f"contact = {{ pin = {contact}, active_low = false }}\n"
        station += f'[[doors]]\nid = "door{number}"\nlock = "fail_secure"\n'
    (folder / "profile.toml").write_text(profile, encoding="utf-8")
    (folder / "station.toml").write_text(station, encoding="utf-8")
    return AgentProcess(folder / "station.toml")
