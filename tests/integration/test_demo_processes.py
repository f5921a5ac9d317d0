import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud_hub.demo.control import ControlError, call
from cloud_hub.demo.errors import DemoError
from cloud_hub.demo.keeper import store_held
from cloud_hub.demo.ports import HOST, answers, free_ports, web_port
from cloud_hub.demo.processes import Child, Warden, run_all

FAMILY = """
import subprocess, sys, time
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(inner.pid, flush=True)
time.sleep(600)
"""
"""A program with a child of its own, as a web server with its workers."""

RUNNER = """
import sys
from pathlib import Path
from cloud_hub.demo.processes import Child, Warden
child = Child("family", [sys.executable, "-c", sys.argv[1]], log=Path(sys.argv[2]), warden=Warden())
child.start()
print(child.pid, flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], object], what: str, limit_s: float = 30.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline_s, f"never happened: {what}"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def inner_pid(log: Path) -> int:
    until(lambda: log.exists() and log.read_text().strip().isdigit(), "the program wrote its child's pid")
    return int(log.read_text())


@pytest.fixture
def warden() -> Iterator[Warden]:
    warden = Warden()
    yield warden
    warden.close()


@pytest.fixture
def family(tmp_path: Path, warden: Warden) -> Iterator[Child]:
    child = Child("family", [sys.executable, "-c", FAMILY], log=tmp_path / "family.log", warden=warden)
    child.start()
    yield child
    child.kill()


def test_a_process_that_is_stopped_takes_its_own_children_with_it(family: Child, tmp_path: Path) -> None:
    inner = inner_pid(tmp_path / "family.log")
    family.interrupt()
    family.wait()
    until(lambda: not runs(inner), "the inner process ended")
    assert family.pid is None


def test_what_a_killed_process_left_is_gone_before_it_starts_again(family: Child, tmp_path: Path) -> None:
    inner = inner_pid(tmp_path / "family.log")
    assert family.pid is not None
    os.kill(family.pid, signal.SIGKILL)
    until(lambda: family.pid is None, "the process died")
    assert family.returncode == -signal.SIGKILL
    assert runs(inner)
    family.start()
    until(lambda: not runs(inner), "the inner process of the first run ended")


def test_nothing_outlives_a_runner_that_was_killed(tmp_path: Path) -> None:
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, FAMILY, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert runner.stdout is not None
    outer = int(runner.stdout.readline())
    inner = inner_pid(tmp_path / "log")
    runner.kill()
    runner.communicate()
    until(lambda: not runs(outer) and not runs(inner), "both processes ended")


def test_the_log_of_the_last_run_is_kept_beside(tmp_path: Path, warden: Warden) -> None:
    (tmp_path / "x.log").write_text("before")
    child = Child("x", [sys.executable, "-c", "print('words')"], log=tmp_path / "x.log", warden=warden)
    child.start()
    until(lambda: child.returncode == 0, "it ended")
    assert child.last_words() == "words"
    assert (tmp_path / "x.log.1").read_text() == "before"
    child.kill()


def test_short_programs_run_side_by_side_and_answer_in_order() -> None:
    ended = run_all(
        [[sys.executable, "-c", f"print({n}); raise SystemExit({n})"] for n in (1, 0)], limit_s=30
    )
    assert [(one.returncode, one.stdout) for one in ended] == [(1, "1\n"), (0, "0\n")]


def test_a_busy_port_is_named_and_not_taken() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        assert answers(port)
        with pytest.raises(DemoError, match=f"port {port} .*in use.*--port"):
            web_port(port)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(DemoError, match="1 to 65535"):
        web_port(port)


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(answers(port) for port in ports)


def test_a_store_is_held_while_somebody_locks_it(tmp_path: Path) -> None:
    lock = tmp_path / "safety.db.lock"
    assert not store_held(tmp_path)
    lock.touch()
    assert not store_held(tmp_path)
    script = f"import fcntl, sys; f = open({str(lock)!r}); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    assert store_held(tmp_path)
    holder.communicate()
    assert not store_held(tmp_path)


def test_a_silent_station_is_an_error_that_names_its_socket(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"control\.sock: no answer to status"):
        call(tmp_path / "control.sock", "status", limit_s=0.5)
