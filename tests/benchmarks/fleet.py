"""Light stations: the real Store, Outbox, Pump and Link of each, many in one process, and nothing else of an agent.

``python -m tests.benchmarks.fleet FILE`` runs those that the JSON file names. It says ``ready``, connects all of them
when told ``go``, says ``drained`` once nothing waits in any of them, and ends with a report when told ``stop``.
"""

import heapq
import json
import os
import queue
import random
import resource
import shutil
import sqlite3
import sys
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from firmware_config.signing import Signer, Verifier, encode_public, load_private_key
from firmware_config.station import load_station
from firmware_config.turns import take_short_turns
from firmware_config.vocabulary import DoorState, EventKind
from firmware_config.wire import Ack, DoorStatus, OccupancyStatus, Scalar
from station_agent.clock import Stamp, SystemClock
from station_agent.link.link import Link
from station_agent.link.presence import Status
from station_agent.people.copying import NoCopies
from station_agent.store.roster import RosterStore
from station_agent.store.store import Store
from station_agent.store.sums import row_sum, teach
from tests.benchmarks.rig import PASSWORD
from tests.support.stations import write_station

CHUNK: Final = 5_000
HOUR_MS: Final = 3_600_000
OUTAGE_H: Final = 72
LOOK_S: Final = 0.5
FILES: Final = ("safety.db", "telemetry.db")

VISIT: Final[tuple[tuple[EventKind, dict[str, Scalar]], ...]] = (
    (EventKind.ACCESS_GRANTED, {"door": "main", "via": "face", "person": "w-7f3a", "score": 0.71}),
    (EventKind.DOOR_OPENED, {"door": "main", "via": "face", "person": "w-7f3a"}),
    (EventKind.DOOR_CLOSED, {"door": "main"}),
    (EventKind.OCCUPANCY_CHANGED, {"estimate": 3, "low": 2, "high": 4, "capacity": 12}),
    (EventKind.ACCESS_DENIED, {"door": "main", "via": "face", "reason": "unknown_face", "score": 0.21}),
)
"""What mostly happens at a station; now and then somebody asks for help."""

HELP_SHARE: Final = 0.005


@dataclass(frozen=True, slots=True)
class Orders:
    """What one process is to run.

    Attributes:
        stations: folders, each with a station file and filled stores.
        alarm_every_s: between two live alarms of a station that still has something waiting; 0 for none.
    """

    stations: list[str]
    alarm_every_s: float
    seed: int


@dataclass(slots=True)
class Report:
    """What it saw.

    Attributes:
        latencies_s: of each alarm, from ``put_event`` to the hub's own acknowledgement, which follows its commit.
        raised: by station.
        unacknowledged: alarms that the hub did not acknowledge.
        peak_kib: resident.
    """

    latencies_s: list[float] = field(default_factory=list)
    raised: dict[str, int] = field(default_factory=dict)
    unacknowledged: int = 0
    peak_kib: int = 0


class SyncedClock(SystemClock):
    """The machine's clock, declared to be right."""

    def stamp(self) -> Stamp:
        """This moment."""
        now = super().stamp()
        return Stamp(boot_id=now.boot_id, mono_ms=now.mono_ms, wall_ms=now.wall_ms, trust="synced")


class TimedStore(Store):
    """Notes when its live alarms were raised and when the hub acknowledged them."""

    def __init__(self, folder: Path, *, station: str, stamp: Stamp) -> None:
        super().__init__(folder, station=station, stamp=stamp)
        self._next = self.event_seq + 1
        self._first = self._next
        self._raised_s: dict[int, float] = {}
        self.latencies_s: list[float] = []

    @property
    def raised(self) -> int:
        """Live alarms so far."""
        return self._next - self._first

    @property
    def unacknowledged(self) -> int:
        """Live alarms that the hub has not said it has."""
        return len(self._raised_s)

    def raise_alarm(self, stamp: Stamp) -> None:
        """Something that must be known at once. One thread."""
        self._raised_s[self._next] = time.monotonic()
        self._next += 1
        self.put_event(EventKind.DOOR_FORCED, {"door": "main"}, stamp)

    def acknowledge(self, ack: Ack) -> None:
        """The hub has these."""
        now_s = time.monotonic()
        if ack.install_id == self.install_id:
            for seq in ack.events:
                if seq >= self._first and (raised_s := self._raised_s.pop(seq, None)) is not None:
                    self.latencies_s.append(now_s - raised_s)
        super().acknowledge(ack)


class LightStation:
    """One of them."""

    def __init__(self, folder: Path) -> None:
        station = load_station(folder / "station.toml")
        self.id = station.config.station
        self.clock = SyncedClock()
        self.store = TimedStore(folder / "data", station=self.id, stamp=self.clock.stamp())
        verifier = Verifier.of(*(key.public for key in station.config.hub.command_keys))
        self._link = Link(
            station=station,
            signer=Signer(load_private_key(folder / "station.pem")),
            store=self.store,
            roster=RosterStore(folder / "data" / "roster.bin", verifier=verifier, station=self.id),
            erase=lambda _: None,
            clock=self.clock,
            put=lambda _: None,
            status=_status,
            copies=NoCopies(),
        )
        self._link.set_network(up=False)
        self._link.start()

    @property
    def drained(self) -> bool:
        """Nothing waits."""
        return not self.store.backlog().rows and not self.store.telemetry.readings(1)

    def connect(self) -> None:
        """The network is back."""
        self._link.set_network(up=True)

    def close(self) -> None:
        """Disconnect and close the files."""
        self._link.stop()
        self.store.close()


def fill(folder: Path, *, events: int, readings: int, seed: int) -> None:
    """Stores of a station that was offline for 72 hours, through their own interface."""
    rng = random.Random(seed)  # noqa: S311 (a benchmark repeats)
    now_ms = time.time_ns() // 1_000_000
    boot_id = f"{seed:032x}"

    def stamp(share: float) -> Stamp:
        mono_ms = int(share * OUTAGE_H * HOUR_MS)
        return Stamp(
            boot_id=boot_id, mono_ms=mono_ms, wall_ms=now_ms - OUTAGE_H * HOUR_MS + mono_ms, trust="synced"
        )

    with closing(Store(folder, station="st-template", stamp=stamp(0))) as store:
        for number in range(events):
            kind, data = VISIT[number % len(VISIT)]
            if rng.random() < HELP_SHARE:
                kind, data = EventKind.HELP_REQUESTED, {"door": "main"}
            store.put_event(kind, data, stamp(number / events))
            if number % CHUNK == CHUNK - 1:
                _must(store.barrier(60))
        for number in range(readings):
            store.put_reading("temperature", round(rng.gauss(22, 2), 2), stamp(number / readings))
            if number % CHUNK == CHUNK - 1:
                _must(store.telemetry.barrier(60))
        _must(store.barrier(60) and store.telemetry.barrier(60))
        _must(store.backlog().rows == events)


def settle(template: Path, folder: Path, *, name: str, hub_public: str, port: int) -> str:
    """Set a station up with a copy of filled stores under numbers of its own; its public key."""
    _, signer = write_station(folder, station=name, hub_public=hub_public, port=port, password=PASSWORD)
    config = folder / "station.toml"
    config.write_text(config.read_text(encoding="utf-8").replace("heartbeat_s = 0.5\n", ""), encoding="utf-8")
    (folder / "data").mkdir()
    for file in FILES:
        shutil.copyfile(template / file, folder / "data" / file)
        install_id = os.urandom(16).hex()
        with closing(sqlite3.connect(folder / "data" / file, isolation_level=None)) as connection:
            teach(connection)
            connection.execute(
                "UPDATE identity SET value = ?, sum = ? WHERE name = 'install_id'",
                (install_id, row_sum("install_id", install_id)),
            )
    return encode_public(signer.public)


def _status() -> Status:
    door = DoorStatus(id="main", state=DoorState.LOCKED, relay=False, contact_open=False)
    crowd = OccupancyStatus(estimate=0, low=0, high=0, capacity=4)
    return Status(doors=[door], occupancy=crowd, cameras={})


def _must(condition: object) -> None:
    if not condition:
        raise RuntimeError("the stores could not be filled in time")


def _alarms(stations: list[LightStation], orders: Orders, stop: threading.Event) -> None:
    """Each station that still has something waiting raises alarms of its own, out of step with the others."""
    rng = random.Random(orders.seed)  # noqa: S311 (a benchmark repeats)
    began_s = time.monotonic()
    due = [(began_s + rng.uniform(0, orders.alarm_every_s), number) for number in range(len(stations))]
    heapq.heapify(due)
    while due and not stop.wait(max(0.0, due[0][0] - time.monotonic())):
        at_s, number = heapq.heappop(due)
        station = stations[number]
        if station.store.backlog().rows:
            station.store.raise_alarm(station.clock.stamp())
            heapq.heappush(due, (at_s + orders.alarm_every_s, number))


def main(path: Path) -> None:
    """Run as the file says."""
    take_short_turns()
    orders = msgspec.json.decode(path.read_bytes(), type=Orders)
    stations = [LightStation(Path(folder)) for folder in orders.stations]
    words: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(words,), daemon=True).start()
    stop = threading.Event()
    _say("ready")
    _must(words.get() == "go")
    for station in stations:
        station.connect()
    if orders.alarm_every_s:
        threading.Thread(target=_alarms, args=(stations, orders, stop), daemon=True).start()
    left = list(stations)
    while words.empty():
        left = [station for station in left if not station.drained]
        if not left:
            _say("drained")
            break
        time.sleep(LOOK_S)
    _must(words.get() == "stop")
    stop.set()
    report = Report()
    for station in stations:
        station.close()
        report.latencies_s += station.store.latencies_s
        report.raised[station.id] = station.store.raised
        report.unacknowledged += station.store.unacknowledged
    report.peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _say(json.dumps(asdict(report)))


def _listen(words: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        words.put(line.strip())


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
