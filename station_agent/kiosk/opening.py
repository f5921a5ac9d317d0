"""Puts a kiosk together: page, voice and server, for the door that the station file names."""

from firmware_config.station import StationConfig
from station_agent.kiosk.app import Kiosk, create_app
from station_agent.kiosk.desk import Desk
from station_agent.kiosk.enrol import Enrolment
from station_agent.kiosk.server import KioskServer
from station_agent.kiosk.voice import open_voice


class OpenKiosk:
    """A kiosk that serves, until it is closed."""

    def __init__(self, config: StationConfig, *, desk: Desk, enrolment: Enrolment | None) -> None:
        """Take the port.

        Args:
            config: of the station.
            desk: what it may see and ask.
            enrolment: None where nobody can register.

        Raises:
            AgentError: the port is taken.
        """
        self._kiosk = Kiosk(
            config, desk=desk, enrolment=enrolment, voice=open_voice(wanted=config.kiosk.voice)
        )
        self._server = KioskServer(create_app(self._kiosk), port=config.kiosk.port)
        self._kiosk.port = self._server.port

    @property
    def url(self) -> str:
        """For the screen at the door."""
        return self._server.url

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def close(self) -> None:
        """Stop, and let nobody wait any longer."""
        self._kiosk.closing.set()
        self._server.close()
