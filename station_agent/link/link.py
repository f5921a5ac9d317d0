"""The way to the hub: two connections, presence, the pump, and the intake of what comes down.

The command connection carries birth, heartbeat, will, challenges, results and replies, and takes orders; the data
connection carries events and readings, and takes everything else. So a flood of data never stands before an order.

One thread, ``link``, does all the work: callbacks of paho only put things into its queue.
"""

import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import Final, Protocol, TypeAlias

from firmware_config.replica import Delivery, Replica
from firmware_config.signing import Refused, Signer, Verifier
from firmware_config.station import Station
from firmware_config.topics import COMMAND_TOPICS, Topic
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Ack, Ask, Challenge, Erase, Go, Order, Reply, Result, RosterPart, kind_of
from station_agent import facts
from station_agent.clock import Clock
from station_agent.link.access import access_of
from station_agent.link.client import Raw, Will
from station_agent.link.connection import Connection
from station_agent.link.echo import Echo, Name
from station_agent.link.intake import Inbound, Intake
from station_agent.link.presence import Kept, Presence, Status
from station_agent.link.pump import Pump
from station_agent.store.roster import RosterStore
from station_agent.store.store import Store

_LOG = logging.getLogger(__name__)

DATA_TOPICS: Final = (Topic.ACK, Topic.CONFIG, Topic.ROSTER, Topic.ERASE, Topic.DELIVERY)
QUEUE_LIMIT: Final = 512
"""Messages waiting to be checked; more are dropped and counted, the hub sends again."""

TELL_AGAIN_S: Final = 10.0
"""Pause between two facts about refused payloads of one reason: a flood must not fill the event log."""

CHANGE_S: Final = 0.25
"""Least pause between a heartbeat and one sent because of a change: a chattering door must not fill the line."""

GOODBYE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Went:
    command: bool
    up: bool


class _Changed:
    """The station's state has changed: do not wait for the next heartbeat."""


class Copies(Protocol):
    """Takes what concerns copies of templates (``people.copying.Copying``); every call returns at once."""

    @property
    def sealing_key(self) -> str:
        """What other stations seal to, base64; empty when face entry is off."""

    def roster_applied(self) -> None:
        """A newer roster is in force."""

    def arrived(self, delivery: Delivery) -> None:
        """A copy came."""

    def acknowledged(self, ids: Sequence[str]) -> None:
        """The hub carries these on."""

    def connected(self) -> None:
        """The data connection is there."""


_Work: TypeAlias = Raw | _Went | _Changed | None


class Link:
    """One for the station. All methods return at once, except ``stop``."""

    def __init__(
        self,
        *,
        station: Station,
        signer: Signer,
        store: Store,
        roster: RosterStore,
        erase: Callable[[Erase], None],
        clock: Clock,
        put: Callable[[facts.Fact], None],
        status: Callable[[], Status],
        copies: Copies,
    ) -> None:
        """Prepare; ``start`` connects.

        Args:
            station: the station file; its secrets are read here.
            signer: with this station's own key.
            store: outbox and install id.
            roster: takes what comes on ``down/roster``; this link's thread is the only one that gives it anything.
            erase: carries out an ``Erase``; called from this link's thread, may wait for the disk.
            clock: for stamps and pauses.
            put: takes facts for the control thread.
            status: the station's state now; called from any thread, must not wait.
            copies: of templates, to and from other stations.

        Raises:
            OSError: password or certificate file cannot be read.
        """
        self._id = station.config.station
        self._signer = signer
        self._store = store
        self._roster = roster
        self._erase = erase
        self._clock = clock
        self._put = put
        self._status = status
        self._copies = copies
        self._presence = Presence(station, install_id=store.install_id, sealing_key=copies.sealing_key)
        keys = [entry.public for entry in station.config.hub.command_keys]
        self._intake = Intake(station=self._id, verifier=Verifier.of(*keys))
        self._heartbeat_s = station.config.broker.heartbeat_s
        self._work: queue.Queue[_Work] = queue.Queue(QUEUE_LIMIT)
        self._overflowed = 0
        self._rejected: Counter[str] = Counter()  # by the link thread
        self._judged: Counter[str] = Counter()  # by the control thread, for reasons of its own
        self._change_told = threading.Event()
        self._told_s: dict[str, float] = {}
        access = access_of(station)
        self._command = Connection(
            client_id=f"{self._id}-cmd",
            access=access,
            station=self._id,
            topics=COMMAND_TOPICS,
            will=self._will,
            went=lambda up: self._enqueue(_Went(command=True, up=up)),
            arrived=self._enqueue,
        )
        self._data = Connection(
            client_id=f"{self._id}-data",
            access=access,
            station=self._id,
            topics=DATA_TOPICS,
            went=lambda up: self._enqueue(_Went(command=False, up=up)),
            arrived=self._enqueue,
        )
        self._lines: dict[Name, Connection] = {"command": self._command, "data": self._data}
        self._orders = frozenset(topic.of(self._id) for topic in COMMAND_TOPICS)
        chance = SystemRandom()
        self._echo = Echo(chance.randrange(2**31), chance.random)
        self._pump = Pump(station=self._id, store=store, clock=clock, signer=signer, send=self._send)
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    @property
    def online(self) -> bool:
        """Orders can reach this station."""
        return self._command.up

    def rejected(self) -> dict[str, int]:
        """Payloads refused since boot, by reason."""
        counts = {**self._rejected, **self._judged}
        if self._overflowed:
            counts["overflow"] = self._overflowed
        return counts

    def count_refusal(self, reason: str) -> None:
        """What had passed every check here was refused by the judge. Control thread only."""
        self._judged[reason] += 1

    def start(self) -> None:
        """Begin to connect and to send."""
        self._thread.start()
        self._pump.start()
        self._command.start()
        self._data.start()

    def stop(self) -> None:
        """Say goodbye, disconnect cleanly, and end all threads. Takes up to a few seconds."""
        self._pump.stop()
        self._say_goodbye()
        self._command.stop()
        self._data.stop()
        self._work.put(None)
        self._thread.join()

    def set_network(self, *, up: bool) -> None:
        """For the simulator: cut both lines without a goodbye and stay away until ``up``."""
        self._command.allow(up=up)
        self._data.allow(up=up)

    def changed(self) -> None:
        """The state that heartbeats tell has changed: tell it now, but no more often than ``CHANGE_S``. Any thread."""
        if not self._change_told.is_set():
            self._change_told.set()
            self._enqueue(_Changed())

    def send_challenge(self, challenge: Challenge) -> None:
        """Send it now or never: it dies in 3 s."""
        self._sealed(Topic.CHALLENGE, challenge, challenge.cmd_id)

    def send_result(self, result: Result) -> None:
        """Send a result that could not be kept; it comes again from the store once the disk writes."""
        self._sealed(Topic.RESULT, result, result.cmd_id)

    def send_reply(self, reply: Reply) -> None:
        """Answer a question of the hub; it asks again when this is lost."""
        self._sealed(Topic.REPLY, reply, reply.cmd_id)

    def send_replica(self, replica: Replica) -> bool:
        """Hand a sealed copy to the data connection; False when there is none."""
        return self._send(Topic.REPLICA, self._signer.seal("replica", replica), None)

    def _sealed(self, topic: Topic, body: Challenge | Reply | Result, cmd_id: str) -> None:
        payload = self._signer.seal(kind_of(body), body)
        if self._command.publish(topic, payload, correlation=cmd_id) is None:
            _LOG.warning("not_sent", extra={"topic": topic.value.tail, "cmd_id": cmd_id})

    def _send(self, topic: Topic, payload: bytes, correlation: str | None) -> bool:
        line = self._command if topic is Topic.RESULT else self._data
        return line.publish(topic, payload, correlation=correlation) is not None

    def _will(self) -> Will:
        """Before each attempt of the command connection: the next number, and the message for its death."""
        self._presence.conn_no += 1
        birth = self._presence.birth(self._status(), self._clock.stamp(), online=False)
        return Will(Topic.BIRTH.of(self._id), self._signer.seal(kind_of(birth), birth))

    def _enqueue(self, work: Raw | _Went | _Changed) -> None:
        """Called by paho; must not wait, except for what must not be lost."""
        if isinstance(work, _Went):
            self._work.put(work)
            return
        try:
            self._work.put_nowait(work)
        except queue.Full:
            self._overflowed += 1

    def _run(self) -> None:
        beat_s = self._clock.monotonic_s()
        while True:
            now_s = self._clock.monotonic_s()
            if now_s >= beat_s:  # before the queue: a flood must not silence the heartbeat
                beat_s = now_s + self._heartbeat_s
                self._change_told.clear()
                self._guarded(self._beat)
            try:
                work = self._work.get(timeout=beat_s - now_s)
            except queue.Empty:
                continue
            if work is None:
                return
            if isinstance(work, _Changed):
                beat_s = min(beat_s, max(now_s, beat_s - self._heartbeat_s + CHANGE_S))
            else:
                self._guarded(partial(self._do, work))

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # noqa: BLE001 (top of a thread)
            _LOG.exception("link_step_failed")

    def _do(self, work: Raw | _Went) -> None:
        if isinstance(work, _Went):
            self._went(work)
            return
        at = self._clock.stamp()
        try:
            message = self._intake.judge(work, at)
        except Refused as refused:
            self._refuse(refused, work)
            return
        self._echo.heard("command" if work.topic in self._orders else "data", self._clock.monotonic_s())
        try:
            self._deliver(message, work)
        except Refused as refused:
            self._refuse(refused, work)

    def _went(self, change: _Went) -> None:
        self._echo.went("command" if change.command else "data", self._clock.monotonic_s(), up=change.up)
        topics = (Topic.RESULT,) if change.command else (Topic.EVENT, Topic.TELEMETRY)
        if change.command and change.up:
            self._announce()
        if not change.command and change.up:
            self._copies.connected()
        self._pump.connected(topics, up=change.up)

    def _deliver(self, message: Inbound, raw: Raw) -> None:
        match message:
            case Order():
                self._put(facts.OrderArrived(order=message))
            case Go():
                self._put(facts.GoArrived(go=message))
            case Ask(what="rebirth"):
                self._announce()
            case Ask(what="echo"):
                pass  # that it came is all it says
            case Ask(what="resend", install_id=str(install_id), first=first, last=last):
                self._store.resend(install_id, first, last)
            case Ask(what="result", cmd_id=str(cmd_id)):
                self._put(facts.ResultAsked(cmd_id=cmd_id))
            case Ask():
                self._rejected["malformed"] += 1
            case RosterPart() | Erase() | Delivery() | Ack():
                self._deliver_data(message, raw)

    def _deliver_data(self, message: RosterPart | Erase | Delivery | Ack, raw: Raw) -> None:
        match message:
            case RosterPart():
                if (taken := self._roster.take(raw.payload, self._clock.stamp())) is not None:
                    self._put(facts.RosterApplied(roster=taken.roster))
                    self.changed()
                    self._copies.roster_applied()
            case Erase():
                self._erase(message)
            case Delivery():
                self._copies.arrived(message)
            case Ack():
                self._store.acknowledge(message)
                self._pump.acknowledged(message)
                if message.anew:
                    self._pump.hasten()
                if message.replicas and message.install_id == self._store.install_id:
                    self._copies.acknowledged(message.replicas)

    def _refuse(self, refused: Refused, raw: Raw) -> None:
        reason = refused.reason
        self._rejected[reason] += 1
        now_s = self._clock.monotonic_s()
        if now_s - self._told_s.get(reason, -TELL_AGAIN_S) < TELL_AGAIN_S:
            return
        self._told_s[reason] = now_s
        _LOG.warning("payload_refused", extra={"topic": raw.topic, "reason": str(refused)[:200]})
        if raw.topic in self._orders:
            self._put(facts.OrderRefused(reason=reason))

    def _announce(self) -> None:
        self._send_birth()
        self._beat()

    def _send_birth(self) -> None:
        birth = self._presence.birth(self._status(), self._clock.stamp(), online=True)
        self._command.publish(Topic.BIRTH, self._signer.seal(kind_of(birth), birth))

    def _beat(self) -> None:
        if not self._command.up:
            return
        nobody = [line.nobody_listened() for line in self._lines.values()]
        owed_s = {name: line.owed_s() for name, line in self._lines.items()}
        step = self._echo.step(self._clock.monotonic_s(), nobody=any(nobody), owed_s=owed_s)
        if step.birth:
            self._send_birth()
        heartbeat = self._presence.heartbeat(
            self._status(),
            self._clock.stamp(),
            kept=Kept.of(self._store),
            rejected=self.rejected(),
            roster_version=self._roster.current.version if self._roster.current else 0,
            echo=step.number,
        )
        self._command.publish(Topic.HEARTBEAT, self._signer.seal(kind_of(heartbeat), heartbeat))
        for name in step.rebuild:
            _LOG.warning("link_rebuilt", extra={"connection": name})
            self._store.put_event(EventKind.LINK_REBUILT, {"connection": name}, self._clock.stamp())
            self._lines[name].rebuild()

    def _say_goodbye(self) -> None:
        """A clean disconnect suppresses the will, so its message is sent by hand first."""
        birth = self._presence.birth(self._status(), self._clock.stamp(), online=False)
        info = self._command.publish(Topic.BIRTH, self._signer.seal(kind_of(birth), birth))
        if info is not None:
            try:
                info.wait_for_publish(GOODBYE_S)
            except (RuntimeError, ValueError) as error:
                _LOG.debug("goodbye_not_sent", extra={"error": repr(error)})
