"""What a score must reach at this station now: recorded strangers, the gallery's size and the station's rules, joined."""

import math
from dataclasses import dataclass

from firmware_config.station import FaceEntry
from station_agent.core.threshold import (
    CLOSED,
    LARGEST_VALIDATED_N,
    Frames,
    GalleryTooLargeError,
    Impostors,
)
from station_agent.vision.engine import FaceEngine
from station_agent.vision.gallery import Gallery
from station_agent.vision.impostors import UnrecordedError, load


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """In force from one change of the gallery to the next; kept with every decision.

    Attributes:
        engine: name and first digits of the weights' digest; empty when face entry is off.
        people: enrolled people that are searched.
        threshold: T(N), on the engine's scale; ``CLOSED`` when no score is enough.
    """

    engine: str = ""
    people: int = 0
    threshold: float = CLOSED


class Policy:
    """The station's rule for choosing a threshold.

    Args:
        face: target and frames, and the installer's own minimum.
        engine: whose scores they are.

    Raises:
        UnrecordedError: nothing is recorded of this engine's scores, and the installer set no threshold.
    """

    def __init__(self, face: FaceEntry, engine: FaceEngine) -> None:
        self._face = face
        self._engine = f"{engine.name}/{engine.digest[:12]}"
        self._frames = Frames(agreeing=face.agreeing_frames, judged=face.judged_frames)
        self._impostors = known_impostors(face, engine.name, engine.digest)
        self._largest = self._impostors.largest if self._impostors else LARGEST_VALIDATED_N

    def of(self, gallery: Gallery) -> Acceptance:
        """For this gallery. One that is too large opens for nobody."""
        people = len(gallery.people)
        return Acceptance(engine=self._engine, people=people, threshold=self._threshold(gallery, people))

    def refuse_one_more(self, gallery: Gallery, person: str) -> None:
        """Refuse to enrol another person into a full gallery.

        Raises:
            GalleryTooLargeError: it is full and the person is not in it already.
        """
        if person not in gallery.people and len(gallery.people) >= self._largest:
            raise GalleryTooLargeError(len(gallery.people) + 1, self._largest)

    def _threshold(self, gallery: Gallery, people: int) -> float:
        if people > self._largest:
            return CLOSED
        own = self._face.threshold or 0.0
        if self._impostors is None:
            return own or CLOSED
        templates = max(1, math.ceil(len(gallery) / max(1, people)))
        return max(own, self._impostors.threshold(people, self._face.fpir, self._frames, templates=templates))


def known_impostors(face: FaceEntry, engine: str, digest: str) -> Impostors | None:
    """What is recorded of strangers under these weights; None when the installer's threshold stands in for it.

    Raises:
        UnrecordedError: neither is there.
    """
    try:
        return load(engine, digest)
    except UnrecordedError:
        if face.threshold is None:
            raise
        return None
