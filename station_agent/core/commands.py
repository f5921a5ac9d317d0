"""Remote orders: challenge, judge, remember. Opens nothing by itself; the control thread does what it says.

Rules
  1. An order opens nothing. It earns one challenge: a nonce that lives in memory for ``CHALLENGE_LIFE_MS`` (C3).
  2. A door has at most one challenge out; a newer order for it ends the older one. While an order is being written
     down the door takes no other; while it pulses it takes no other pulse, but its mode may change: a lock-down waits
     for nobody. No more than ``ACTS_A_MINUTE`` pulses a minute, and as many changes of mode; ``lock_down`` is counted
     and never refused for it (C14).
  3. A go repeats every field of its order and of our challenge, in time, once (C3); by a synchronised clock the order
     must also be fresh (C4). Anything else ends the order.
  4. A good go becomes an intent. The pulse starts only after the intent is on disk (C7), and still within the life of
     the nonce: so at most one pulse for a cmd_id, and never later than ``CHALLENGE_LIFE_MS`` after its challenge.
     A change of mode has no second step: the transaction that keeps the mode and the final answer is the act itself,
     and it looks at the clock, so a change is made once and in time, or never, whatever is killed when.
  5. The first final result stays the answer for ever (C8). The same cmd_id with another body ends an order that has
     only been challenged; one that may already move the door is left alone, because "rejected" would be a lie.
     An order that a newer one superseded gets its final result at once, unasked.
  6. Of an order it does not know it says nothing: before a loss of the store it may have opened the door.

A test holds each; ``tests/unit/core/test_commands.py`` plays hostile histories against all of them at once.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from firmware_config.vocabulary import Outcome
from firmware_config.wire import (
    CHALLENGE_LIFE_MS,
    TIMED,
    Challenge,
    Evidence,
    Go,
    Order,
    Reply,
    Result,
    encode,
)
from station_agent.core.moment import Moment

ACTS_A_MINUTE: Final = 3
"""Pulses per door, and changes of mode per door (safety.md C14)."""

REMEMBERED: Final = 10_000
"""Orders kept in memory; the store keeps as many."""

EARLIEST_MS: Final = -2_000
LATEST_MS: Final = 10_000
"""Age an order may have by a synchronised clock (safety.md C4)."""

_MINUTE_MS: Final = 60_000
_NOTHING: Final = Evidence()


@dataclass(frozen=True, slots=True)
class Known:
    """A finished order, as recalled from the store.

    Attributes:
        digest: of the order's body; empty when it was refused before its body counted.
        begun: an intent of this run stands on the disk for it, whatever becomes of the result.
    """

    digest: str
    result: Result
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """Write this to disk, then come back with ``committed``."""

    cmd_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class StartPulse:
    """Energise the relay of ``door`` now."""

    cmd_id: str
    door: str
    pulse_ms: int


@dataclass(frozen=True, slots=True)
class ModeChange:
    """Write the door's mode and one of the two answers to disk, both or neither, then come back with ``written``.

    Attributes:
        order: what is to be done.
        digest: of its body.
        mono_ms: from when on its duration counts.
        latest_mono_ms: on CLOCK_BOOTTIME; a transaction that comes to it later keeps ``late`` and no mode.
        applied: the answer when it is done.
        late: the answer when the disk took too long.
    """

    order: Order
    digest: str
    mono_ms: int
    latest_mono_ms: int
    applied: Result
    late: Result


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing to do and nothing to send.

    Attributes:
        reason: ``in_progress``: a repeat, the result will come; ``conflict``: worth an event; ``unknown_order``.
    """

    cmd_id: str
    reason: str


Answer: TypeAlias = Challenge | Result | Ignored


class _Stage(Enum):
    CHALLENGED = auto()
    INTENDED = auto()
    PULSING = auto()


@dataclass(slots=True)
class _Open:
    """An order that has not ended."""

    order: Order
    digest: str
    challenge: Challenge
    issued_mono_ms: int
    stage: _Stage = _Stage.CHALLENGED
    begun: bool = False
    word: Result | None = None

    def late(self, at: Moment) -> bool:
        return at.mono_ms - self.issued_mono_ms > CHALLENGE_LIFE_MS


def digest_of(order: Order) -> str:
    """SHA-256 of the order's body, hex: what "the same order" means."""
    return hashlib.sha256(encode(order)).hexdigest()


class Commands:
    """All remote orders of one station. Not thread-safe: it belongs to the control thread."""

    def __init__(
        self,
        *,
        station: str,
        install_id: str,
        boot_id: str,
        doors: Collection[str],
        nonce: Callable[[], str],
        known: Mapping[str, Known],
    ) -> None:
        """Start with no challenge out.

        Args:
            station: own id.
            install_id: of the store that remembers the answers.
            boot_id: of this run; no nonce outlives it.
            doors: ids of the doors that can be opened.
            nonce: gives 32 fresh hex digits from a secure source.
            known: what the store recalls, oldest first.
        """
        self._station = station
        self._install_id = install_id
        self._boot_id = boot_id
        self._nonce = nonce
        self._ended = dict(known)
        self._unsaid: list[Result] = []
        self._doors = frozenset(doors)
        self._waiting: dict[str, _Open] = {}  # by door: challenged, or being written down
        self._pulsing: dict[str, _Open] = {}  # by door
        self._pulses: dict[str, deque[int]] = {door: deque(maxlen=ACTS_A_MINUTE) for door in doors}
        self._changes: dict[str, deque[int]] = {door: deque(maxlen=ACTS_A_MINUTE) for door in doors}

    def order(self, order: Order, at: Moment, refusal: str | None) -> Answer:
        """Judge the first step.

        Args:
            order: signature and station are already checked.
            at: this moment.
            refusal: code of a reason of the house, for example ``fire``.
        """
        digest = digest_of(order)
        if (ended := self._ended.get(order.cmd_id)) is not None:
            return ended.result if ended.digest in {digest, ""} else Ignored(order.cmd_id, "conflict")
        if (running := self._running(order.cmd_id)) is not None:
            return self._again(running, digest, at)
        if code := self._unfit(order, at) or refusal:
            return self._end(order.cmd_id, digest, self._result(order.cmd_id, at, Outcome.REJECTED, code))
        if (older := self._waiting.get(order.door)) is not None:
            self._unsaid.append(self._close(older, at, Outcome.REJECTED, "superseded"))
        challenge = Challenge(
            station=self._station,
            cmd_id=order.cmd_id,
            door=order.door,
            verb=order.verb,
            pulse_ms=order.pulse_ms,
            duration_s=order.duration_s,
            boot_id=self._boot_id,
            nonce=self._nonce(),
        )
        self._waiting[order.door] = _Open(order, digest, challenge, at.mono_ms)
        return challenge

    def take_unsaid(self) -> list[Result]:
        """Results, since the last call, of orders that ended without being asked for: a newer one took their place."""
        unsaid, self._unsaid = self._unsaid, []
        return unsaid

    def digest(self, cmd_id: str) -> str:
        """Of the body of an order that has ended; empty when it never counted."""
        ended = self._ended.get(cmd_id)
        return ended.digest if ended else ""

    def begun(self, cmd_id: str) -> bool:
        """Until its result is on disk beside its intent, a restart would say ``INTERRUPTED``."""
        ended = self._ended.get(cmd_id)
        return ended is not None and ended.begun

    def go(self, go: Go, at: Moment, refusal: str | None) -> Intent | ModeChange | Result | Ignored:
        """Judge the second step. Only an ``Intent`` or a ``ModeChange`` lets anything happen."""
        if (ended := self._ended.get(go.cmd_id)) is not None:
            return ended.result
        if (running := self._running(go.cmd_id)) is None:
            return Ignored(go.cmd_id, "unknown_order")
        if running.stage is not _Stage.CHALLENGED:
            return running.word or Ignored(go.cmd_id, "in_progress")
        if (fault := self._fault(go, running, at)) is not None:
            return self._close(running, at, *fault)
        if refusal:
            return self._close(running, at, Outcome.REJECTED, refusal)
        running.stage = _Stage.INTENDED
        intent = Intent(cmd_id=go.cmd_id, digest=running.digest)
        return intent if go.verb == "unlock" else self._change(running, at)

    def committed(
        self, cmd_id: str, at: Moment, refusal: str | None, *, ok: bool
    ) -> StartPulse | Result | Ignored:
        """The intent is on disk, or (``ok`` false) the disk refused it. Energise at once on ``StartPulse``."""
        running = self._running(cmd_id)
        if running is None or running.stage is not _Stage.INTENDED or running.order.verb != "unlock":
            return Ignored(cmd_id, "unknown_order")
        if not ok:
            return self._close(running, at, Outcome.REJECTED, "storage_full")
        running.begun = True
        if running.late(at):
            return self._close(running, at, Outcome.EXPIRED, "intent_late")
        if refusal:
            return self._close(running, at, Outcome.REJECTED, refusal)
        running.stage = _Stage.PULSING
        door = running.order.door
        self._pulsing[door] = self._waiting.pop(door)
        self._pulses[door].append(at.mono_ms)
        return StartPulse(cmd_id=cmd_id, door=door, pulse_ms=running.order.pulse_ms)

    def written(self, cmd_id: str, answer: Result | None, at: Moment) -> Result | Ignored:
        """The answer to a ``ModeChange`` that is on disk, or None: the disk refused it, and nothing has changed."""
        running = self._running(cmd_id)
        if running is None or running.stage is not _Stage.INTENDED or running.order.verb == "unlock":
            return Ignored(cmd_id, "unknown_order")
        if answer is None:
            return self._close(running, at, Outcome.REJECTED, "storage_full")
        del self._waiting[running.order.door]
        if answer.outcome is Outcome.APPLIED:
            self._changes[running.order.door].append(at.mono_ms)
        return self._end(cmd_id, running.digest, answer)

    def pulsing(self, cmd_id: str, evidence: Evidence, at: Moment) -> Result | Ignored:
        """The relay is energised: a first, non-final word for the hub."""
        running = self._running(cmd_id)
        if running is None or running.stage is not _Stage.PULSING:
            return Ignored(cmd_id, "unknown_order")
        running.word = self._result(cmd_id, at, Outcome.PULSING, evidence=evidence)
        return running.word

    def finished(
        self, cmd_id: str, outcome: Outcome, evidence: Evidence, at: Moment, code: str | None = None
    ) -> Result | Ignored:
        """The pulse and its window are over, or the door would not be pulsed: the final word."""
        running = self._running(cmd_id)
        if running is None or running.stage is not _Stage.PULSING:
            return Ignored(cmd_id, "unknown_order")
        return self._close(running, at, outcome, code, evidence=evidence)

    def asked(self, cmd_id: str, at: Moment) -> Result | Reply | Ignored:
        """What became of an order: its result, or that this store never began it."""
        if (ended := self._ended.get(cmd_id)) is not None:
            return ended.result
        if (running := self._running(cmd_id)) is not None:
            return self._state(running, at)
        return Reply(station=self._station, cmd_id=cmd_id, install_id=self._install_id, boot_id=self._boot_id)

    def _running(self, cmd_id: str) -> _Open | None:
        running = (*self._waiting.values(), *self._pulsing.values())
        return next((item for item in running if item.order.cmd_id == cmd_id), None)

    def _again(self, running: _Open, digest: str, at: Moment) -> Answer:
        challenged = running.stage is _Stage.CHALLENGED
        if running.digest != digest:
            if challenged:
                return self._close(running, at, Outcome.REJECTED, "conflict")
            return Ignored(running.order.cmd_id, "conflict")
        if challenged and not running.late(at):
            return running.challenge
        return self._state(running, at)

    def _state(self, running: _Open, at: Moment) -> Result | Ignored:
        if running.stage is _Stage.CHALLENGED and running.late(at):
            return self._close(running, at, Outcome.EXPIRED, "challenge_expired")
        return running.word or Ignored(running.order.cmd_id, "in_progress")

    def _unfit(self, order: Order, at: Moment) -> str | None:
        if order.door not in self._doors:
            return "unknown_door"
        waiting = self._waiting.get(order.door)
        if waiting is not None and waiting.stage is not _Stage.CHALLENGED:
            return "busy"
        if order.verb == "unlock" and order.door in self._pulsing:
            return "busy"
        acts = self._pulses[order.door] if order.verb == "unlock" else self._changes[order.door]
        crowded = len(acts) == ACTS_A_MINUTE and at.mono_ms - acts[0] < _MINUTE_MS
        return "rate_limited" if crowded and order.verb != "lock_down" else None

    @staticmethod
    def _fault(go: Go, running: _Open, at: Moment) -> tuple[Outcome, str] | None:
        order, challenge = running.order, running.challenge
        if running.late(at):
            return Outcome.EXPIRED, "challenge_expired"
        bound = {name: getattr(order, name) for name in order.__struct_fields__}
        bound |= {"boot_id": challenge.boot_id, "nonce": challenge.nonce}
        if {name: getattr(go, name) for name in go.__struct_fields__} != bound:
            return Outcome.REJECTED, "mismatch"
        if at.trust == "synced" and not EARLIEST_MS <= at.wall_ms - go.issued_ms <= LATEST_MS:
            return Outcome.EXPIRED, "issued_out_of_time"
        return None

    def _change(self, running: _Open, at: Moment) -> ModeChange:
        order = running.order
        until_ms = at.mono_ms + order.duration_s * 1000 if order.verb in TIMED else None
        return ModeChange(
            order=order,
            digest=running.digest,
            mono_ms=at.mono_ms,
            latest_mono_ms=running.issued_mono_ms + CHALLENGE_LIFE_MS,
            applied=self._result(
                order.cmd_id, at, Outcome.APPLIED, evidence=Evidence(mode_until_mono_ms=until_ms)
            ),
            late=self._result(order.cmd_id, at, Outcome.EXPIRED, "intent_late"),
        )

    def _close(
        self, running: _Open, at: Moment, outcome: Outcome, code: str | None, *, evidence: Evidence = _NOTHING
    ) -> Result:
        cmd_id = running.order.cmd_id
        place = self._pulsing if running.stage is _Stage.PULSING else self._waiting
        del place[running.order.door]
        result = self._result(cmd_id, at, outcome, code, evidence=evidence)
        return self._end(cmd_id, running.digest, result, begun=running.begun)

    def _end(self, cmd_id: str, digest: str, result: Result, *, begun: bool = False) -> Result:
        if len(self._ended) >= REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self._ended[cmd_id] = Known(digest, result, begun)
        return result

    def _result(
        self,
        cmd_id: str,
        at: Moment,
        outcome: Outcome,
        code: str | None = None,
        *,
        evidence: Evidence = _NOTHING,
    ) -> Result:
        return Result(
            station=self._station,
            cmd_id=cmd_id,
            install_id=self._install_id,
            boot_id=self._boot_id,
            mono_ms=at.mono_ms,
            wall_ms=at.wall_ms,
            clock=at.trust,
            outcome=outcome,
            code=code,
            evidence=evidence,
        )
