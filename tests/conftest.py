"""Fixtures that many tests share, each in a module of ``tests/support`` named for what it gives; and what tests need."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.support.parts import SHARED_FACES, program, require

pytest_plugins = [
    "tests.support.broker",
    "tests.support.demo",
    "tests.support.hub",
    "tests.support.bridge",
    "tests.support.postgres",
    "tests.support.web",
]

CHROMIUM: Final = os.environ.get("CHROMIUM", "/usr/bin/chromium")

PARTS: Final[dict[str, tuple[Callable[[], object], str]]] = {
    "browser": (Path(CHROMIUM).exists, f"no Chromium at {CHROMIUM}; on Debian: apt-get install chromium"),
    "mosquitto": (
        lambda: program("mosquitto", "/usr/sbin"),
        "no Mosquitto; on Debian: apt-get install mosquitto",
    ),
    "faces": (SHARED_FACES.is_dir, f"no face images in {SHARED_FACES}"),
}
"""By marker: whether the part is there, and what to tell when it is not."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose part is missing; where ``CI=true``, fail it."""
    for name, (there, reason) in PARTS.items():
        if item.get_closest_marker(name) is not None:
            require(there(), reason)
    if item.get_closest_marker("hardware") is not None:
        pytest.skip("needs a wired Raspberry Pi")
