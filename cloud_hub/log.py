"""One logging set-up for every process of the hub: a line per record on standard error, facts as ``key=value``."""

import logging
import sys
from typing import Final

_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Lines(logging.Formatter):
    """``time level logger: event key=value …``, then the traceback if there is one."""

    default_msec_format = "%s.%03d"

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {process} %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (logging's name)
        """The line, with the record's own facts behind it."""
        facts = [f"{key}={value!r}" for key, value in vars(record).items() if key not in _OWN]
        return " ".join([super().formatMessage(record), *facts])


def set_up(process: str, *, level: int = logging.INFO) -> None:
    """Log to standard error as ``process``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
