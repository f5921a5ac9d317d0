"""One visit to a door's camera, from the first face to its decision. PURE: no clock, thread, camera or numpy.

Rules
  1. A visit begins with the first face and ends when no face was seen for ``GONE_S``, or when the face in view is no
     longer the person the visit began with. The next face then begins a visit of its own and inherits nothing.
  2. Only usable frames count: exactly one face to judge, good enough, and newer than every frame before it.
  3. A frame speaks for a person when its score reaches the threshold and its margin over the next person the margin.
  4. Granted: ``agreeing_frames`` frames of one try speak for one person and none for anybody else. Never fewer than two.
  5. Denied: ``judged_frames`` usable frames of one try without agreement. ``ambiguous_face`` when any of them came near
     an enrolled person (within ``NEAR`` of the threshold, or over it), else ``unknown_face``. Under a threshold that
     nothing can reach the person can do nothing about it: ``gallery_too_large``.
  6. A visit is decided once. After a grant it decides nothing more, however long it lasts; after a denial a further try
     begins once the person has stayed for ``RETRY_S``.
  7. While a try is undecided, each reason for which a frame could not be used is prompted once a visit.
  8. What is granted here is a recognition. Whoever asks for more than that (``core.visit``) takes it back when the rest
     fails: the try then counts as denied.
  9. Whatever is missing counts against a grant: no score, no margin, or no comparison with the visit's first face.

The vision thread keeps the visit's first usable face to compare the next ones with, by the same rule 1.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from station_agent.core.threshold import CLOSED

GONE_S: Final = 0.7
"""A visit ends when no face was seen for this long: ten frames at 15 a second, less than two people need to swap."""

RETRY_S: Final = 3.0
"""Presence after a denial before a further try: time to come closer or take a helmet off."""

NEAR: Final = 0.08
"""A score this little below the threshold may still be an enrolled person in bad light."""

SAME_PERSON: Final = 0.45
"""Least score against the visit's first face at which the face in view still is that person.

One pair of strangers in 10,000 reaches it (measurements.md, SFace on AT&T). It decides only where a visit ends: every
frame that counts for a grant must match the enrolled person by itself.
"""

DenialReason: TypeAlias = Literal["unknown_face", "ambiguous_face", "gallery_too_large"]


class EntryRules(Protocol):
    """What ``firmware_config.station.FaceEntry`` says about decisions, and the threshold for the gallery as it is."""

    @property
    def threshold(self) -> float:
        """Least score of a match: T(N) of ``core.threshold``."""

    @property
    def margin(self) -> float:
        """Least distance of the best person over the next."""

    @property
    def agreeing_frames(self) -> int:
        """Frames that must agree before a grant."""

    @property
    def judged_frames(self) -> int:
        """Usable frames after which a try without agreement is denied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one frame showed.

    Attributes:
        taken_s: monotonic time of the frame, in seconds.
        faces: faces found in it.
        quality: why it cannot be used; None when it can.
        person: nearest enrolled person; None when nobody is enrolled or the frame was not compared.
        score: of that person, larger is closer; the threshold is on the same scale.
        margin: distance of that score over the next *other* person's; infinite when there is none.
        same_as_before: score against the visit's first usable face; None when there is none to compare with.
        light: mean grey of the face, 0 to 255; None when it was not measured. Decides nothing.
    """

    taken_s: float
    faces: int
    quality: str | None = None
    person: str | None = None
    score: float = -1.0
    margin: float = 0.0
    same_as_before: float | None = None
    light: float | None = None

    @property
    def usable(self) -> bool:
        """Whether it may count for or against anybody."""
        return self.faces > 0 and self.quality is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """The visit's frames agree on one enrolled person.

    Attributes:
        score: the lowest among the agreeing frames.
        margin: the lowest among the agreeing frames.
        frames: how many agreed.
        waited_s: from the visit's first face to the decision.
        light: mean grey of the face over those frames, 0 to 255.
    """

    person: str
    score: float
    margin: float
    frames: int
    waited_s: float
    light: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """The visit's frames do not agree on anybody.

    Attributes:
        reason: ``ambiguous_face`` sends a person to another way of entry; it is never a guess.
        score: the highest among the judged frames.
        frames: how many were judged.
        waited_s: from the visit's first face to the decision.
        light: mean grey of the face over those frames, 0 to 255.
    """

    reason: DenialReason
    score: float
    frames: int
    waited_s: float
    light: float | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """Tell the person what to change, for example ``too_small``: come closer."""

    reason: str


Outcome: TypeAlias = Granted | Denied | Prompt


class _Visit:
    """One person's presence: the frames of the current try, and what has been decided."""

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.compared = False
        self.judged: list[Sighting] = []
        self.prompted: set[str] = set()
        self.granted = False
        self.denied_s: float | None = None

    @property
    def decided(self) -> bool:
        return self.granted or self.denied_s is not None


class Entry:
    """The visits to one camera, one after the other."""

    def __init__(self) -> None:
        self._visit: _Visit | None = None
        self._begun = 0
        self._newest_s = -math.inf
        self._face_s = -math.inf

    @property
    def visit(self) -> int:
        """Number of the visit that goes on; 0 for an empty doorway."""
        return 0 if self._visit is None else self._begun

    @property
    def judging(self) -> bool:
        """A try with usable frames waits for its decision."""
        return self._visit is not None and not self._visit.decided and bool(self._visit.judged)

    def retract(self, now_s: float) -> None:
        """Take the visit's grant back (rule 8)."""
        if self._visit is not None and self._visit.granted:
            self._visit.granted = False
            self._visit.denied_s = max(self._newest_s, now_s)

    def start_over(self) -> None:
        """Forget the frames of a try that is not decided yet."""
        if self._visit is not None:
            self._visit.judged = []

    def step(self, sighting: Sighting, rules: EntryRules) -> list[Outcome]:
        """Take one frame's sighting; say what follows from it, mostly nothing."""
        if not sighting.taken_s > self._newest_s:
            return []  # rule 2: a frame shown twice, or late, or without a time
        self._newest_s = sighting.taken_s
        if sighting.taken_s - self._face_s > GONE_S:
            self._visit = None
        if sighting.faces <= 0:
            return []
        self._face_s = sighting.taken_s
        visit = self._visit_of(sighting)
        _try_again(visit, sighting.taken_s)
        if visit.decided:
            return []
        if not sighting.usable:
            return _prompt(visit, sighting.quality)
        visit.judged.append(sighting)
        return _decide(visit, sighting.taken_s, rules)

    def _visit_of(self, sighting: Sighting) -> _Visit:
        """The visit this face belongs to, by rule 1."""
        visit = self._visit
        if visit is None or (visit.compared and sighting.usable and not _same_person(sighting)):
            visit = self._visit = _Visit(sighting.taken_s)
            self._begun += 1
        visit.compared = visit.compared or sighting.usable
        return visit


def _same_person(sighting: Sighting) -> bool:
    return sighting.same_as_before is not None and sighting.same_as_before >= SAME_PERSON


def _try_again(visit: _Visit, now_s: float) -> None:
    if visit.denied_s is not None and now_s - visit.denied_s >= RETRY_S:
        visit.denied_s = None
        visit.judged = []


def _prompt(visit: _Visit, reason: str | None) -> list[Outcome]:
    if reason is None or reason in visit.prompted:
        return []
    visit.prompted.add(reason)
    return [Prompt(reason)]


def speaks_for(sighting: Sighting, rules: EntryRules) -> str | None:
    """The person a frame speaks for, by rule 3. Comparisons are written so that a NaN speaks for nobody."""
    close_enough = sighting.score >= rules.threshold and sighting.margin >= rules.margin
    return sighting.person if close_enough else None


def _decide(visit: _Visit, now_s: float, rules: EntryRules) -> list[Outcome]:
    votes = Counter(person for frame in visit.judged if (person := speaks_for(frame, rules)) is not None)
    waited_s = now_s - visit.began_s
    if len(votes) == 1:
        ((person, frames),) = votes.items()
        if frames >= max(2, rules.agreeing_frames):
            visit.granted = True
            agreeing = [frame for frame in visit.judged if speaks_for(frame, rules) == person]
            return [
                Granted(
                    person=person,
                    score=min(frame.score for frame in agreeing),
                    margin=min(frame.margin for frame in agreeing),
                    frames=frames,
                    waited_s=waited_s,
                    light=_light(agreeing),
                )
            ]
    if len(visit.judged) < rules.judged_frames:
        return []
    visit.denied_s = now_s
    best = max(frame.score for frame in visit.judged)
    closed = rules.threshold >= CLOSED
    near = any(frame.person is not None and frame.score >= rules.threshold - NEAR for frame in visit.judged)
    return [
        Denied(
            reason="gallery_too_large" if closed else "ambiguous_face" if near else "unknown_face",
            score=best,
            frames=len(visit.judged),
            waited_s=waited_s,
            light=_light(visit.judged),
        )
    ]


def _light(frames: list[Sighting]) -> float | None:
    measured = [frame.light for frame in frames if frame.light is not None]
    return sum(measured) / len(measured) if measured else None
