"""Failed attempts at the doors, way by way: refused for a while, kept on disk, told to the hub. Control thread only.

Rules
  1. What is refused here is one way in. Exit, help, fire and remote orders never come here.
  2. A refusal during a wait leaves no event: whoever goes on typing fills no disk. The beginning of each wait leaves one.
  3. Faces that nobody knows count for nothing: people who walk past would shut the workers out. Counted are visits that
     look like an attack (``ATTACKS``), and passes that are forged, withdrawn or used up.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent.clock import Clock
from station_agent.core.lockout import Locked, Lockout, Method, Subject
from station_agent.core.passes import PassRefusal

ATTACKS: Final = frozenset(
    {
        "repeated_frame",
        "identity_changed",
        "wrong_step",
        "flat_turn",
        "replay_suspected",
        "screen_pattern",
        "straight_border",
        "pass_altered",
        "pass_unknown_key",
        PassRefusal.REVOKED.value,
        PassRefusal.REPLAYED.value,
    }
)
"""Reasons of denials that count as failed attempts of the face or pass way at a door."""


class Attempts:
    """One for the station."""

    def __init__(
        self,
        tallies: Mapping[Subject, int],
        *,
        clock: Clock,
        keep: Callable[[Mapping[Subject, int]], None],
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        """Go on from what was kept.

        Args:
            tallies: failures in a row, as ``store.credentials`` remembered them.
            clock: for waits.
            keep: puts counts on disk; returns at once.
            record: keeps an event.
        """
        self._lockout = Lockout(tallies, now_s=clock.monotonic_s())
        self._clock = clock
        self._keep = keep
        self._record = record

    def refused(self, method: Method, door: str) -> Locked | None:
        """Whether a way is shut at a door for now."""
        return self._lockout.locked([Subject(method, "door", door)], now_s=self._clock.monotonic_s())

    def begin(self, method: Method, door: str, person: str | None) -> Locked | dict[Subject, int]:
        """Let an attempt through and count it as failed, or refuse it.

        Returns:
            The counts that must be on disk before the attempt is judged, or why it is not judged at all.
        """
        return self._lockout.charge(_subjects(method, door, person), now_s=self._clock.monotonic_s())

    def failed(self, method: Method, door: str, person: str | None = None) -> None:
        """An attempt that had begun was not good. Tells the hub when a wait follows."""
        for subject in _subjects(method, door, person):
            locked = self._lockout.locked([subject], now_s=self._clock.monotonic_s())
            if locked is not None:
                whose = {"person": subject.id} if subject.scope == "person" else {}
                wait = {"wait_s": round(locked.wait_s)} if math.isfinite(locked.wait_s) else {}
                told: dict[str, Scalar] = {"door": door, "method": method, "reason": locked.reason}
                self._record(EventKind.ACCESS_LOCKED_OUT, {**told, **whose, **wait})

    def succeeded(self, method: Method, door: str, person: str | None = None) -> None:
        """An attempt that had begun was good."""
        self._keep(self._lockout.succeed(_subjects(method, door, person)))

    def denied(self, method: Method, door: str, reason: str) -> None:
        """A face or pass was denied: count it when it looks like an attack."""
        if reason in ATTACKS and isinstance(charged := self.begin(method, door, None), dict):
            self._keep(charged)
            self.failed(method, door)

    def granted(self, method: Method, door: str) -> None:
        """A face or pass was good: a door's count goes down by one, once there is one."""
        if (subject := Subject(method, "door", door)) in self._lockout.tallies:
            self.begin(method, door, None)
            self._keep(self._lockout.succeed([subject]))

    def forgive(self, method: Method, person: str) -> None:
        """A person proved otherwise who they are."""
        self._keep(self._lockout.forgive(Subject(method, "person", person)))


def _subjects(method: Method, door: str, person: str | None) -> list[Subject]:
    at_door = Subject(method, "door", door)
    return [at_door] if person is None else [at_door, Subject(method, "person", person)]
