"""Visits to the doors' cameras on the control thread: many frames become one decision, and that one asks to come in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from firmware_config.station import FaceEntry
from firmware_config.wire import Scalar
from station_agent import facts
from station_agent.admission import Admission
from station_agent.core.entry import Denied, Entry, Granted, Prompt


class Accepted(Protocol):
    """What ``vision.acceptance.Acceptance`` says about the gallery that is searched now."""

    @property
    def engine(self) -> str:
        """Name and digest of the face engine."""

    @property
    def people(self) -> int:
        """People enrolled."""

    @property
    def threshold(self) -> float:
        """Least score of a match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a visit is decided by: ``core.entry.EntryRules``."""

    threshold: float
    margin: float
    agreeing_frames: int
    judged_frames: int


class Visits:
    """One for the station. Control thread only.

    Args:
        rules: of face entry.
        accepted: what a score must reach at this moment, and in which gallery; kept with every decision.
        doors: ids of the doors.
        admission: decides whether somebody recognised may come in.
    """

    def __init__(
        self,
        *,
        rules: FaceEntry,
        accepted: Callable[[], Accepted],
        doors: Iterable[str],
        admission: Admission,
    ) -> None:
        self._rules = rules
        self._accepted = accepted
        self._entries = {door: Entry() for door in doors}
        self._admission = admission

    def seen(self, fact: facts.FaceSeen) -> None:
        """One frame's sighting."""
        if fact.sighting.faces:
            self._admission.present(fact.door)
        accepted = self._accepted()
        for outcome in self._entries[fact.door].step(fact.sighting, rules_for(self._rules, accepted)):
            match outcome:
                case Granted():
                    margin = {"margin": round(min(outcome.margin, 2.0), 4)}
                    self._admission.face_granted(fact.door, outcome.person, _data(outcome, accepted) | margin)
                case Denied():
                    near = outcome.reason == "ambiguous_face"
                    self._admission.face_denied(
                        fact.door, outcome.reason, _data(outcome, accepted), near=near
                    )
                case Prompt():
                    self._admission.prompt(fact.door, outcome.reason)


def rules_for(face: FaceEntry, accepted: Accepted) -> Rules:
    """The station's rules with the threshold that is in force."""
    return Rules(
        threshold=accepted.threshold,
        margin=face.margin,
        agreeing_frames=face.agreeing_frames,
        judged_frames=face.judged_frames,
    )


def _data(outcome: Granted | Denied, accepted: Accepted) -> dict[str, Scalar]:
    """What was decided on, and by what, for the event."""
    light: dict[str, Scalar] = {} if outcome.light is None else {"light": round(outcome.light)}
    return light | {
        "score": round(outcome.score, 4),
        "frames": outcome.frames,
        "waited_ms": round(outcome.waited_s * 1000),
        "threshold": round(accepted.threshold, 4),
        "gallery": accepted.people,
        "engine": accepted.engine,
    }
