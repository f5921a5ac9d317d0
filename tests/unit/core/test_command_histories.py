"""Hostile histories of remote orders: no network, disk or crash acts twice or late, or changes an answer."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_config.vocabulary import Outcome
from firmware_config.wire import CHALLENGE_LIFE_MS, TIMED, Challenge, Go, Order, Result, Verb
from station_agent.core.commands import Commands, Intent, Known, ModeChange, StartPulse
from tests.support.orders import BOOT, INSTALL, NOON_MS, SEEN, STATION, At, a_go, an_order, begin


@dataclass
class Hostile:
    """A station behind a network that keeps everything it ever saw and delivers it again, late and out of order.

    ``answers`` holds every final word by cmd_id; ``restart`` loses memory and keeps what was committed, as C7 has it.
    """

    now_ms: int = 0
    commands: Commands = field(default_factory=begin)
    orders: list[Order] = field(default_factory=list)
    gos: list[Go] = field(default_factory=list)
    intents: list[Intent] = field(default_factory=list)
    issued: dict[str, int] = field(default_factory=dict)
    challenged: dict[str, int] = field(default_factory=dict)
    pulses: list[str] = field(default_factory=list)
    changes: list[ModeChange] = field(default_factory=list)
    writing: list[ModeChange] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    stored: dict[str, Known] = field(default_factory=dict)
    answers: dict[str, Result] = field(default_factory=dict)
    boots: int = 0

    def take(self, answer: object, order: Order | None = None) -> None:
        match answer:
            case Challenge():
                assert order is not None
                issued_ms = self.issued.setdefault(answer.nonce, self.now_ms)
                assert self.now_ms - issued_ms <= CHALLENGE_LIFE_MS, "a dead challenge is not repeated"
                self.challenged[answer.cmd_id] = issued_ms
                self.gos.append(a_go(order, answer, boot_id=answer.boot_id))
            case Intent():
                self.intents.append(answer)
            case ModeChange():
                assert answer.latest_mono_ms - self.challenged[answer.order.cmd_id] <= CHALLENGE_LIFE_MS, "I2"
                self.changes.append(answer)
                self.writing.append(answer)
            case StartPulse():
                assert self.now_ms - self.challenged[answer.cmd_id] <= CHALLENGE_LIFE_MS, "I2"
                assert answer.cmd_id not in self.pulses, "I1"
                self.pulses.append(answer.cmd_id)
            case Result() if answer.outcome.final:
                first = self.answers.setdefault(answer.cmd_id, answer)
                assert first == answer, "the first final answer stays the answer"

    def deliver_order(self, number: int, change: int) -> None:
        """``number`` also tells the door and the verb; ``change`` is a second body under the same id."""
        verb: Verb = ("unlock", "hold_open", "end_hold_open", "lock_down", "end_lock_down")[number // 2 % 5]
        order = an_order(
            number,
            door=("main", "side")[number % 2],
            verb=verb,
            pulse_ms=5000 - change if verb == "unlock" else 0,
            duration_s=600 + change if verb in TIMED else 0,
            issued_ms=NOON_MS + change,
        )
        self.take(self.commands.order(order, At(self.now_ms), None), order)
        for superseded in self.commands.take_unsaid():
            assert superseded.outcome is Outcome.REJECTED
            assert superseded.cmd_id not in [*self.pulses, *self.applied]
            self.take(superseded)

    def write(self, index: int, fate: str) -> None:
        """The writer comes to a change: in one transaction it looks at the clock, keeps the mode and the answer."""
        if not self.writing:
            return
        change = self.writing.pop(index % len(self.writing))
        cmd_id = change.order.cmd_id
        answer = change.applied if self.now_ms <= change.latest_mono_ms else change.late
        if fate != "refused":
            if answer is change.applied:
                assert cmd_id not in self.applied, "a mode is changed once"
                self.applied.append(cmd_id)
            self.stored.setdefault(cmd_id, Known(change.digest, answer))
            self.answers.setdefault(cmd_id, answer)
        if fate != "killed":
            kept = None if fate == "refused" else answer
            self.take(self.commands.written(cmd_id, kept, At(self.now_ms)))

    def deliver_go(self, index: int, nonce: str | None) -> None:
        if self.gos:
            go = self.gos[index % len(self.gos)]
            forged = go if nonce is None else msgspec.structs.replace(go, nonce=nonce)
            self.take(self.commands.go(forged, At(self.now_ms), None))

    def commit(self, index: int, *, ok: bool) -> None:
        if self.intents:
            intent = self.intents[index % len(self.intents)]
            self.take(self.commands.committed(intent.cmd_id, At(self.now_ms), None, ok=ok))

    def finish(self, index: int, outcome: Outcome) -> None:
        if self.pulses:
            cmd_id = self.pulses[index % len(self.pulses)]
            self.take(self.commands.finished(cmd_id, outcome, SEEN, At(self.now_ms)))

    def ask(self, number: int) -> None:
        self.take(self.commands.asked(an_order(number).cmd_id, At(self.now_ms)))

    def wait(self, ms: int) -> None:
        self.now_ms += ms

    def restart(self) -> None:
        """Finals were stored; intents without one become INTERRUPTED; everything else is forgotten."""
        for cmd_id, final in self.answers.items():
            self.stored.setdefault(cmd_id, Known("", final))
        for intent in self.intents:
            if intent.cmd_id not in self.answers:
                word = Result(
                    station=STATION,
                    cmd_id=intent.cmd_id,
                    install_id=INSTALL,
                    boot_id=BOOT,
                    mono_ms=self.now_ms,
                    wall_ms=0,
                    clock="unsynced",
                    outcome=Outcome.INTERRUPTED,
                )
                self.stored[intent.cmd_id] = Known(intent.digest, word)
                self.answers[intent.cmd_id] = word
        self.writing.clear()  # a transaction that had not come about never will
        self.boots += 1
        boot, fresh = f"{self.boots:032x}", count(1)
        self.commands = Commands(
            station=STATION,
            install_id=INSTALL,
            boot_id=boot,
            doors=("main", "side"),
            nonce=lambda: f"{self.boots:016x}{next(fresh):016x}",
            known=self.stored,
        )


NUMBERS = st.integers(1, 10)
INDEXES = st.integers(0, 20)
ENDS = st.sampled_from([Outcome.OPENED, Outcome.PULSED_NOT_OPENED, Outcome.ACTUATOR_FAULT])
STEPS = st.one_of(
    st.tuples(st.just("deliver_order"), NUMBERS, st.sampled_from([0, 0, 0, 700])),
    st.tuples(st.just("deliver_go"), INDEXES, st.sampled_from([None, None, None, "e" * 32])),
    st.tuples(st.just("commit"), INDEXES, st.sampled_from([True, True, True, False])),
    st.tuples(st.just("finish"), INDEXES, ENDS),
    st.tuples(st.just("write"), INDEXES, st.sampled_from(["kept", "kept", "kept", "refused", "killed"])),
    st.tuples(st.just("ask"), NUMBERS),
    st.tuples(st.just("wait"), st.sampled_from([0, 10, 900, 2999, 3000, 3001, 20_000, 60_000])),
    st.tuples(st.just("restart")),
)


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=400, deadline=None)
def test_no_history_acts_twice_or_late_or_changes_an_answer(steps: list[tuple[Any, ...]]) -> None:
    world = Hostile()
    for name, *arguments in steps:  # each step checks the invariants in ``take``
        if name == "commit":
            world.commit(arguments[0], ok=arguments[1])
        else:
            getattr(world, name)(*arguments)
        if name == "write" and arguments[1] == "killed":
            world.restart()
    assert all(world.answers[cmd_id].outcome is Outcome.APPLIED for cmd_id in world.applied)
