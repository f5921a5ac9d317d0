"""Who may import whom (docs/architecture.md). The rules are data; the checker is tested on bad examples."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("firmware_config", "station_agent", "cloud_hub")
LONGEST_FILE = 400

IMPURE = frozenset(
    {"time", "threading", "os", "socket", "sqlite3", "subprocess", "asyncio", "queue", "random", "secrets"}
)
"""Standard library modules that reach outside the process, or make two runs differ."""

CORE_MAY_IMPORT = ("firmware_config", "station_agent.core")

ENTRIES: dict[str, frozenset[str]] = {
    "station_agent.wiring": frozenset({"station_agent.__main__"}),
    "station_agent.kiosk.wiring": frozenset({"station_agent.wiring"}),
    "cloud_hub.app": frozenset({"cloud_hub.web_server"}),
    "cloud_hub.bridge": frozenset({"cloud_hub.cli"}),
}
"""Where a process is put together, and the only modules that may start it."""


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str) -> Iterator[str]:
    """Every module an import statement anywhere in the source may load, by its full name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def faults(name: str, source: str) -> list[str]:
    """What a module of this name may not import, but does."""
    found = set(imports(source))
    forbidden = {
        "firmware_config": ("station_agent", "cloud_hub"),
        "station_agent": ("cloud_hub",),
        "cloud_hub": ("station_agent",),
    }[name.partition(".")[0]]
    bad = {module for module in found if within(module, *forbidden)}
    for target, entries in ENTRIES.items():
        if name not in entries and not within(name, target):
            bad |= {module for module in found if within(module, target)}
    if within(name, "station_agent.core"):
        bad |= {module for module in found if not allowed_in_core(module)}
    return sorted(f"{name} imports {module}" for module in bad)


def allowed_in_core(module: str) -> bool:
    top = module.partition(".")[0]
    if top in PACKAGES:
        # `from firmware_config import wire` names the package first, then the module
        return within(module, *CORE_MAY_IMPORT) or module == "station_agent"
    return top in sys.stdlib_module_names and top not in IMPURE


def files() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_every_import_follows_the_arrows() -> None:
    assert [fault for path in files() for fault in faults(module_name(path), path.read_text())] == []


def test_no_file_is_longer_than_the_ceiling() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in files()
        if (count := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_all_three_packages_are_looked_at() -> None:
    assert {module_name(path).partition(".")[0] for path in files()} == set(PACKAGES)


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        pytest.param("firmware_config.wire", "import station_agent.clock", ["station_agent.clock"], id="contract-to-agent"),
        pytest.param("firmware_config.wire", "from cloud_hub import db", ["cloud_hub", "cloud_hub.db"], id="contract-to-hub"),
        pytest.param("station_agent.loop", "from cloud_hub.db import Base", ["cloud_hub.db", "cloud_hub.db.Base"], id="agent-to-hub"),
        pytest.param("cloud_hub.ingest.x", "def f():\n    import station_agent.facts", ["station_agent.facts"], id="hidden-in-a-function"),
        pytest.param("station_agent.core.door", "import time", ["time"], id="clock-in-core"),
        pytest.param("station_agent.core.door", "import numpy as np", ["numpy"], id="numpy-in-core"),
        pytest.param("station_agent.core.door", "from station_agent.facts import Fact", ["station_agent.facts", "station_agent.facts.Fact"], id="shell-in-core"),
        pytest.param("station_agent.loop", "from station_agent.wiring import build", ["station_agent.wiring", "station_agent.wiring.build"], id="wiring-imported"),
        pytest.param("cloud_hub.api.x", "import cloud_hub.bridge.service", ["cloud_hub.bridge.service"], id="bridge-from-web"),
        pytest.param("cloud_hub.api.x", "from cloud_hub import app", ["cloud_hub.app"], id="app-imported"),
    ],
)  # fmt: skip
def test_the_checker_finds_a_forbidden_import(name: str, source: str, expected: list[str]) -> None:
    assert faults(name, source) == [f"{name} imports {module}" for module in expected]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        pytest.param("station_agent.core.door", "from enum import Enum\nimport dataclasses, math, hmac", id="pure-library"),
        pytest.param("station_agent.core.door", "from firmware_config.wire import Go\nfrom station_agent.core import alarm", id="core-on-contract"),
        pytest.param("station_agent.__main__", "from station_agent import wiring", id="entry-wires"),
        pytest.param("cloud_hub.cli", "from cloud_hub.bridge import service", id="entry-starts-the-bridge"),
        pytest.param("cloud_hub.bridge.service", "from cloud_hub.bridge.mqtt import Link", id="inside-the-bridge"),
    ],
)  # fmt: skip
def test_the_checker_lets_a_right_import_pass(name: str, source: str) -> None:
    assert faults(name, source) == []
