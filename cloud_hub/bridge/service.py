"""Puts the bridge together and keeps it running: link, writer, orders, bell, and a sign of life every few seconds."""

import contextlib
import logging
import signal
import threading
import time
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from cloud_hub import migrations, upsert
from cloud_hub.bell import BRIDGE, PEOPLE, Bell, Ringer
from cloud_hub.bridge.hub_clock import HubClock
from cloud_hub.bridge.inbox import Inbox
from cloud_hub.bridge.mqtt import Link
from cloud_hub.bridge.orders import Orders
from cloud_hub.bridge.replicas import Replicas
from cloud_hub.bridge.roster import Reports, Rosters
from cloud_hub.bridge.writer import CHALLENGE_TAIL, Writer
from cloud_hub.commands.signer import OrderSigner
from cloud_hub.db import make_sessions, utc_now
from cloud_hub.errors import HubError
from cloud_hub.ingest.decoding import Arrival, StationKeys, topic_label
from cloud_hub.ingest.presence import Watch
from cloud_hub.metrics import Counters
from cloud_hub.models import ProcessStatus
from cloud_hub.passes.keys import public_keys
from cloud_hub.settings import Hub
from firmware_config.signing import Signer, load_private_key
from firmware_config.topics import Topic

log = logging.getLogger(__name__)

NAME: Final = "bridge"
SIGN_OF_LIFE_S: Final = 5.0
FIRST_CONNECTION_S: Final = 10.0
STATIONS: Final = "stations"
"""Rung at the bridge when somebody registered, changed or retired a station."""

_URGENT: Final = tuple(
    f"/{topic.value.tail}" for topic in (Topic.RESULT, Topic.BIRTH, Topic.EVENT, Topic.REPLY)
)
_COUNTERS: Final = Counters()


class Bridge:
    """One running bridge."""

    def __init__(self, hub: Hub) -> None:
        """Open everything that must be there.

        Raises:
            HubError: the database is not reachable or not of this release, or a key cannot be read.
        """
        self._hub = hub
        key = _open_key(hub)
        signer = OrderSigner(key, clock=time.monotonic)
        self._engine = migrations.open_engine(hub)
        sessions = make_sessions(self._engine)
        bells = hub.data_dir / "bells"
        self._sessions = sessions
        self._started_at = utc_now()
        self._inbox = Inbox()
        self._ringer = Ringer(bells)
        self._bell = Bell(bells, BRIDGE)
        self._stopping = threading.Event()
        keys = StationKeys()
        self.link = Link(
            hub.settings.broker, beside=hub.beside, deliver=self._deliver, nobody_listens=self._nobody_listens
        )
        self._orders = Orders(
            sessions=sessions,
            link=self.link,
            keys=keys,
            signer=signer,
            ringer=self._ringer,
            counters=_COUNTERS,
            clock=utc_now,
        )
        self._rosters = Rosters(
            sessions=sessions,
            link=self.link,
            signer=key,
            pass_keys=public_keys(hub),
            ringer=self._ringer,
            clock=utc_now,
        )
        self._replicas = Replicas(sessions=sessions, link=self.link, signer=key, clock=utc_now)
        self._writer = Writer(
            sessions=sessions,
            inbox=self._inbox,
            link=self.link,
            keys=keys,
            watch=Watch(hub.settings.presence, started_at=self._started_at),
            signer=signer,
            ringer=self._ringer,
            counters=_COUNTERS,
            heard=self._orders.heard,
            rosters=self._reported,
            people_changed=self._rosters.look,
            replicas_came=self._replicas.look,
            clock=HubClock(),
        )
        self._listener = threading.Thread(target=self._listen, name="bell", daemon=True)

    def start(self) -> None:
        """Start all threads."""
        self._writer.start()
        self._orders.start()
        self._rosters.start()
        self._replicas.start()
        self._listener.start()
        self.link.start()

    def stop(self) -> None:
        """Stop hearing first, then finish what was heard."""
        self._stopping.set()
        self._ringer.ring(BRIDGE)  # our own bell, so that its listener looks up
        self._orders.stop()
        self._rosters.stop()
        self._replicas.stop()
        self._writer.stop()
        self.link.stop()
        self._listener.join(2)
        self._bell.close()
        self._ringer.close()
        with contextlib.suppress(SQLAlchemyError):
            self.sign_of_life(ready=False)
        self._engine.dispose()

    @property
    def healthy(self) -> bool:
        """Every thread runs."""
        parts = (self._writer, self._orders, self._rosters, self._replicas)
        return all(part.thread.is_alive() for part in parts) and self.link.alive

    @property
    def storing(self) -> bool:
        """The database takes what comes."""
        return self._writer.storing

    def sign_of_life(self, *, ready: bool | None = None) -> None:
        """Tell the database that this process lives, and whether it can do its work."""
        if ready is None:
            ready = self.link.connected_at is not None and self.storing
        row = {"name": NAME, "started_at": self._started_at, "seen_at": utc_now(), "ready": ready}
        with self._sessions.begin() as session:
            statement = upsert.insert(session, ProcessStatus).values(row)
            session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))

    def _deliver(self, arrival: Arrival) -> None:
        if arrival.topic.endswith(CHALLENGE_TAIL):
            self._orders.challenge(arrival)
        if self._inbox.put(arrival, urgent=arrival.topic.endswith(_URGENT)):
            return
        _COUNTERS.dropped.labels(topic_label(arrival.topic)).inc()
        if arrival.qos:
            self.link.restart()  # it will never be acknowledged, so this connection cannot go on in order

    def _reported(self, reports: Reports) -> None:
        self._rosters.heard(reports)
        self._replicas.heard(reports)

    def _nobody_listens(self, mid: int) -> None:
        self._orders.nobody_listens(mid)

    def _listen(self) -> None:
        while not self._stopping.is_set():
            topics = self._bell.wait(1.0)
            if topics is None:
                continue
            if STATIONS in topics:
                self._writer.stations_changed()
            if PEOPLE in topics:
                self._rosters.look()
            self._orders.look()


def run(hub: Hub) -> None:
    """Run the bridge until SIGTERM or SIGINT.

    Raises:
        HubError: it cannot start, or a thread of it died.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    bridge = Bridge(hub)
    try:
        bridge.start()
        _await_broker(bridge, stop)
        while not stop.is_set():
            with contextlib.suppress(SQLAlchemyError):
                bridge.sign_of_life()
            if not bridge.healthy:
                raise HubError("bridge: a thread died, see the log")
            stop.wait(SIGN_OF_LIFE_S)
    finally:
        bridge.stop()


def _open_key(hub: Hub) -> Signer:
    path = hub.beside(hub.settings.orders.command_key_file)
    try:
        return Signer(load_private_key(path))
    except OSError as error:
        raise HubError(f"{path}: {error.strerror}: make it with cloud-hub key create") from error
    except ValueError as error:
        raise HubError(f"{path}: not an Ed25519 private key in PEM") from error


def _await_broker(bridge: Bridge, stop: threading.Event) -> None:
    """The first connection must succeed soon, or the fault is in the settings and somebody should read of it."""
    deadline_s = time.monotonic() + FIRST_CONNECTION_S
    while not stop.is_set() and not bridge.link.wait_connected(0.1):
        if time.monotonic() > deadline_s:
            raise HubError(f"broker {bridge.link.last_fault or 'does not answer'}")
    log.info("bridge serves")
