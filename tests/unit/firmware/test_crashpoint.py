"""Named places to die at: each is in the code exactly once, and an armed process ends there without cleaning up."""

import ast
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from firmware_config import crashpoint

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("firmware_config", "station_agent", "cloud_hub")

DYING = """
import atexit, sys
from firmware_config import crashpoint
atexit.register(print, "cleaned up")
crashpoint.arm("agent.intent.committed:2")
for turn in range(3):
    print("turn", turn, flush=True)
    crashpoint.here("agent.go.judged")
    crashpoint.here("agent.intent.committed")
"""


def _placed() -> Counter[str]:
    """Every ``crashpoint.here`` in the code, by its name."""
    found: Counter[str] = Counter()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("crashpoint.here"):
                    (name,) = node.args
                    assert isinstance(name, ast.Constant), f"{path}: a name is written out"
                    found[str(name.value)] += 1
    return found


def test_every_name_is_in_the_code_exactly_once_and_no_other() -> None:
    assert _placed() == Counter(crashpoint.NAMES)


def test_an_armed_process_dies_at_its_place_the_nth_time_and_cleans_nothing_up() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DYING], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.splitlines() == ["turn 0", "turn 1"]


def test_a_process_that_nobody_armed_goes_on() -> None:
    assert not crashpoint.arm(None)
    assert not crashpoint.arm("")
    for name in crashpoint.NAMES:
        crashpoint.here(name)


def test_a_place_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        crashpoint.arm("agent.nowhere")
