"""Serves the stage on loopback from threads of the runner. Never part of the hub."""

import logging
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

from werkzeug.serving import BaseWSGIServer, make_server

from cloud_hub.demo.faces import Faces
from cloud_hub.demo.keeper import Keeper
from cloud_hub.demo.ports import HOST
from cloud_hub.demo.stage.app import create_stage
from cloud_hub.demo.stage.world import World
from cloud_hub.demo.stations import Simulated


class Stage:
    """The stage's server."""

    def __init__(
        self,
        *,
        port: int,
        stations: Sequence[Simulated],
        keeper: Keeper,
        faces: Faces,
        folder: Path,
        hub_url: str,
    ) -> None:
        self._port = port
        self._key = secrets.token_urlsafe(24)
        world = World(
            {station.id: station for station in stations}, keeper=keeper, faces=faces, folder=folder
        )
        self._app = create_stage(world, stations=stations, key=self._key, port=port, hub_url=hub_url)
        self._server: BaseWSGIServer | None = None

    @property
    def url(self) -> str:
        """Address with the key that lets a browser in."""
        return f"http://{HOST}:{self._port}/?key={self._key}"

    def start(self) -> None:
        """Begin to serve."""
        logging.getLogger("werkzeug").setLevel(logging.WARNING)
        self._server = make_server(HOST, self._port, self._app, threaded=True)
        threading.Thread(target=self._server.serve_forever, name="stage", daemon=True).start()

    def close(self) -> None:
        """Stop serving. Safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
