"""One logging set-up: one line per record, key=value after the message, to standard error (journald keeps it)."""

import logging
import sys
from typing import Final

_PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """``time level logger message key=value …``, with what a caller put into ``extra`` as keys."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Append the extras."""
        extras = {key: value for key, value in vars(record).items() if key not in _PLAIN}
        line = super().format(record)
        return (
            line if not extras else f"{line} {' '.join(f'{key}={value!r}' for key, value in extras.items())}"
        )


def set_up(*, verbose: bool = False) -> None:
    """Send every record to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
