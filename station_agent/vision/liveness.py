"""What one frame of a camera says about liveness. One camera; vision thread only. ``core.liveness`` decides."""

from dataclasses import replace
from typing import Final

from station_agent.core.challenge import STRAIGHT_YAW
from station_agent.core.liveness import JUDGED_YAW, Cue, Look
from station_agent.vision.engine import Face
from station_agent.vision.frame import Frame, Pixels
from station_agent.vision.liveness_cues import PATTERN, SeenPixels, has_border, pattern_peak, turn_of
from station_agent.vision.liveness_model import PassiveModel
from station_agent.vision.quality import ENTRY

TURNED: Final = replace(ENTRY, yaw=JUDGED_YAW)
"""Quality of a frame that the gate judges: as for entry, but turned further."""


class Witness:
    """Turns frames into looks.

    Args:
        model: the passive network; None when the station's mode does not ask for it, and then no cue is sought either.
    """

    def __init__(self, model: PassiveModel | None) -> None:
        self._model = model
        self._seen = SeenPixels()

    def look(self, frame: Frame, face: Face | None, *, same_as_before: float | None) -> Look:
        """Judge one frame. Network and cues run only where the gate uses them: on a face that looks straight ahead.

        Args:
            frame: newest of the camera.
            face: the one face in it that can be judged; None when there is none, or several.
            same_as_before: its score against the visit's first usable face; None when it was not compared.
        """
        if face is None:
            return Look(taken_s=frame.taken_s, number=frame.number, usable=False)
        yaw, aspect = turn_of(face)
        judged = self._model is not None and abs(yaw) <= STRAIGHT_YAW
        return Look(
            taken_s=frame.taken_s,
            number=frame.number,
            usable=True,
            fresh=self._seen.fresh(frame.pixels),
            same_as_before=same_as_before,
            yaw=yaw,
            width_px=face.box[2],
            aspect=aspect,
            passive=self._model.score(frame.pixels, face.box) if self._model is not None and judged else None,
            cues=cues_in(frame.pixels, face) if judged else None,
        )


def cues_in(pixels: Pixels, face: Face) -> frozenset[Cue]:
    """The signs of a screen or a print around a face."""
    found: set[Cue] = set()
    if not pattern_peak(pixels, face.box) < PATTERN:
        found.add("screen_pattern")
    if has_border(pixels, face.box):
        found.add("straight_border")
    return frozenset(found)
