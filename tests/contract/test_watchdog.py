"""The watchdog's datagrams, on a real socket as systemd would open it."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from station_agent.devices.watchdog import NoWatchdog, SystemdWatchdog, open_watchdog
from tests.support.hand_clock import HandClock


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(tmp_path / "notify"))
        ears.setblocking(False)
        yield ears


def heard(ears: socket.socket) -> list[bytes]:
    words = []
    try:
        while True:
            words.append(ears.recv(100))
    except BlockingIOError:
        return words


def test_it_tells_ready_alive_and_stopping(systemd: socket.socket) -> None:
    watchdog = open_watchdog(systemd.getsockname(), timeout_s=10, clock=HandClock())
    watchdog.ready()
    watchdog.feed()
    watchdog.stopping()
    watchdog.close()
    watchdog.close()
    assert heard(systemd) == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_it_is_told_of_life_at_most_every_quarter_of_the_timeout(systemd: socket.socket) -> None:
    clock = HandClock()
    watchdog = open_watchdog(systemd.getsockname(), timeout_s=10, clock=clock)
    for _ in range(11):
        watchdog.feed()
        clock.advance(0.5)
    watchdog.close()
    assert heard(systemd) == [b"WATCHDOG=1"] * 3


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind("")  # the kernel chooses an abstract name
        ears.setblocking(False)
        watchdog = open_watchdog(f"@{ears.getsockname()[1:].decode()}", timeout_s=None, clock=HandClock())
        watchdog.ready()
        watchdog.close()
        assert heard(ears) == [b"READY=1"]


def test_a_supervisor_that_does_not_listen_stops_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watchdog = SystemdWatchdog(str(tmp_path / "nobody"), timeout_s=10, clock=HandClock())
    watchdog.ready()
    watchdog.stopping()
    watchdog.close()
    assert [record.message for record in caplog.records] == ["systemd does not listen"]


def test_without_systemd_there_is_nobody_to_tell() -> None:
    watchdog = open_watchdog("", timeout_s=None, clock=HandClock())
    assert isinstance(watchdog, NoWatchdog)
    for tell in (watchdog.ready, watchdog.feed, watchdog.stopping, watchdog.close):
        tell()
