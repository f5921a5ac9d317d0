"""The model's disk keeps, forgets and interrupts as the real store does."""

import tempfile
import threading
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_config.vocabulary import Outcome
from firmware_config.wire import Ack, Evidence, Result
from tests.faults.model.disk import Disk, blank
from tests.support.station_store import STATION, open_store, stamp

ORDERS = tuple(letter * 32 for letter in "abc")
WORDS = (Outcome.PULSING, Outcome.OPENED, Outcome.REJECTED)

step_st = st.tuples(
    st.sampled_from(("intend", "put", "put", "ack", "reopen")),
    st.sampled_from(ORDERS),
    st.sampled_from(WORDS),
)


class Both:
    """The real store and the model, given the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.real = open_store(folder)
        self.model = Disk(self.real.install_id)
        self.at_ms = 0

    def intend(self, cmd_id: str) -> None:
        real: list[bool] = []
        model: list[bool] = []
        done = threading.Event()

        def on_done(ok: bool) -> None:  # noqa: FBT001 (the callback's signature)
            real.append(ok)
            done.set()

        self.real.commit_intent(cmd_id, "d" * 64, on_done)
        assert done.wait(10)
        self.model.commit_intent(cmd_id, "d" * 64, model.append)
        self.model.flush()
        assert real == model

    def put(self, cmd_id: str, outcome: Outcome) -> None:
        self.at_ms += 1
        at = stamp(self.at_ms)
        body = Result(
            station=STATION, cmd_id=cmd_id, install_id=self.real.install_id, boot_id=at.boot_id, mono_ms=at.mono_ms,
            wall_ms=at.wall_ms, clock=at.trust, outcome=outcome, evidence=Evidence(energised_mono_ms=self.at_ms),
        )  # fmt: skip
        self.real.put_result(body, digest="e" * 64)
        assert self.real.barrier(10)
        self.model.put_result(body, digest="e" * 64)
        self.model.flush()

    def ack(self, cmd_id: str) -> None:
        self.waiting()
        self.real.acknowledge(Ack(station=STATION, install_id=self.real.install_id, results=[cmd_id]))
        shown = max((seq for seq, _ in self.model.outbox.values()), default=0)
        self.model.forget(cmd_id, shown=shown)

    def reopen(self) -> None:
        self.real.close()
        self.real = open_store(self.folder)
        self.model.crash(0)
        self.model.open(blank(STATION, self.real.install_id, stamp()))

    def agree(self) -> None:
        assert self.waiting() == [(body.cmd_id, body.outcome, body.evidence) for _, body in self._sent()]
        real = {key: (known.digest, known.result.outcome) for key, known in self.real.recall().items()}
        model = {
            key: (row.digest, row.body.outcome)
            for key, row in self.model.rows.items()
            if row.final and row.body
        }
        assert real == model

    def waiting(self) -> list[tuple[str, Outcome, Evidence]]:
        found = self.real.outbox.results(100)
        return [(item.result.cmd_id, item.result.outcome, item.result.evidence) for item in found]

    def _sent(self) -> list[tuple[int, Result]]:
        return sorted(self.model.outbox.values(), key=lambda item: item[0])


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(step_st, max_size=14))
def test_the_model_s_disk_does_as_the_store(steps: list[tuple[str, str, Outcome]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        both = Both(Path(folder))
        try:
            for what, cmd_id, outcome in steps:
                if what == "put":
                    both.put(cmd_id, outcome)
                elif what == "reopen":
                    both.reopen()
                else:
                    (both.intend if what == "intend" else both.ack)(cmd_id)
                both.agree()
        finally:
            both.real.close()
