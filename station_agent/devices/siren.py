"""Sirens and buzzers: relays with a sound. Switched by the control thread only; their time limits are core/alarm.py's."""

from station_agent.devices.relay import Relay


class Siren:
    """The station's siren."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    @property
    def sounding(self) -> bool:
        """Its driver is energised, read back."""
        return self._relay.energised

    def sound(self) -> None:
        """Begin to sound. Harmless when it sounds already.

        Raises:
            DeviceError: the driver refused.
        """
        self._relay.energise()

    def silence(self) -> None:
        """Fall silent. Harmless when it is silent already.

        Raises:
            DeviceError: the driver refused.
        """
        self._relay.release()


class Buzzer:
    """Warns the person at one door. A door without one stays silent; the hub hears of its prealarm all the same."""

    def __init__(self, relay: Relay | None) -> None:
        self._relay = relay

    @property
    def sounding(self) -> bool:
        """Its driver is energised, read back."""
        return self._relay is not None and self._relay.energised

    def start(self) -> None:
        """Begin to sound. Harmless when it sounds already.

        Raises:
            DeviceError: the driver refused.
        """
        if self._relay:
            self._relay.energise()

    def stop(self) -> None:
        """Fall silent. Harmless when it is silent already.

        Raises:
            DeviceError: the driver refused.
        """
        if self._relay:
            self._relay.release()
