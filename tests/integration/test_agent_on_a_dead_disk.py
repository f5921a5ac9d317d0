"""A whole station whose data folder takes no writing: it starts, its door works, and it takes no order (safety.md D9)."""

import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess
from tests.support.parts import permitted
from tests.support.stations import new_hub_key, write_station

_LIBC = ctypes.CDLL(None, use_errno=True)


def mount(folder: Path, flags: int) -> bool:
    return bool(_LIBC.mount(b"tmpfs", str(folder).encode(), b"tmpfs", flags, b"size=16m") == 0)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    permitted(os.geteuid() == 0, "mounting a tmpfs needs root")
    _, public = new_hub_key(tmp_path)
    config, _ = write_station(tmp_path, hub_public=public)
    folder = tmp_path / "data"
    folder.mkdir(exist_ok=True)
    permitted(mount(folder, 0), "this machine lets nobody mount a tmpfs")
    agent = AgentProcess(config)
    agent.start()
    agent.stop()
    assert mount(folder, 32 | 1)  # MS_REMOUNT, MS_RDONLY
    agent.start()
    yield agent
    agent.stop()
    _LIBC.umount2(str(folder).encode(), 2)


def test_the_exit_button_works_on_a_disk_that_takes_nothing(agent: AgentProcess) -> None:
    agent.ask(op="exit", door="main")
    deadline_s = time.monotonic() + 10
    while agent.ask(op="status")["doors"]["main"] == "locked":
        assert time.monotonic() < deadline_s
    log = agent.log_file.read_text(encoding="utf-8")
    assert "store_in_memory" in log
    assert "storage_state" in log
