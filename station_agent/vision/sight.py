"""What one frame shows: faces, their quality, the nearest enrolled person. One camera; vision thread only.

It keeps the first usable face of a visit to compare the next ones with, by rule 1 of ``core.entry``: that comparison is
arithmetic on vectors, which the core must not do.
"""

import math

from station_agent.core.entry import GONE_S, SAME_PERSON, Sighting
from station_agent.vision.engine import FaceEngine, Vector
from station_agent.vision.frame import Frame
from station_agent.vision.gallery import Gallery
from station_agent.vision.quality import judge


class Sight:
    """Turns frames into sightings.

    Attributes:
        gallery: replaced as a whole, by any thread; each frame is searched in one gallery.
    """

    def __init__(self, engine: FaceEngine, gallery: Gallery) -> None:
        self.gallery = gallery
        self._engine = engine
        self._first: Vector | None = None
        self._face_s = -math.inf

    def look(self, frame: Frame) -> Sighting:
        """Judge one frame. Only a face good enough is described and searched for."""
        faces = self._engine.detect(frame.pixels)
        if frame.taken_s - self._face_s > GONE_S:
            self._first = None
        if not faces:
            return Sighting(taken_s=frame.taken_s, faces=0)
        self._face_s = frame.taken_s
        quality = judge(frame.pixels, faces)
        if quality.reason:
            return Sighting(
                taken_s=frame.taken_s, faces=len(faces), quality=quality.reason, light=quality.grey
            )
        vector = self._engine.embed(frame.pixels, faces[0])
        same = self._compare(vector)
        match = self.gallery.nearest(vector)
        if match is None:
            return Sighting(taken_s=frame.taken_s, faces=len(faces), same_as_before=same, light=quality.grey)
        return Sighting(
            taken_s=frame.taken_s,
            faces=len(faces),
            person=match.person,
            score=match.score,
            margin=match.margin,
            same_as_before=same,
            light=quality.grey,
        )

    def _compare(self, vector: Vector) -> float | None:
        """Score against the visit's first face; another person becomes the first face of a visit of their own."""
        same = None if self._first is None else self._engine.score(float(self._first @ vector))
        if same is None or not same >= SAME_PERSON:
            self._first = vector
        return same
