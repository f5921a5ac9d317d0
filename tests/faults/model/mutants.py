"""One deliberate fault for each invariant: a model that does not notice them proves nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final
from unittest.mock import patch

from cloud_hub.models.command import CommandState as S
from firmware_config.wire import Challenge, Evidence, Result
from station_agent.core import commands
from station_agent.core.door import PULSING, Door
from tests.faults.model.disk import Disk, Row
from tests.faults.model.hub import ModelHub
from tests.faults.model.hub import Row as Command
from tests.faults.model.world import World

Make = Callable[..., World]


@contextmanager
def ended_orders_begin_again() -> Iterator[Make]:
    """I1: neither memory nor disk minds that an order has had its pulse."""

    def close(self: Any, running: Any, at: Any, outcome: Any, code: Any, *, evidence: Any = None) -> Result:
        running.stage = commands._Stage.CHALLENGED
        self._waiting[running.order.door] = running
        self._pulsing.pop(running.order.door, None)
        cmd_id: str = running.order.cmd_id
        result: Result = self._result(cmd_id, at, outcome, code, evidence=evidence or Evidence())
        return result

    def intend(self: Disk, job: Any) -> bool:
        self.rows[job.cmd_id] = Row(job.digest, final=False, body=None)
        return True

    with patch.object(commands.Commands, "_close", close), patch.object(Disk, "_intend", intend):
        yield World


@contextmanager
def slow_disks_are_waited_for() -> Iterator[Make]:
    """I2: the life of the nonce is not looked at again once the intent is on disk."""
    late = commands._Open.late

    def patient(self: Any, at: Any) -> bool:
        return self.stage is not commands._Stage.INTENDED and late(self, at)

    with patch.object(commands._Open, "late", patient):
        yield World


class _Hasty(ModelHub):
    """I3: sends GO and writes AUTHORISED down some other time."""

    def authorise(self, row: Command, challenge: Challenge) -> bool:
        allowed = super().authorise(row, challenge)
        row.authorised_ms.clear()
        return allowed


class _Hopeful(ModelHub):
    """I4: takes silence after GO for "it never began"."""

    def give_up(self, row: Command) -> None:
        self._end(row, S.NO_CHALLENGE, "silent")


class _Incurious(ModelHub):
    """I5: never asks again."""

    def ask(self, station: str) -> None:
        del station


@contextmanager
def pulses_do_not_end() -> Iterator[Make]:
    """I6: the timer of a pulse is lost."""
    deadline = Door._deadline

    def lost(self: Door, now_s: float) -> float | None:
        return None if self.state in PULSING else deadline(self, now_s)

    with patch.object(Door, "_deadline", lost):
        yield World


@contextmanager
def _with_hub(hub: type[ModelHub]) -> Iterator[Make]:
    yield partial(World, hub=hub)


MUTANTS: Final[Mapping[str, Callable[[], AbstractContextManager[Make]]]] = {
    "I1": ended_orders_begin_again,
    "I2": slow_disks_are_waited_for,
    "I3": partial(_with_hub, _Hasty),
    "I4": partial(_with_hub, _Hopeful),
    "I5": partial(_with_hub, _Incurious),
    "I6": pulses_do_not_end,
}
"""By the invariant that each breaks."""
