"""Visits to the doors' cameras on the control thread: many frames become one decision, and that one asks to come in."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from firmware_config.station import FaceEntry
from firmware_config.wire import Scalar
from station_agent import facts
from station_agent.admission import Admission
from station_agent.clock import Clock
from station_agent.core.challenge import Step
from station_agent.core.entry import Denied, Granted, Prompt
from station_agent.core.visit import Admitted, LiveEntry, Outcome, Refused
from station_agent.vision.witnessing import CHANCE, Witnessing


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
        witnessing: what the station asks for besides recognition.
        doors: ids of the doors.
        admission: decides whether somebody recognised may come in.
        clock: for attempts that end without a frame.
    """

    def __init__(
        self,
        *,
        rules: FaceEntry,
        accepted: Callable[[], Accepted],
        witnessing: Witnessing,
        doors: Iterable[str],
        admission: Admission,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._accepted = accepted
        self._witnessing = witnessing
        self._entries = {door: LiveEntry(witnessing.demands, below=CHANCE) for door in doors}
        self._admission = admission
        self._clock = clock

    @property
    def deadline_s(self) -> float | None:
        """Monotonic time at which ``tick`` is due; None while nobody is asked for anything."""
        deadlines = [entry.deadline_s for entry in self._entries.values()]
        return min((deadline_s for deadline_s in deadlines if deadline_s is not None), default=None)

    def seen(self, fact: facts.FaceSeen) -> None:
        """What one frame showed."""
        if fact.sighting.faces:
            self._admission.present(fact.door)
        accepted = self._accepted()
        rules = rules_for(self._rules, accepted)
        self._tell(fact.door, self._entries[fact.door].step(fact.sighting, fact.look, rules), accepted)

    def tick(self) -> None:
        """End the attempts whose time is over."""
        now_s, accepted = self._clock.monotonic_s(), self._accepted()
        for door, entry in self._entries.items():
            self._tell(door, entry.tick(now_s), accepted)

    def _tell(self, door: str, outcomes: list[Outcome], accepted: Accepted) -> None:
        for outcome in outcomes:
            match outcome:
                case Admitted():
                    data = self._admitted(outcome, accepted)
                    self._admission.face_granted(door, outcome.seen.person, data)
                case Refused():
                    near = outcome.reason == "ambiguous_face"
                    data = self._refused(outcome, accepted)
                    self._admission.face_denied(door, outcome.reason, data, near=near, person=outcome.person)
                case Prompt():
                    self._admission.prompt(door, outcome.reason)

    def _admitted(self, outcome: Admitted, accepted: Accepted) -> dict[str, Scalar]:
        margin: dict[str, Scalar] = {"margin": round(min(outcome.seen.margin, 2.0), 4)}
        data = _data(outcome.seen, accepted, outcome.added_s) | margin
        if not outcome.live.gates:
            return data | {"liveness": self._witnessing.mode}
        gates: dict[str, Scalar] = {"gates": " ".join(outcome.live.gates)}
        return data | gates | self._attempt(outcome.live.nonce, outcome.live.steps, outcome.added_s)

    def _refused(self, outcome: Refused, accepted: Accepted) -> dict[str, Scalar]:
        data = _data(outcome.seen, accepted, outcome.added_s)
        if outcome.nonce is None:
            return data | {"liveness": self._witnessing.mode}
        return data | self._attempt(outcome.nonce, outcome.steps, outcome.added_s)

    def _attempt(self, nonce: str, steps: tuple[Step, ...], added_s: float) -> dict[str, Scalar]:
        """What was asked for, and by what it was judged."""
        data: dict[str, Scalar] = {
            "liveness": self._witnessing.mode,
            "attempt": nonce,
            "added_ms": round(added_s * 1000),
        }
        if steps:
            data["steps"] = " ".join(step.value for step in steps)
        if self._witnessing.digest:
            data["liveness_model"] = self._witnessing.digest
        return data


def rules_for(face: FaceEntry, accepted: Accepted) -> Rules:
    """The station's rules with the threshold that is in force."""
    return Rules(
        threshold=accepted.threshold,
        margin=face.margin,
        agreeing_frames=face.agreeing_frames,
        judged_frames=face.judged_frames,
    )


def _data(outcome: Granted | Denied, accepted: Accepted, added_s: float) -> dict[str, Scalar]:
    """What was decided on, and by what, for the event."""
    light: dict[str, Scalar] = {} if outcome.light is None else {"light": round(outcome.light)}
    return light | {
        "score": round(outcome.score, 4),
        "frames": outcome.frames,
        "waited_ms": round((outcome.waited_s + added_s) * 1000),
        "threshold": round(accepted.threshold, 4),
        "gallery": accepted.people,
        "engine": accepted.engine,
    }
