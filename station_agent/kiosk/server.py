"""Serves the kiosk on the loopback address from threads of its own."""

import logging
import threading
from typing import Final

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

from station_agent.errors import AgentError

HOST: Final = "127.0.0.1"
THREADS: Final = 12
"""More than the pages that wait (``views.MOST_WAITING``), so that somebody who acts never queues behind them."""

log = logging.getLogger(__name__)


class KioskServer:
    """One page, one port.

    Attributes:
        port: where it serves; known once this exists.
    """

    def __init__(self, app: Flask, *, port: int) -> None:
        """Take the port.

        Raises:
            AgentError: it is taken.
        """
        self._sockets: dict[int, object] = {}
        try:
            self._server = create_server(
                app,
                map=self._sockets,
                host=HOST,
                port=port,
                threads=THREADS,
                connection_limit=64,
                channel_timeout=60,
                max_request_body_size=16 * 1024,
                max_request_header_size=16 * 1024,
                ident=None,
                expose_tracebacks=False,
            )
        except OSError as error:
            raise AgentError(f"kiosk.port: {HOST}:{port} cannot be used: {error.strerror}") from error
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._run, name="kiosk", daemon=True)

    @property
    def url(self) -> str:
        """For the screen at the door."""
        return f"http://{HOST}:{self.port}/"

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()
        log.info("kiosk_serves", extra={"url": self.url})

    def close(self) -> None:
        """Stop serving and give the port back. What is being answered ends with the process."""
        if self._thread.is_alive():
            self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets, ignore_all=True))
            self._thread.join(5.0)
        else:
            wasyncore.close_all(self._sockets, ignore_all=True)
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=1)

    def _run(self) -> None:
        wasyncore.loop(timeout=1.0, map=self._sockets)
