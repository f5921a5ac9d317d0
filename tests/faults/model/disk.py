"""A station's store with its crash semantics: what is committed stays, what waits in memory is gone.

It does as ``store/answered.py`` and ``store/outbox.py`` do; ``tests/unit/faults/test_model_disk.py`` holds it to that.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from firmware_config.vocabulary import Outcome
from firmware_config.wire import Evidence, Result
from station_agent.clock import Stamp
from station_agent.core.commands import Known, ModeChange
from station_agent.core.modes import Term


@dataclass(slots=True)
class Row:
    """One order on the disk."""

    digest: str
    final: bool
    body: Result | None


@dataclass(frozen=True, slots=True)
class _Intend:
    cmd_id: str
    digest: str
    on_done: Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class _Keep:
    result: Result
    digest: str


@dataclass(frozen=True, slots=True)
class _Change:
    change: ModeChange
    term: Term | None
    now_ms: Callable[[], int]
    on_done: Callable[[Result | None], None]


@dataclass(frozen=True, slots=True)
class _KeepModes:
    over: Sequence[Term]
    terms: Sequence[Term]


_Job: TypeAlias = _Intend | _Keep | _Change | _KeepModes


class Disk:
    """One file. Jobs wait until ``flush`` commits them, as the writer's thread would."""

    def __init__(self, install_id: str, applied: Callable[[str], None] = lambda _: None) -> None:
        """Start empty.

        Args:
            install_id: of this file.
            applied: told of each order whose change of a mode is on the disk.
        """
        self.install_id = install_id
        self._applied = applied
        self.modes: dict[str, Term] = {}
        self.full = False
        self.rows: dict[str, Row] = {}
        self.outbox: dict[str, tuple[int, Result]] = {}
        self.jobs: deque[_Job] = deque()
        self.fresh = False
        self._seq = 0

    @property
    def can_flush(self) -> bool:
        """Something waits that the disk has an answer to."""
        return any(not isinstance(job, _Keep) or not self.full for job in self.jobs)

    @property
    def takes_orders(self) -> bool:
        """Nothing was refused yet that still waits: a full disk is noticed by what it refuses."""
        return not (self.full and any(isinstance(job, _Keep) for job in self.jobs))

    def commit_intent(self, cmd_id: str, digest: str, on_done: Callable[[bool], None]) -> None:
        """Hand in an intent."""
        self.jobs.append(_Intend(cmd_id, digest, on_done))

    def put_result(self, result: Result, *, digest: str = "") -> None:
        """Hand in a result."""
        self.jobs.append(_Keep(result, digest))

    def change_mode(
        self,
        change: ModeChange,
        term: Term | None,
        now_ms: Callable[[], int],
        on_done: Callable[[Result | None], None],
    ) -> None:
        """Hand in a change of a mode and its answer, both or neither."""
        self.jobs.append(_Change(change, term, now_ms, on_done))

    def keep_modes(self, *, over: Sequence[Term], terms: Sequence[Term]) -> None:
        """Hand in what time has changed."""
        self.jobs.append(_KeepModes(over, terms))

    def recall_modes(self) -> list[Term]:
        """What was in force."""
        return [self.modes[door] for door in sorted(self.modes)]

    def flush(self) -> None:
        """Commit what waits, in order; a full disk refuses intents and changes, and results wait on."""
        waiting, self.jobs = self.jobs, deque()
        for job in waiting:
            match job:
                case _Intend():
                    job.on_done(self._intend(job))
                case _Change():
                    job.on_done(self._change(job))
                case _Keep() if self.full:
                    self.jobs.append(job)
                case _:
                    self._write(job)

    def crash(self, kept: int) -> None:
        """The process dies: the first ``kept`` jobs made it to the disk, unheard; the others are gone."""
        for job in list(self.jobs)[:kept]:
            match job:
                case _Intend():
                    self._intend(job)
                case _Change():
                    self._change(job)
                case _:
                    self._write(job)
        self.jobs.clear()

    def open(self, blank: Result) -> dict[str, Known]:
        """Start again: what was cut off becomes INTERRUPTED. Returns all answers."""
        for cmd_id, row in list(self.rows.items()):
            if not row.final:
                evidence = row.body.evidence if row.body else Evidence()
                result = msgspec.structs.replace(blank, cmd_id=cmd_id, evidence=evidence)
                self._keep(_Keep(result, ""))
        return {
            cmd_id: Known(row.digest, row.body) for cmd_id, row in self.rows.items() if row.final and row.body
        }

    def forget(self, cmd_id: str, *, shown: int) -> None:
        """The hub has it."""
        found = self.outbox.get(cmd_id)
        if found is not None and found[1].outcome.final and found[0] <= shown:
            del self.outbox[cmd_id]

    def _write(self, job: _Keep | _KeepModes) -> None:
        if self.full:
            return
        if isinstance(job, _Keep):
            self._keep(job)
            return
        for term in (*job.over, *job.terms):
            if (found := self.modes.get(term.door)) is not None and found.cmd_id == term.cmd_id:
                self._put_mode(term.door, None if term in job.over else term)

    def _change(self, job: _Change) -> Result | None:
        if self.full:
            return None
        change = job.change
        answer = change.late if job.now_ms() > change.latest_mono_ms else change.applied
        if answer is change.applied:
            self._put_mode(change.order.door, job.term)
            self._applied(change.order.cmd_id)
        self._keep(_Keep(answer, change.digest))
        return answer

    def _put_mode(self, door: str, term: Term | None) -> None:
        self.modes.pop(door, None)
        if term is not None:
            self.modes[door] = term

    def _intend(self, job: _Intend) -> bool:
        if self.full or job.cmd_id in self.rows:
            return False
        self.rows[job.cmd_id] = Row(job.digest, final=False, body=None)
        return True

    def _keep(self, job: _Keep) -> None:
        cmd_id = job.result.cmd_id
        row = self.rows.get(cmd_id)
        body = job.result
        if row is not None and row.final and row.body is not None:
            body = row.body
        elif row is not None:
            row.final, row.body = body.outcome.final, body
        else:
            self.rows[cmd_id] = Row(job.digest, final=body.outcome.final, body=body)
        self._seq += 1
        self.outbox.pop(cmd_id, None)
        self.outbox[cmd_id] = (self._seq, body)
        self.fresh = True


def blank(station: str, install_id: str, at: Stamp) -> Result:
    """The result of an order that a crash cut off."""
    return Result(
        station=station,
        cmd_id="0" * 32,
        install_id=install_id,
        boot_id=at.boot_id,
        mono_ms=at.mono_ms,
        wall_ms=at.wall_ms,
        clock=at.trust,
        outcome=Outcome.INTERRUPTED,
        code="restarted",
    )
