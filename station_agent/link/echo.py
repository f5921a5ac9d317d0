"""Whether a connection still works both ways, judged by what comes down on it. PURE: no clock, no thread.

MQTT may say "connected" for ever on a line whose subscription the broker has forgotten. So a connection on which nothing
came for long is asked about in a heartbeat, and the hub answers on both (docs/protocol.md, Presence).

Rules
  1. Nothing heard for ``ECHO_AFTER_S``: ask, and again after ``ASK_AGAIN_S``. Whatever the hub says is an answer.
  2. ``MOST_ASKS`` questions in a row without an answer: the connection is built anew, with a fresh client.
  3. A question counts against the data connection only when the command connection, which carries it, was heard since.
  4. A question counts against neither when the broker has said since that nobody listens: the hub is away, and no new
     connection brings it back.
  5. A broker need not say so. So between two rebuilds that brought nothing lies a random pause, up to twice as long each
     time, and at most ``LONGEST_PAUSE_S``.
  6. A broker that has not acknowledged a message for ``OWED_S`` soon takes no more of them (``WatchedClient``), though all
     that comes down looks well: the connection is built anew.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

ECHO_AFTER_S: Final = 60.0
ASK_AGAIN_S: Final = 15.0
MOST_ASKS: Final = 3
OWED_S: Final = 60.0
FIRST_PAUSE_S: Final = 60.0
LONGEST_PAUSE_S: Final = 600.0
SPREAD: Final = 0.25
"""Every wait is longer or shorter by up to this part: stations must not ask in step."""

Name: TypeAlias = Literal["command", "data"]


@dataclass(slots=True)
class Line:
    """One connection.

    Attributes:
        due_s: when it is looked at next; never while it is down.
        heard_s: when something came on it.
        asked_s: when it was last asked about and has not answered since.
        failed: questions in a row without an answer.
        rebuilds: in a row that brought nothing.
        not_before_s: of the next rebuild.
    """

    due_s: float = math.inf
    heard_s: float = -math.inf
    asked_s: float | None = None
    failed: int = 0
    rebuilds: int = 0
    not_before_s: float = -math.inf


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with this heartbeat.

    Attributes:
        number: for ``Heartbeat.echo``; 0 asks nothing.
        birth: send one too: the broker's answer to it tells whether anybody listens.
        rebuild: connections to build anew.
    """

    number: int = 0
    birth: bool = False
    rebuild: tuple[Name, ...] = ()


@dataclass(slots=True)
class Echo:
    """Both connections of a station.

    Attributes:
        number: of the last question.
        chance: uniform in [0, 1).
    """

    number: int
    chance: Callable[[], float]
    lines: dict[Name, Line] = field(default_factory=lambda: {"command": Line(), "data": Line()})

    def went(self, name: Name, now_s: float, *, up: bool) -> None:
        """A connection came or went."""
        line = self.lines[name]
        line.failed, line.asked_s = 0, None
        line.due_s = now_s + self._spread(ECHO_AFTER_S) if up else math.inf

    def heard(self, name: Name, now_s: float) -> None:
        """Something of the hub came on it."""
        line = self.lines[name]
        line.heard_s, line.asked_s, line.failed, line.rebuilds = now_s, None, 0, 0
        line.not_before_s = -math.inf
        line.due_s = now_s + self._spread(ECHO_AFTER_S)

    def step(self, now_s: float, *, nobody: bool, owed_s: Mapping[Name, float]) -> Step:
        """A heartbeat goes out now.

        Args:
            now_s: this moment.
            nobody: the broker has said since the last step that nobody listens.
            owed_s: how long it has owed an acknowledgement, of each connection.
        """
        if nobody:
            for line in self.lines.values():
                line.asked_s = None
        asks, rebuild = False, []
        for name, line in self.lines.items():
            if owed_s[name] >= OWED_S:
                rebuild.append(name)
                self._rebuilt(line, now_s)
                continue
            if line.due_s > now_s:
                continue
            if line.asked_s is not None and self._fair(name, line.asked_s):
                line.failed += 1
            if line.failed >= MOST_ASKS and now_s >= line.not_before_s:
                rebuild.append(name)
                self._rebuilt(line, now_s)
            else:
                asks = True
                line.asked_s = now_s
                line.due_s = now_s + self._spread(ASK_AGAIN_S if line.failed < MOST_ASKS else ECHO_AFTER_S)
        if asks:
            self.number += 1
        return Step(self.number if asks else 0, asks and self.lines["command"].failed > 0, tuple(rebuild))

    def _fair(self, name: Name, asked_s: float) -> bool:
        """The question went out on a connection that works."""
        return name == "command" or self.lines["command"].heard_s >= asked_s

    def _rebuilt(self, line: Line, now_s: float) -> None:
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(line.rebuilds, 10))
        line.rebuilds += 1
        line.not_before_s = now_s + self.chance() * longest_s
        line.failed, line.asked_s, line.due_s = 0, None, math.inf

    def _spread(self, pause_s: float) -> float:
        return pause_s * (1 - SPREAD + 2 * SPREAD * self.chance())
