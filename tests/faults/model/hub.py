"""The hub: its real tables of moves, limits, signer, presence and openers, over rows in memory instead of a database.

It does as ``commands/{services,orders,results}.py`` and ``bridge/orders.py`` do, step by step; ``differential.py`` runs
the real ones over a real database beside it and compares. Rows outlive a crash of the bridge, everything else does not.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_hub.bridge.orders import ASK_EVERY_S, LOOK_S
from cloud_hub.bridge.writer import REBIRTH_EVERY_S
from cloud_hub.commands.acts import RESTRICTING
from cloud_hub.commands.orders import HEARTBEAT_LIMIT, MISSED_BEATS
from cloud_hub.commands.results import AFTER_GO, BEFORE_GO, FINAL, MOVES, NEVER, WORD_WAIT, Verdict
from cloud_hub.commands.services import CHALLENGE_WAIT, OPENING, SHUTTING, WINDOW
from cloud_hub.commands.signer import OrderSigner, SignerRefused
from cloud_hub.ingest.decoding import Arrival, StationKeys, open_arrival
from cloud_hub.ingest.presence import Verdict as Belief
from cloud_hub.ingest.presence import Watch
from cloud_hub.models.command import CommandState as S
from cloud_hub.models.station import Presence
from cloud_hub.settings import PresenceSettings
from firmware_config.signing import Refused, Signer, Verifier
from firmware_config.topics import Topic
from firmware_config.vocabulary import DoorMode, Outcome
from firmware_config.wire import (
    TIMED,
    Ack,
    Ask,
    Birth,
    Challenge,
    Heartbeat,
    Order,
    Reply,
    Result,
    Verb,
)
from tests.faults.model.broker import Letter
from tests.faults.model.station import NOON_MS
from tests.faults.model.truth import Truth

NOON: Final = datetime.fromtimestamp(NOON_MS / 1000, UTC)
HUB_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
LOOK_MS: Final = int(LOOK_S * 1000)
NEVER_BEGAN: Final = frozenset({Outcome.REJECTED, Outcome.EXPIRED})
ONE_SIDED: Final = frozenset(Outcome) - {Outcome.REJECTED, Outcome.EXPIRED, Outcome.INTERRUPTED}
"""Outcomes that belong to a pulse only, or to a mode only."""


def _ms(length: timedelta) -> int:
    return int(length.total_seconds() * 1000)


class Died(Exception):  # noqa: N818 (not an error: the model kills it on purpose)
    """The bridge was killed in the middle of a step."""


@dataclass(slots=True)
class Row:
    """One order as the database holds it."""

    id: str
    station: str
    door: str
    verb: Verb
    pulse_ms: int
    duration_s: int
    actor: str
    requested_ms: int
    due_ms: int
    state: S = S.REQUESTED
    final: bool = False
    code: str | None = None
    install_id: str | None = None
    authorised_ms: list[int] = field(default_factory=list)


class Keys(StationKeys):
    """Keys of stations that never change."""

    def __init__(self, verifiers: Mapping[str, Verifier]) -> None:
        super().__init__()
        self._verifiers = dict(verifiers)


class ModelHub:
    """Web, bridge and database of one hub."""

    def __init__(
        self,
        truth: Truth,
        *,
        keys: Mapping[str, Verifier],
        post: Callable[[Letter], int],
        tally: Counter[str],
    ) -> None:
        """Start with nobody heard of.

        Args:
            truth: only for its clock.
            keys: of the stations.
            post: publishes; returns the number that a PUBACK will name, 0 without a broker.
            tally: counts what happened.
        """
        self.rows: dict[str, Row] = {}
        self.revoked: set[str] = set()
        self.modes: dict[tuple[str, str], DoorMode] = {}
        self.contradictions: list[str] = []
        self.alive = True
        self.dies: str | None = None
        self._truth = truth
        self._keys = Keys(keys)
        self._watch = Watch(PresenceSettings(), started_at=self.now)
        self._watch.connected(self.now)
        self._post = post
        self._tally = tally
        self._start()

    @property
    def now(self) -> datetime:
        return NOON + timedelta(milliseconds=self._truth.now_ms)

    def crash(self) -> None:
        """The bridge is killed; the rows stay."""
        self.alive = False

    def restart(self) -> None:
        """Another bridge takes over. What presence the last one knew is in the database."""
        self._start()
        self.alive = True

    def click(
        self,
        place: tuple[str, str],
        verb: Verb = "unlock",
        *,
        cmd_id: str,
        actor: str,
        length: int,
        confirm: bool = True,
    ) -> str:
        """Somebody orders something at a door, for so many milliseconds or seconds. Returns ``ok``, or why not."""
        now_ms = self._truth.now_ms
        at_door = [row for row in self.rows.values() if (row.station, row.door) == place]
        live = [row for row in at_door if not row.final]
        shuts = verb in RESTRICTING
        if any(row.state is not S.UNKNOWN and (not shuts or row.verb in RESTRICTING) for row in live):
            return "busy"
        unlock = verb == "unlock"
        if unlock and not confirm and any(row.verb == "unlock" for row in live):
            return "outcome_unknown"
        if unlock and self.modes.get(place) is DoorMode.LOCK_DOWN:
            return "locked_down"
        if self._crowded(at_door, actor, shuts=shuts):
            return "too_many"
        self.rows[cmd_id] = Row(
            cmd_id, *place, verb, length if unlock else 0, length if verb in TIMED else 0, actor, now_ms,
            now_ms + _ms(CHALLENGE_WAIT),
        )  # fmt: skip
        return "ok"

    def _crowded(self, at_door: Sequence[Row], actor: str, *, shuts: bool) -> bool:
        since_ms = self._truth.now_ms - _ms(WINDOW)

        def recent(rows: Iterable[Row]) -> int:
            return sum(row.requested_ms > since_ms and (row.verb in RESTRICTING) is shuts for row in rows)

        limits = SHUTTING if shuts else OPENING
        theirs = (row for row in self.rows.values() if row.actor == actor)
        return recent(at_door) >= limits.per_door or recent(theirs) >= limits.per_operator

    def due_ms(self) -> int | None:
        """When the bridge must look next."""
        if not self.alive:
            return None
        due = min((row.due_ms for row in self.rows.values() if not row.final), default=None)
        waiting = any(row.state is S.REQUESTED and row.id not in self._taken for row in self.rows.values())
        look = self._looked_ms + LOOK_MS if waiting else None
        found = [moment for moment in (due, look) if moment is not None]
        return min(found, default=None)

    def look_if_due(self) -> None:
        """It may be time."""
        due_ms = self.due_ms()
        if due_ms is not None and due_ms <= self._truth.now_ms:
            self.look()

    def look(self) -> None:
        """The bell rang, or it is time."""
        if not self.alive:
            return
        self._looked_ms = self._truth.now_ms
        self._pick_up()
        self._expire()

    def deliver(self, letter: Letter) -> None:
        """The broker hands something over."""
        if not self.alive:
            return
        try:
            self._deliver(letter)
        except Died:
            self.crash()

    def _start(self) -> None:
        self.dies = None
        self._signer = OrderSigner(Signer(HUB_KEY), clock=lambda: self._truth.now_ms / 1000)
        self._carried: dict[str, Order] = {}
        self._taken: set[str] = set()
        self._mids: dict[int, str] = {}
        self._asked_ms: dict[str, int] = {}
        self._looked_ms = self._truth.now_ms

    def _deliver(self, letter: Letter) -> None:
        if letter.topic is None:
            self._unheard(letter)
            return
        body = letter.payload
        if isinstance(body, Birth | Heartbeat):
            self._heard(body)
            return
        arrival = Arrival(letter.topic.of(letter.station), body, letter.retain, 0, 1, 1, 0.0)
        try:
            found = open_arrival(arrival, self._keys, received_at=self.now).body
        except Refused as refused:
            self._tally[f"hub refused {refused.reason}"] += 1
            return
        match found:
            case Challenge():
                self._challenged(found)
            case Result():
                self._word(found)
            case Reply():
                self._reply(found)
            case _:
                self._tally["hub took another kind"] += 1

    def _publish(self, topic: Topic, station: str, payload: bytes) -> int:
        return self._post(Letter(topic, station, payload))

    # what bridge/orders.py does

    def _pick_up(self) -> None:
        now_ms = self._truth.now_ms
        waiting = [
            row for row in self.rows.values() if row.state is S.REQUESTED and row.id not in self._taken
        ]
        for row in waiting:
            self._taken.add(row.id)
            if now_ms >= row.due_ms:
                continue
            if (code := self._unreachable(row.station) or self._send(row)) is not None:
                self._refuse(row, S.DEVICE_OFFLINE, code)

    def _send(self, row: Row) -> str | None:
        order = Order(
            station=row.station,
            cmd_id=row.id,
            door=row.door,
            verb=row.verb,
            pulse_ms=row.pulse_ms,
            duration_s=row.duration_s,
            issued_ms=NOON_MS + self._truth.now_ms,
        )
        mid = self._publish(Topic.REQUEST, row.station, self._signer.order(order))
        if not mid:
            return "no_broker"
        self._mids[mid] = row.id
        self._carried[row.id] = order
        row.state = S.SENT
        return None

    def _unheard(self, puback: Letter) -> None:
        cmd_id = self._mids.get(puback.mid)
        if cmd_id is not None and puback.nobody and self._carried.pop(cmd_id, None) is not None:
            self._refuse(self.rows[cmd_id], S.DEVICE_OFFLINE, "no_subscriber")

    def _challenged(self, challenge: Challenge) -> None:
        order = self._carried.pop(challenge.cmd_id, None)
        if order is None:
            self._tally["hub unexpected challenge"] += 1
            return
        row = self.rows[order.cmd_id]
        try:
            go = self._signer.go(order, challenge)
        except SignerRefused:
            self._refuse(row, S.REJECTED, "signer_refused")
            return
        except ValueError:
            self._refuse(row, S.REJECTED, "challenge_mismatch")
            return
        self._may_die("before_commit")
        allowed = self.authorise(row, challenge)
        self._may_die("after_commit")
        if allowed:
            self._publish(Topic.GO, order.station, go)

    def _expire(self) -> None:
        now_ms = self._truth.now_ms
        for row in self.rows.values():
            if row.final or row.due_ms > now_ms:
                continue
            self._carried.pop(row.id, None)
            if row.state in BEFORE_GO:
                self._end(row, *self._silence(row))
            else:
                self.give_up(row)

    def ask(self, station: str) -> None:
        """What became of the orders that this station has not told of?"""
        now_ms = self._truth.now_ms
        for row in self.rows.values():
            if row.station != station or row.state is not S.UNKNOWN:
                continue
            if now_ms - self._asked_ms.get(row.id, -(10**9)) >= ASK_EVERY_S * 1000:
                self._asked_ms[row.id] = now_ms
                ask = Ask(station=station, what="result", cmd_id=row.id)
                self._publish(Topic.REQUEST, station, self._signer.ask(ask))

    # what commands/orders.py does

    def authorise(self, row: Row, challenge: Challenge) -> bool:
        """Ask once more whether they may, and write it down. True when GO may go."""
        del challenge
        if row.state not in BEFORE_GO:
            return False
        row.state = S.CHALLENGED
        if row.verb == "unlock" and self.modes.get((row.station, row.door)) is DoorMode.LOCK_DOWN:
            self._end(row, S.REJECTED, "locked_down")
            return False
        if row.actor in self.revoked:
            self._end(row, S.REJECTED, "not_authorised")
            return False
        row.install_id = self._watch.get(row.station).install_id
        row.due_ms = self._truth.now_ms + _ms(WORD_WAIT)
        row.state = S.AUTHORISED
        row.authorised_ms.append(self._truth.now_ms)
        return True

    def give_up(self, row: Row) -> None:
        """No word came after GO."""
        if row.state is S.UNKNOWN:
            return
        row.state = S.UNKNOWN
        row.due_ms = self._truth.now_ms + _ms(NEVER)
        if self._watch.get(row.station).install_id not in {None, row.install_id}:
            self._end(row, S.UNKNOWN_FINAL, "store_lost")

    def _unreachable(self, station: str) -> str | None:
        live = self._watch.get(station)
        if live.presence is not Presence.ONLINE:
            return "offline" if live.presence is Presence.OFFLINE else "unknown"
        if live.heartbeat_at is None or self.now - live.heartbeat_at > HEARTBEAT_LIMIT:
            return "heartbeat_old"
        return None

    def _silence(self, row: Row) -> tuple[S, str]:
        if (code := self._unreachable(row.station)) is not None:
            return S.DEVICE_OFFLINE, code
        live = self._watch.get(row.station)
        if live.heartbeat_at is not None:
            limit = timedelta(seconds=live.interval_s * MISSED_BEATS)
            if self.now - live.heartbeat_at > limit:
                return S.DEVICE_OFFLINE, "heartbeat_missed"
        return S.NO_CHALLENGE, "silent" if row.state is S.SENT else "not_carried"

    def _refuse(self, row: Row, state: S, code: str) -> None:
        if row.state in BEFORE_GO:
            self._end(row, state, code)

    def _end(self, row: Row, state: S, code: str | None) -> None:
        assert state in FINAL
        row.state, row.code, row.final = state, code, True
        row.due_ms = self._truth.now_ms

    # what ingest/handlers.py and commands/results.py do

    def _heard(self, body: Birth | Heartbeat) -> None:
        before = self._watch.get(body.station)
        if isinstance(body, Birth):
            verdict, live = self._watch.birth(body, self.now)
        else:
            verdict, live = self._watch.heartbeat(body, self.now)
        self._watch.sweep(self.now)
        self._watch.keep()
        if verdict is Belief.STRANGER:
            self._ask_for_birth(body.station)
        if verdict is not Belief.BELIEVED:
            return
        for door in body.doors:
            self.modes[body.station, door.id] = door.mode
        if before.install_id not in {None, live.install_id}:
            self._lose_store(body.station, live.install_id)
        self.ask(body.station)

    def _ask_for_birth(self, station: str) -> None:
        now_ms = self._truth.now_ms
        if now_ms - self._asked_ms.get(station, -(10**9)) >= REBIRTH_EVERY_S * 1000:
            self._asked_ms[station] = now_ms
            self._publish(Topic.REQUEST, station, self._signer.ask(Ask(station=station, what="rebirth")))

    def _lose_store(self, station: str, install_id: str | None) -> None:
        for row in self.rows.values():
            if row.station == station and row.state is S.UNKNOWN and row.install_id != install_id:
                self._end(row, S.UNKNOWN_FINAL, "store_lost")

    def _word(self, result: Result) -> None:
        row = self.rows.get(result.cmd_id)
        if row is None or row.station != result.station:
            self._tally["result of an unknown order"] += 1
        else:
            self._apply(row, result)
        if result.outcome.final:
            ack = Ack(station=result.station, install_id=result.install_id, results=[result.cmd_id])
            self._publish(Topic.ACK, result.station, self._signer.ack(ack))

    def _apply(self, row: Row, result: Result) -> None:
        if row.install_id not in {None, result.install_id} and result.outcome in NEVER_BEGAN:
            if row.state in AFTER_GO:
                self._end(row, S.UNKNOWN_FINAL, "store_lost")
            if row.state is S.UNKNOWN_FINAL:
                return
        if (row.verb == "unlock") == (result.outcome is Outcome.APPLIED) and result.outcome in ONE_SIDED:
            self.contradictions.append(f"{row.id}: {row.verb}, then {result.outcome}")
            return
        move = MOVES[row.state, result.outcome]
        if move is Verdict.CONTRADICTION:
            self.contradictions.append(f"{row.id}: {row.state}, then {result.outcome} {result.code}")
        elif move is S.PULSING:
            row.state = S.PULSING
            row.due_ms = self._truth.now_ms + row.pulse_ms + _ms(WORD_WAIT)
        elif isinstance(move, S):
            if move is S.APPLIED and row.state is S.AUTHORISED:
                ordered = DoorMode(row.verb) if row.verb in TIMED else DoorMode.NORMAL
                self.modes[row.station, row.door] = ordered
            self._end(row, move, result.code)

    def _reply(self, reply: Reply) -> None:
        row = self.rows.get(reply.cmd_id)
        if row is None or row.station != reply.station or row.state is not S.UNKNOWN:
            return
        if row.install_id != reply.install_id:
            self._end(row, S.UNKNOWN_FINAL, "store_lost")
        else:
            self._end(row, S.EXPIRED, "never_begun")

    def _may_die(self, where: str) -> None:
        if self.dies == where:
            self.dies = None
            raise Died
