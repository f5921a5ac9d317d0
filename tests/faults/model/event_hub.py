"""The hub's real writer over a real database in memory, without its thread; it may die at each of its named places."""

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_hub import migrations
from cloud_hub.bridge.hub_clock import HubClock
from cloud_hub.bridge.inbox import Inbox
from cloud_hub.bridge.service import _COUNTERS
from cloud_hub.bridge.writer import Writer
from cloud_hub.commands.signer import OrderSigner
from cloud_hub.db import make_engine, make_sessions
from cloud_hub.ingest.decoding import Arrival, StationKeys
from cloud_hub.ingest.gaps import Stream
from cloud_hub.ingest.presence import Watch
from cloud_hub.settings import PresenceSettings
from cloud_hub.stations.services import register
from firmware_config.signing import Signer, encode_public
from firmware_config.topics import Topic
from firmware_config.wire import Ask
from tests.faults.model.event_station import KEY, NOON_MS, STATION, Ledger, Name
from tests.support.scratch import scratch

if TYPE_CHECKING:
    from cloud_hub.bridge.mqtt import Link

NOON: Final = datetime.fromtimestamp(NOON_MS / 1000, UTC)
HUB_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"h" * 32)


class Died(BaseException):
    """The bridge was killed: nothing in it may catch this."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One event as the hub shows it."""

    number: int
    kind: str
    backfilled: bool


@cache
def _empty() -> bytes:
    """A database with the station and nothing else."""
    folder = scratch("yz-events-")
    try:
        engine = make_engine(f"sqlite:///{folder / 'hub.db'}")
        migrations.upgrade(engine)
        with make_sessions(engine).begin() as session:
            register(
                session, station_id=STATION, name="-", region="", time_zone="UTC",
                public_key=encode_public(KEY.public_key()), actor="test", now=NOON,
            )  # fmt: skip
        engine.dispose()
        return (folder / "hub.db").read_bytes()
    finally:
        shutil.rmtree(folder)


class _Nobody:
    """Rings nowhere."""

    def ring(self, *_: str) -> None:
        return


class EventHub:
    """One hub; the database outlives its process."""

    made: type[Writer] = Writer

    def __init__(self, ledger: Ledger, folder: Path, *, post: Callable[[Topic, bytes], None]) -> None:
        self.dies_at: str | None = None
        self.alive = False
        self.acknowledged: list[int] = []
        self.connected_at = NOON
        self.connections = 1
        self._ledger = ledger
        self._file = folder / "hub.db"
        self._copy = folder / "hub.copy"
        self._post = post
        self._signer = OrderSigner(Signer(HUB_KEY), clock=lambda: ledger.now_ms / 1000)
        self._file.write_bytes(_empty())
        self._reader = sqlite3.connect(self._file)
        self.start()

    @property
    def now(self) -> datetime:
        return NOON + timedelta(milliseconds=self._ledger.now_ms)

    def _uptime_s(self) -> float:
        return self._ledger.now_ms / 1000

    def start(self) -> None:
        """A bridge begins with what the database knows."""
        self.dies_at = None
        self._engine = make_engine(f"sqlite:///{self._file}")
        watch = Watch(PresenceSettings(), started_at=self.now)
        watch.connected(self.now)
        self.writer = type(self).made(
            sessions=make_sessions(self._engine), inbox=Inbox(), link=cast("Link", self), keys=StationKeys(),
            watch=watch, signer=self._signer, ringer=cast("Any", _Nobody()), counters=_COUNTERS, heard=_quiet,
            rosters=_quiet, people_changed=_quiet, replicas_came=_quiet, clock=HubClock(lambda: self.now, self._uptime_s),
        )  # fmt: skip
        self.writer._restore()
        self.alive = True

    def crash(self) -> None:
        """SIGKILL."""
        self.alive = False
        self._engine.dispose()

    def close(self) -> None:
        """The history is over."""
        if self.alive:
            self.crash()
        self._reader.close()

    def back_up(self) -> None:
        """Somebody makes a copy."""
        with sqlite3.connect(self._copy) as target:
            self._reader.backup(target)
        target.close()

    def restore(self) -> None:
        """The newest copy takes the place of what there is, if there is one."""
        if not self._copy.exists():
            return
        if self.alive:
            self.crash()
        self._reader.close()
        for companion in ("-wal", "-shm"):
            self._file.with_name(self._file.name + companion).unlink(missing_ok=True)
        shutil.copy(self._copy, self._file)
        self._reader = sqlite3.connect(self._file)
        self._ledger.acked &= set(self.events())
        self.start()

    def deliver(self, letters: Sequence[tuple[Topic, bytes]]) -> bool:
        """One batch of the writer; False when the broker was not told that it arrived."""
        arrivals = [
            Arrival(topic.of(STATION), payload, retain=False, mid=mid, qos=1, connection=1, came_s=self._uptime_s())
            for mid, (topic, payload) in enumerate(letters)
        ]  # fmt: skip
        self.acknowledged.clear()
        try:
            self.writer.handle(arrivals)
        except Died:
            self.crash()
        return bool(self.acknowledged)

    def ask(self, install_id: str, first: int, last: int) -> None:
        """Somebody wants events once more."""
        ask = Ask(station=STATION, what="resend", install_id=install_id, first=first, last=last)
        self._post(Topic.REQUEST, self._signer.ask(ask))

    def reached(self, point: str) -> None:
        """A named place in the code.

        Raises:
            Died: it was so arranged.
        """
        if point == self.dies_at:
            self.dies_at = None
            raise Died

    # what the writer calls its link

    def acknowledge(self, arrivals: Iterable[Arrival]) -> None:
        """PUBACK."""
        self.acknowledged += [arrival.mid for arrival in arrivals]

    def publish(self, topic: Topic, station: str, payload: bytes) -> int:
        """To the station."""
        assert station == STATION
        self._post(topic, payload)
        return 1

    # what the judge looks at

    def events(self) -> dict[Name, Seen]:
        """All that is committed."""
        rows = self._reader.execute("SELECT install_id, seq, kind, backfilled, data FROM event")
        return {
            (install, seq): Seen(msgspec.json.decode(data)["n"], kind, bool(backfilled))
            for install, seq, kind, backfilled, data in rows
        }

    def told(self, kind: str) -> int:
        """How many times an alert of this kind was raised."""
        (count,) = self._reader.execute(
            "SELECT coalesce(sum(count), 0) FROM alert WHERE kind = ?", (kind,)
        ).fetchone()
        return int(count)

    def stream(self, install_id: str) -> Stream:
        """What it believes of a store."""
        with make_sessions(self._engine)() as session:
            streams = self.writer._memory.streams
            streams.load(session, [(STATION, install_id)], now=self.now)
            return streams.get((STATION, install_id))


def _quiet(*_: object) -> None:
    return
