"""What one frame shows: faces, their quality, the nearest enrolled person, signs of life. One camera; vision thread only.

It keeps the first usable face of a visit to compare the next ones with, by rule 1 of ``core.entry``: that comparison is
arithmetic on vectors, which the core must not do.
"""

import math
from dataclasses import replace

from station_agent.core.entry import GONE_S, SAME_PERSON, Sighting
from station_agent.core.liveness import Look
from station_agent.vision.engine import Face, FaceEngine, Vector
from station_agent.vision.frame import Frame
from station_agent.vision.gallery import Gallery
from station_agent.vision.liveness import TURNED, Witness
from station_agent.vision.quality import judge


class Sight:
    """Turns frames into sightings.

    Attributes:
        gallery: replaced as a whole, by any thread; each frame is searched in one gallery.
    """

    def __init__(self, engine: FaceEngine, gallery: Gallery, witness: Witness | None = None) -> None:
        """Begin with an empty doorway.

        Args:
            engine: finds and describes faces.
            gallery: of that engine.
            witness: for liveness; None where nobody asks for it.
        """
        self.gallery = gallery
        self._engine = engine
        self._witness = witness
        self._first: Vector | None = None
        self._face_s = -math.inf

    def look(self, frame: Frame) -> tuple[Sighting, Look | None]:
        """Judge one frame. Only a face good enough is described and searched for; a turned one is described for liveness.

        Returns:
            Who is to be seen, and what it says about liveness: None without a witness.
        """
        faces = self._engine.detect(frame.pixels)
        if frame.taken_s - self._face_s > GONE_S:
            self._first = None
        if not faces:
            return Sighting(taken_s=frame.taken_s, faces=0), self._tell(frame, None, None)
        self._face_s = frame.taken_s
        quality = judge(frame.pixels, faces)
        seen = Sighting(taken_s=frame.taken_s, faces=len(faces), quality=quality.reason, light=quality.grey)
        if quality.reason is not None:
            return seen, self._turned(frame, faces)
        vector = self._engine.embed(frame.pixels, faces[0])
        same = self._compare(vector)
        look = self._tell(frame, faces[0], same)
        match = self.gallery.nearest(vector)
        if match is None:
            return replace(seen, same_as_before=same), look
        return (
            replace(seen, same_as_before=same, person=match.person, score=match.score, margin=match.margin),
            look,
        )

    def _turned(self, frame: Frame, faces: list[Face]) -> Look | None:
        """A face that recognition cannot use: liveness judges it further to the side, against the same first face."""
        if self._witness is None or judge(frame.pixels, faces, TURNED).reason is not None:
            return self._tell(frame, None, None)
        if self._first is None:
            return self._tell(frame, faces[0], None)
        vector = self._engine.embed(frame.pixels, faces[0])
        return self._tell(frame, faces[0], self._engine.score(float(self._first @ vector)))

    def _tell(self, frame: Frame, face: Face | None, same: float | None) -> Look | None:
        return None if self._witness is None else self._witness.look(frame, face, same_as_before=same)

    def _compare(self, vector: Vector) -> float | None:
        """Score against the visit's first face; another person becomes the first face of a visit of their own."""
        same = None if self._first is None else self._engine.score(float(self._first @ vector))
        if same is None or not same >= SAME_PERSON:
            self._first = vector
        return same
