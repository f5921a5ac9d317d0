"""Remote orders on the control thread: asks the judge, writes intents, starts pulses, keeps results."""

import math
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from firmware_config import crashpoint
from firmware_config.vocabulary import EventKind, Outcome
from firmware_config.wire import Challenge, Evidence, Reply, Result, Scalar, Verb
from station_agent import facts
from station_agent.clock import Clock
from station_agent.core.commands import Commands, Ignored, Intent, ModeChange, StartPulse, digest_of
from station_agent.core.door import refusal
from station_agent.doorkeeper import Cause, Doorkeeper

SUSPECT: Final = frozenset({"conflict", "unknown_order"})
"""One id with two bodies (C8); a go for which this run never gave a nonce, as a replay after a restart would be."""

TELL_AGAIN_S: Final = 10.0
"""At most one event for each of these in so many seconds, as for the link's reasons of refusal."""


class Link(Protocol):
    """The way to the hub for what must not wait in the outbox."""

    def send_challenge(self, challenge: Challenge) -> None:
        """Send it now or never: it dies in 3 s."""

    def send_result(self, result: Result) -> None:
        """Send it now, although it is not on disk."""

    def send_reply(self, reply: Reply) -> None:
        """Answer a question of the hub."""

    def count_refusal(self, reason: str) -> None:
        """Have it in the next heartbeat; ``unknown_order`` or ``conflict``."""


class Answers(Protocol):
    """The durable memory of orders.

    Attributes:
        takes_orders: what becomes of one could be kept; looking never waits.
    """

    @property
    def takes_orders(self) -> bool:
        """See above."""

    def commit_intent(self, cmd_id: str, digest: str, on_done: Callable[[bool], None]) -> None:
        """Write that ``cmd_id`` is about to be carried out; call back from another thread once it is on disk."""

    def put_result(self, result: Result, *, digest: str = "") -> None:
        """Keep a result until the hub has it; ``digest`` is of the order's body."""


class DoorModes(Protocol):
    """``station_agent.modes.DoorModes``: what carries out every verb but ``unlock``."""

    def refusal(self, verb: Verb, door: str) -> str | None:
        """Why the door's mode, or a fire, forbids an order."""

    def write(self, change: ModeChange, on_done: Callable[[Result | None], None]) -> None:
        """Have a change written down; call back from another thread."""

    def written(self, change: ModeChange, *, applied: bool) -> None:
        """The disk has spoken."""


class Orders:
    """One for the station. Control thread only."""

    def __init__(
        self,
        *,
        clock: Clock,
        commands: Commands,
        keepers: Mapping[str, Doorkeeper],
        modes: DoorModes,
        answers: Answers,
        link: Link,
        put: Callable[[facts.Fact], None],
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        self._clock = clock
        self._commands = commands
        self._keepers = keepers
        self._modes = modes
        self._answers = answers
        self._link = link
        self._put = put
        self._record = record
        self._intended: dict[str, str] = {}
        self._changes: dict[str, ModeChange] = {}
        self._told_s: dict[str, float] = {}

    def arrived(self, fact: facts.OrderArrived) -> None:
        """First step: challenge it, refuse it, or repeat the old answer."""
        answer = self._commands.order(
            fact.order, self._clock.stamp(), self._refusal(fact.order.verb, fact.order.door)
        )
        for superseded in self._commands.take_unsaid():
            self._answer(superseded)
        if isinstance(answer, Result) and self._commands.digest(answer.cmd_id) not in {
            "",
            digest_of(fact.order),
        }:
            self._suspect("conflict", answer.cmd_id)
        self._answer(answer)

    def go(self, fact: facts.GoArrived) -> None:
        """Second step: write the intent or the change of mode, or refuse."""
        answer = self._commands.go(fact.go, self._clock.stamp(), self._refusal(fact.go.verb, fact.go.door))
        if isinstance(answer, Intent):
            cmd_id = answer.cmd_id
            self._intended[cmd_id] = fact.go.door
            crashpoint.here("agent.go.judged")
            self._answers.commit_intent(
                cmd_id, answer.digest, lambda ok: self._put(facts.IntentCommitted(cmd_id=cmd_id, ok=ok))
            )
        elif isinstance(answer, ModeChange):
            cmd_id = answer.order.cmd_id
            self._changes[cmd_id] = answer
            self._modes.write(answer, lambda kept: self._put(facts.ModeWritten(cmd_id=cmd_id, answer=kept)))
        else:
            self._answer(answer)

    def committed(self, fact: facts.IntentCommitted) -> None:
        """Third step: the intent is on disk, so pulse."""
        door = self._intended.pop(fact.cmd_id)
        answer = self._commands.committed(
            fact.cmd_id, self._clock.stamp(), self._refusal("unlock", door), ok=fact.ok
        )
        if not isinstance(answer, StartPulse):
            self._answer(answer)
            return
        crashpoint.here("agent.intent.committed")
        keeper = self._keepers[answer.door]
        keeper.grant(Cause(via="order", cmd_id=answer.cmd_id), pulse_s=answer.pulse_ms / 1000)
        self._answer(self._commands.pulsing(answer.cmd_id, keeper.evidence, self._clock.stamp()))

    def mode_written(self, fact: facts.ModeWritten) -> None:
        """Third step of a change of mode: the disk has it, so it is in force; the answer is on disk with it."""
        change = self._changes.pop(fact.cmd_id)
        answer = self._commands.written(fact.cmd_id, fact.answer, self._clock.stamp())
        self._modes.written(change, applied=fact.answer is change.applied)
        if fact.answer is None:
            self._answer(answer)

    def ended(self, cmd_id: str, outcome: Outcome, evidence: Evidence, code: str | None) -> None:
        """The door says how it ended."""
        self._answer(self._commands.finished(cmd_id, outcome, evidence, self._clock.stamp(), code))

    def asked(self, fact: facts.ResultAsked) -> None:
        """The hub missed the answer."""
        self._answer(self._commands.asked(fact.cmd_id, self._clock.stamp()))

    def refused(self, fact: facts.OrderRefused) -> None:
        """Something on a command topic was no order of our hub's."""
        self._record(EventKind.ORDER_REFUSED, {"reason": fact.reason})

    def _refusal(self, verb: Verb, door: str) -> str | None:
        keeper = self._keepers.get(door)
        if keeper is None:
            return None  # the judge knows no such door either
        if not self._answers.takes_orders:
            return "storage_full"
        reason = self._modes.refusal(verb, door)
        return reason or (refusal(keeper.state) if verb == "unlock" else None)

    def _answer(self, answer: Challenge | Result | Reply | Ignored) -> None:
        if isinstance(answer, Challenge):
            self._link.send_challenge(answer)
            crashpoint.here("agent.order.challenged")
        elif isinstance(answer, Result):
            self._answers.put_result(answer, digest=self._commands.digest(answer.cmd_id))
            # nobody is to wait for a disk that may be full for hours; but the end of what was begun must be on it first,
            # or a restart would find the intent alone and say something else
            if not self._answers.takes_orders and not self._commands.begun(answer.cmd_id):
                self._link.send_result(answer)
        elif isinstance(answer, Reply):
            self._link.send_reply(answer)
        elif answer.reason in SUSPECT:
            self._suspect(answer.reason, answer.cmd_id)

    def _suspect(self, reason: str, cmd_id: str) -> None:
        """Signed by our hub, and wrong all the same: counted each time, told once in ``TELL_AGAIN_S``."""
        self._link.count_refusal(reason)
        now_s = self._clock.monotonic_s()
        if now_s - self._told_s.get(reason, -math.inf) >= TELL_AGAIN_S:
            self._told_s[reason] = now_s
            self._record(EventKind.ORDER_REFUSED, {"reason": reason, "cmd_id": cmd_id})
