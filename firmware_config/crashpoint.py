"""Named places at which a process can be told to die as by a power cut, for the fault campaign (safety.md T7).

Nothing happens unless a process was armed at its start, and only the commands that run one arm it. "Published" and "sent"
mean handed to the MQTT client: its own thread may die with the message in hand.
"""

import os
import signal
from typing import Final

NAMES: Final = frozenset(
    {
        "agent.order.challenged",
        "agent.go.judged",
        "agent.intent.before_commit",
        "agent.intent.committed",
        "agent.pulse.energised",
        "agent.pulse.released",
        "agent.result.before_commit",
        "agent.event.before_commit",
        "agent.outbox.committed",
        "agent.outbox.published",
        "agent.ack.before_forget",
        "agent.ack.forgotten",
        "bridge.request.sent",
        "bridge.authorised.before_commit",
        "bridge.authorised.committed",
        "bridge.go.sent",
        "bridge.batch.before_commit",
        "bridge.batch.committed",
        "bridge.batch.puback",
        "bridge.batch.acknowledged",
        "web.order.before_commit",
        "web.order.committed",
        "web.order.rung",
    }
)

VARIABLE: Final = "YIZHAN_CRASH_AT"
"""``NAME`` or ``NAME:N``: die at the N-th time the place is reached."""

_armed = ""
_left = 0


def arm(text: str | None) -> bool:
    """Die at a place. Called once, by the commands that run a process, with the value of ``VARIABLE``.

    Returns:
        Whether anything was asked for; whoever calls says so aloud.

    Raises:
        ValueError: there is no such place, or its number is none.
    """
    global _armed, _left
    if not text:
        return False
    name, _, times = text.partition(":")
    if name not in NAMES:
        raise ValueError(f"{VARIABLE}: no place {name!r}; one of {', '.join(sorted(NAMES))}")
    _armed, _left = name, int(times or 1)
    return True


def here(name: str) -> None:
    """This is the place: ends the process at once, without any cleaning up, when it was armed for it."""
    global _left  # noqa: PLW0603
    if name != _armed:
        return
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
