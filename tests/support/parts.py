"""Parts of the machine that a test needs: a skip says what is missing; in CI nothing may be missing."""

import os
import shutil
import socket
from pathlib import Path

import pytest

SHARED_FACES = Path(__file__).resolve().parents[3] / "shared" / "faces"


def require(condition: object, reason: str) -> None:
    """Skip with a reason, or fail where ``CI=true``."""
    if condition:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing on this machine, and CI must have it: {reason}", pytrace=False)
    pytest.skip(reason)


def permitted(condition: object, reason: str) -> None:
    """Skip what this machine does not allow (mounting, tracing, namespaces): no installation mends that, not in CI either."""
    if not condition:
        pytest.skip(reason)


def program(name: str, *elsewhere: str) -> str | None:
    """Path of a program on PATH, or in one of the other folders."""
    return shutil.which(name) or next(
        (found for folder in elsewhere if (found := shutil.which(name, path=folder))), None
    )


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
