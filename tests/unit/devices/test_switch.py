"""What happens when the settler cannot go on."""

import queue

import pytest

from station_agent.clock import SystemClock
from station_agent.core.debounce import Level
from station_agent.devices.switch import Settler, Switch, fire
from station_agent.devices.wire import Watcher
from station_agent.errors import DeviceError
from station_agent.facts import Fact, Stopped


class TornWire:
    """Can be read once, and never again."""

    def __init__(self) -> None:
        self._reads = 0

    @property
    def active(self) -> bool:
        self._reads += 1
        if self._reads > 2:
            raise DeviceError("fire: no such device")
        return False

    def watch(self, watcher: Watcher) -> None: ...

    def close(self) -> None: ...


def test_a_settler_that_cannot_read_its_wires_asks_the_agent_to_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    inbox: queue.SimpleQueue[Fact] = queue.SimpleQueue()
    settler = Settler(clock=SystemClock(), put=inbox.put)
    switch = Switch(
        TornWire(),
        hold_s=0.05,
        telling=fire,
        normal=Level.INACTIVE,
        put=inbox.put,
        settler=settler,
        clock=SystemClock(),
    )
    switch.start()
    settler.start()
    assert inbox.get(timeout=5) == Stopped()
    settler.close()
    settler.close()
    assert [record.message for record in caplog.records] == ["settler ended, asking the agent to stop"]


def test_a_settler_that_never_began_is_never_settled() -> None:
    settler = Settler(clock=SystemClock(), put=lambda _: None)
    assert not settler.wait_settled(0.01)
    settler.close()
