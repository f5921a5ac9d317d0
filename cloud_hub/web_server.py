"""The web process: granian serves the app until SIGTERM. A supervisor and one worker, which never outlives it.

The worker's threads each hold one request, and a live stream is a request, so ``threads`` allows for the streams.
"""

import ctypes
import functools
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels

from cloud_hub import context
from cloud_hub.app import create_app, secret_key
from cloud_hub.settings import Hub
from firmware_config.turns import take_short_turns

if TYPE_CHECKING:
    from flask import Flask

_STOP_WITHIN_S: Final = 5
_PR_SET_PDEATHSIG: Final = 1

log = logging.getLogger(__name__)


def run(hub: Hub) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SystemExit: with a message and status 1, when the secret key is unusable or the address cannot be listened on.
    """
    web = hub.settings.web
    try:
        secret_key(hub)
    except (OSError, ValueError) as error:
        message = f"cloud-hub: web.secret_key_file: {error}"
        raise SystemExit(message) from error
    _check_free(web.host, web.port)
    server = Granian(
        "cloud_hub.web_server",
        address=web.host,
        port=web.port,
        interface=Interfaces.WSGI,
        workers=1,
        blocking_threads=web.threads,
        backlog=1024,
        respawn_failed_workers=True,
        workers_kill_timeout=_STOP_WITHIN_S,
        log_level=LogLevels.error,
    )
    log.info("web.listening", extra={"host": web.host, "port": web.port})
    server.serve(target_loader=functools.partial(_load, hub, os.getpid()), wrap_loader=False)


def _check_free(host: str, port: int) -> None:
    """Granian shares its port (SO_REUSEPORT): a second hub would silently take half of the first one's requests."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        message = f"cloud-hub: cannot listen on {host}:{port}: {error.strerror or error}"
        raise SystemExit(message) from error


def _load(hub: Hub, supervisor: int) -> Callable[..., Any]:
    """In the worker: make the app, and see to it that the worker ends with its supervisor and its streams with it."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)  # it died before the line above
    take_short_turns()
    app = create_app(hub)
    _end_streams_on_signals(app)
    return app


def _end_streams_on_signals(app: "Flask") -> None:
    """A graceful stop waits for open requests, and a live stream never ends by itself.

    Granian sets its own handlers after this runs, so the signal's number is read from Python's wake-up pipe instead.
    """
    web: context.Web = app.extensions[context.KEY]
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)
    signal.set_wakeup_fd(sending, warn_on_full_buffer=False)

    def wait() -> None:
        while number := os.read(receiving, 1):
            if number[0] in {signal.SIGTERM, signal.SIGINT}:
                web.broadcaster.close()

    threading.Thread(target=wait, name="signals", daemon=True).start()
