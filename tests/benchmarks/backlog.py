"""72 hours offline at ten events a minute, then a hundred stations come back at once, and each raises live alarms.

Real Mosquitto, bridge, web and database; of each station the real stores, outbox, pump and link (``fleet``). Every event
must be at the hub once, nothing may be lost, and an alarm must not wait behind the backlog.

``python -m tests.benchmarks.backlog --fraction 0.05`` for a look; ``make bench ARGS=backlog`` is the whole thing.
"""

import http.client
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final

import click
import msgspec
import requests
from sqlalchemy import func, select

from cloud_hub.models import Alert, Event, Reading
from tests.benchmarks import fleet
from tests.benchmarks.report import Row, heading, spread, table
from tests.benchmarks.rig import DATABASES, BenchHub, bench_hub

SEED: Final = 1
STATIONS: Final = 100
PROCESSES: Final = 4
EVENTS: Final = 72 * 60 * 10
READINGS: Final = 72 * 60 * 2
ALARM_EVERY_S: Final = 10.0
ALARM_LIMIT_S: Final = 5.0
LIMIT_S: Final = 3_600.0
ASK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is.

    Attributes:
        events: waiting at each station.
        readings: waiting at each station.
    """

    stations: int = STATIONS
    events: int = EVENTS
    readings: int = READINGS
    processes: int = PROCESSES
    alarm_every_s: float = ALARM_EVERY_S


@dataclass(slots=True)
class Web:
    """What somebody at the console saw meanwhile."""

    answers_ms: list[float] = field(default_factory=list)
    errors: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        missing: events and readings that are not at the hub, or at the hub and nobody's.
        counted: live alarms by the counts of the alerts; each must count once.
        again: events that came more than once.
    """

    size: Size
    drain_s: float
    reports: list[fleet.Report]
    missing: int
    counted: int
    again: int
    bridge_kib: int
    web: Web

    @property
    def latencies_s(self) -> list[float]:
        """Of all live alarms."""
        return [latency_s for report in self.reports for latency_s in report.latencies_s]

    @property
    def raised(self) -> int:
        """Live alarms."""
        return sum(count for report in self.reports for count in report.raised.values())


def measure() -> list[Row]:
    """At full size, on both databases."""
    return [row for database in DATABASES for row in rows(database, run(database, Size()))]


def run(database: str, size: Size, *, seed: int = SEED) -> Outcome:
    """Fill, connect all at once, drain, count."""
    names = [f"st-bench{number:04}" for number in range(size.stations)]
    with tempfile.TemporaryDirectory(prefix="yz-") as folder, ExitStack() as stack:
        home = Path(folder)
        fleet.fill(home / "template", events=size.events, readings=size.readings, seed=seed)
        hub = stack.enter_context(bench_hub(home / "hub", database=database, stations=names))
        keys = {
            name: fleet.settle(
                home / "template", home / name, name=name, hub_public=hub.command_key, port=hub.broker.port
            )
            for name in names
        }
        hub.register(keys)
        hub.start("bridge", "web")
        parts = [
            stack.enter_context(
                _process(
                    home / f"fleet{number}.json", home, names[number :: size.processes], size, seed + number
                )
            )
            for number in range(size.processes)
        ]
        for part in parts:
            _expect(part, "ready")
        with _console(hub) as web:
            began_s = time.monotonic()
            for part in parts:
                _tell(part, "go")
            for part in parts:
                _expect(part, "drained")
            drain_s = time.monotonic() - began_s
        for part in parts:
            _tell(part, "stop")
        reports = [msgspec.json.decode(_line(part), type=fleet.Report) for part in parts]
        bridge_kib = _peak_kib(hub.processes["bridge"].pid)
        again = _again(hub)
        hub.stop()
        return _judge(hub, size, drain_s, reports, again=again, bridge_kib=bridge_kib, web=web)


def rows(database: str, outcome: Outcome) -> list[Row]:
    """The figures."""
    size = outcome.size
    items = size.stations * (size.events + size.readings) + outcome.raised
    unacknowledged = sum(report.unacknowledged for report in outcome.reports)
    station_mib = sum(report.peak_kib for report in outcome.reports) / 1024
    return [
        Row(
            f"{database}: {size.stations} stations drained, with {size.events} events and {size.readings} readings each",
            items,
            f"{outcome.drain_s:.0f} s, {items / outcome.drain_s:.0f} rows a second",
        ),
        Row(
            f"{database}: live alarm, put to acknowledged by the hub after its commit (p99 at most {ALARM_LIMIT_S:g} s)",
            len(outcome.latencies_s),
            spread([latency_s * 1000 for latency_s in outcome.latencies_s], "ms")
            + f", most {max(outcome.latencies_s):.2f} s",
        ),
        Row(f"{database}: events and readings missing or too many at the hub", items, str(outcome.missing)),
        Row(
            f"{database}: live alarms not acknowledged; not counted exactly once by an alert",
            outcome.raised,
            f"{unacknowledged}; {abs(outcome.counted - outcome.raised)}",
        ),
        Row(f"{database}: events that came more than once, and were stored once", items, str(outcome.again)),
        Row(
            f"{database}: console meanwhile: answers of 500 and above",
            len(outcome.web.answers_ms),
            f"{outcome.web.errors}; {spread(outcome.web.answers_ms, 'ms')}",
        ),
        Row(
            f"{database}: peak memory: bridge; all stations together",
            1,
            f"{outcome.bridge_kib / 1024:.0f} MiB; {station_mib:.0f} MiB in {size.processes} processes",
        ),
    ]


def _judge(
    hub: BenchHub,
    size: Size,
    drain_s: float,
    reports: list[fleet.Report],
    *,
    again: int,
    bridge_kib: int,
    web: Web,
) -> Outcome:
    raised = {name: count for report in reports for name, count in report.raised.items()}
    with hub.sessions() as session:
        events = dict(
            session.execute(select(Event.station_id, func.count()).group_by(Event.station_id)).all()
        )
        readings = dict(
            session.execute(select(Reading.station_id, func.count()).group_by(Reading.station_id)).all()
        )
        counted = session.scalar(select(func.sum(Alert.count)).where(Alert.kind == "door.forced")) or 0
    missing = sum(
        abs(size.events + count - events.get(name, 0)) + abs(size.readings - readings.get(name, 0))
        for name, count in raised.items()
    )
    return Outcome(size, drain_s, reports, missing, counted, again, bridge_kib, web)


@contextmanager
def _process(
    orders: Path, home: Path, names: list[str], size: Size, seed: int
) -> Iterator[subprocess.Popen[str]]:
    wanted = fleet.Orders([str(home / name) for name in names], size.alarm_every_s, seed)
    orders.write_bytes(msgspec.json.encode(wanted))
    with (
        orders.with_suffix(".log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.fleet", orders],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _tell(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdin is not None
    process.stdin.write(word + "\n")
    process.stdin.flush()


def _line(process: subprocess.Popen[str]) -> str:
    """Its next line; the watchdog of ``LIMIT_S`` ends a process that says nothing."""
    assert process.stdout is not None
    watchdog = threading.Timer(LIMIT_S, process.kill)
    watchdog.start()
    try:
        return process.stdout.readline()
    finally:
        watchdog.cancel()


def _expect(process: subprocess.Popen[str], word: str) -> None:
    if (said := _line(process).strip()) != word:
        raise RuntimeError(f"a process of the fleet said {said!r} instead of {word!r}")


@contextmanager
def _console(hub: BenchHub) -> Iterator[Web]:
    """Somebody looks at stations and alerts all the time."""
    (token,) = hub.operators(1)
    seen, stop = Web(), threading.Event()

    def look() -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {token}"
            while not stop.wait(ASK_EVERY_S):
                for path in ("stations?limit=50", "alerts?state=open"):
                    began_s = time.perf_counter()
                    try:
                        status = session.get(f"{hub.api}/{path}", timeout=30).status_code
                    except requests.RequestException:
                        status = HTTPStatus.INTERNAL_SERVER_ERROR
                    seen.answers_ms.append((time.perf_counter() - began_s) * 1000)
                    seen.errors += status >= HTTPStatus.INTERNAL_SERVER_ERROR

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def _again(hub: BenchHub) -> int:
    line = http.client.HTTPConnection("127.0.0.1", hub.web_port, timeout=30)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    line.close()
    found = [row for row in text.splitlines() if row.startswith("yizhan_events_duplicate")]
    return int(sum(float(row.split()[-1]) for row in found if "_created" not in row))


def _peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


@click.command()
@click.option("--database", type=click.Choice(DATABASES), multiple=True, default=DATABASES)
@click.option("--stations", default=STATIONS, show_default=True)
@click.option("--fraction", default=1.0, show_default=True, help="Of 72 hours.")
@click.option("--seed", default=SEED, show_default=True)
def main(*, database: tuple[str, ...], stations: int, fraction: float, seed: int) -> None:
    """Measure the drain of a backlog."""
    size = Size(
        stations=stations,
        events=int(EVENTS * fraction),
        readings=int(READINGS * fraction),
        processes=min(PROCESSES, stations),
    )
    click.echo(heading(seed=seed) + "\n")
    for name in database:
        click.echo(table(f"Backlog, {fraction:g} of 72 hours", rows(name, run(name, size, seed=seed))))


if __name__ == "__main__":
    main()
