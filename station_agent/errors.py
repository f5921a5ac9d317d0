"""The agent's exceptions. One root; each is also the built-in that fits, so that a caller may catch either."""


class AgentError(Exception):
    """Anything the agent gives up on. Sensor facts never raise; this is for what a caller asked for."""


class DeviceError(AgentError, OSError):
    """A device cannot be opened or switched. The message names the wire and the pin or file."""
