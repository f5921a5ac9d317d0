"""Ports on 127.0.0.1. Nothing of the demo listens anywhere else."""

import errno
import socket
from typing import Final

from cloud_hub.demo.errors import DemoError

HOST: Final = "127.0.0.1"
USUAL_PORT: Final = 8080
"""Of the console, when it is free."""


def _bound(port: int) -> socket.socket:
    probe = socket.socket()
    try:
        # as servers do, so that connections still closing from the last run do not count as taken
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        probe.listen(1)
    except (OSError, OverflowError):
        probe.close()
        raise
    return probe


def web_port(wanted: int | None) -> int:
    """The port asked for; without a wish the usual one, or any free one.

    Raises:
        DemoError: the port asked for is taken or not allowed.
    """
    try:
        with _bound(USUAL_PORT if wanted is None else wanted):
            return USUAL_PORT if wanted is None else wanted
    except OSError as error:
        if wanted is None:
            return free_ports(1)[0]
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise DemoError(f"port {wanted} on {HOST} {why}; choose another with --port") from error
    except OverflowError as error:
        raise DemoError(f"{wanted} is not a port; choose one from 1 to 65535 with --port") from error


def free_ports(count: int) -> list[int]:
    """Different ports that nobody uses at this moment."""
    probes = [_bound(0) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def answers(port: int) -> bool:
    """Something accepts connections there."""
    try:
        with socket.create_connection((HOST, port), timeout=0.5):
            return True
    except OSError:
        return False
