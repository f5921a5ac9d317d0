"""Client of a simulated station's control socket: one JSON object per line out, one JSON answer per line back."""

import json
import socket
from pathlib import Path
from typing import Any, Final

LIMIT_S: Final = 10.0


class ControlError(Exception):
    """The station is not there, or refused; the message says which."""


def call(path: Path, op: str, *, limit_s: float = LIMIT_S, **fields: Any) -> dict[str, Any]:
    """Ask one thing of the simulated world.

    Args:
        path: the socket.
        op: what to do, for example ``show``.
        limit_s: longest wait for the answer, in seconds.
        fields: the operation's own.

    Raises:
        ControlError: no station listens, it does not answer in time, or it answered with an error.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(limit_s)
            link.connect(str(path))
            link.sendall(json.dumps({"op": op, **fields}).encode() + b"\n")
            with link.makefile("rb") as answers:
                line = answers.readline()
    except OSError as error:
        raise ControlError(f"{path.name}: no answer to {op}: {error}") from error
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise ControlError(f"{path.name}: no answer to {op}") from error
    if not answer.get("ok"):
        raise ControlError(f"{path.name}: {op}: {answer.get('error', 'refused')}")
    return answer
