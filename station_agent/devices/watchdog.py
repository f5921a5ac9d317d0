"""systemd's watchdog, by the notification protocol (sd_notify(3)): a datagram to ``$NOTIFY_SOCKET``.

Fed by the control loop and by nothing else, so that a dead loop is noticed although other threads live.
"""

import logging
import socket
from typing import Protocol

from station_agent.clock import Clock

log = logging.getLogger(__name__)


class Watchdog(Protocol):
    """Whoever restarts this process when it no longer reports."""

    def ready(self) -> None:
        """The agent works."""

    def feed(self) -> None:
        """The control loop is alive. Called at every turn of the loop."""

    def stopping(self) -> None:
        """The agent is about to end, as asked."""

    def close(self) -> None:
        """Give up the socket. Safe to call twice."""


class SystemdWatchdog:
    """Tells systemd.

    Args:
        address: value of ``$NOTIFY_SOCKET``: a path, or ``@`` and an abstract name.
        timeout_s: value of ``$WATCHDOG_USEC`` in seconds; systemd is told at most every quarter of it.
        clock: monotonic time.
    """

    def __init__(self, address: str, *, timeout_s: float, clock: Clock) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._every_s = timeout_s / 4
        self._clock = clock
        self._fed_s: float | None = None
        self._unheard = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def ready(self) -> None:
        """READY=1."""
        self._send(b"READY=1")

    def feed(self) -> None:
        """WATCHDOG=1, not more often than needed."""
        now_s = self._clock.monotonic_s()
        if self._fed_s is None or now_s - self._fed_s >= self._every_s:
            self._fed_s = now_s
            self._send(b"WATCHDOG=1")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._send(b"STOPPING=1")

    def close(self) -> None:
        """Give up the socket."""
        self._socket.close()

    def _send(self, words: bytes) -> None:
        # Never blocks and never raises: a supervisor that does not listen must not stop the door.
        try:
            self._socket.sendto(words, self._address)
        except OSError as error:
            if not self._unheard:
                log.warning("systemd does not listen", extra={"error": error.strerror})
            self._unheard = True
        else:
            self._unheard = False


class NoWatchdog:
    """Nobody supervises this process: started by hand, in a test or in the demo."""

    def ready(self) -> None:
        """Nobody to tell."""

    def feed(self) -> None:
        """Nobody to tell."""

    def stopping(self) -> None:
        """Nobody to tell."""

    def close(self) -> None:
        """Nothing to give up."""


def open_watchdog(address: str | None, *, timeout_s: float | None, clock: Clock) -> Watchdog:
    """The watchdog systemd asked for.

    Args:
        address: ``$NOTIFY_SOCKET``; None or empty when systemd did not start this process.
        timeout_s: ``$WATCHDOG_USEC`` in seconds; None when only readiness is wanted.
        clock: monotonic time.
    """
    if not address:
        return NoWatchdog()
    return SystemdWatchdog(address, timeout_s=float("inf") if timeout_s is None else timeout_s, clock=clock)
