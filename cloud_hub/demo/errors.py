"""What can stop the demo, told to the person at the terminal in one sentence."""


class DemoError(Exception):
    """The demo cannot start or go on; the message says why and what to do."""


class StopRequested(BaseException):
    """Ctrl-C or SIGTERM while something was waited for. Not an error: the caller tidies up."""
