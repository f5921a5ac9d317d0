"""Visits to the doors' cameras on the control thread: a decision becomes a grant and an event."""

from collections.abc import Callable, Mapping

from firmware_config.station import DoorRules, FaceEntry
from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent import facts
from station_agent.core.entry import Denied, Entry, Granted, Prompt
from station_agent.doorkeeper import Cause, Doorkeeper


class Visits:
    """One for the station. Control thread only.

    Args:
        rules: thresholds of face entry.
        engine: name and digest of the face engine, kept with every decision.
        doors: timing by door.
        keepers: the doors.
        record: keeps an event.
    """

    def __init__(
        self,
        *,
        rules: FaceEntry,
        engine: str,
        doors: Mapping[str, DoorRules],
        keepers: Mapping[str, Doorkeeper],
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        self._rules = rules
        self._engine = engine
        self._doors = doors
        self._keepers = keepers
        self._record = record
        self._entries = {door: Entry() for door in keepers}
        self.prompts: dict[str, str | None] = dict.fromkeys(keepers)

    def seen(self, fact: facts.FaceSeen) -> None:
        """One frame's sighting."""
        for outcome in self._entries[fact.door].step(fact.sighting, self._rules):
            match outcome:
                case Granted():
                    self._grant(fact.door, outcome)
                case Denied():
                    self._deny(fact.door, outcome)
                case Prompt():
                    self.prompts[fact.door] = outcome.reason

    def _grant(self, door: str, granted: Granted) -> None:
        # The relay first: a person stands in the cold, and the record loses nothing by coming second.
        cause = Cause(via="face", person=granted.person)
        moved = self._keepers[door].grant(cause, pulse_s=self._doors[door].unlocked_s)
        self.prompts[door] = None
        self._record(
            EventKind.ACCESS_GRANTED,
            {
                "door": door,
                "via": "face",
                "person": granted.person,
                "score": round(granted.score, 4),
                "margin": round(min(granted.margin, 2.0), 4),
                "frames": granted.frames,
                "waited_ms": round(granted.waited_s * 1000),
                "threshold": self._rules.threshold,
                "engine": self._engine,
                "pulsed": moved,
            },
        )

    def _deny(self, door: str, denied: Denied) -> None:
        self.prompts[door] = denied.reason
        self._record(
            EventKind.ACCESS_DENIED,
            {
                "door": door,
                "via": "face",
                "reason": denied.reason,
                "score": round(denied.score, 4),
                "frames": denied.frames,
                "waited_ms": round(denied.waited_s * 1000),
                "threshold": self._rules.threshold,
                "engine": self._engine,
            },
        )
