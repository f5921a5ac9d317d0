"""Pictures of one person to the templates that will recognise them. Stricter than entry: a template is used for months."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from station_agent.core.entry import SAME_PERSON
from station_agent.errors import AgentError
from station_agent.vision.engine import FaceEngine, Vector
from station_agent.vision.frame import Pixels
from station_agent.vision.quality import ENROLMENT, judge


class EnrolmentError(AgentError, ValueError):
    """A picture cannot be enrolled.

    Attributes:
        picture: which one, from 1; 0 when there is none at all.
        reason: ``no_picture``, ``no_face``, ``another_person`` or a reason of ``quality``.
    """

    def __init__(self, picture: int, reason: str) -> None:
        self.picture = picture
        self.reason = reason
        super().__init__(f"picture {picture} cannot be enrolled: {reason}")


def enrol_from_images(engine: FaceEngine, pictures: Sequence[Pixels]) -> NDArray[np.float32]:
    """Describe the one face in each picture.

    Args:
        engine: templates belong to its name and digest.
        pictures: each of shape (H, W, 3), uint8, BGR; all of the same person. None is kept.

    Returns:
        Shape (K, D), float32, unit-length rows, in the order of the pictures.

    Raises:
        EnrolmentError: for the first picture that has not exactly one good face of the person in the first one.
    """
    if not pictures:
        raise EnrolmentError(0, "no_picture")
    templates: list[Vector] = []
    for number, pixels in enumerate(pictures, start=1):
        template = _template(engine, pixels, number)
        if templates and not engine.score(float(templates[0] @ template)) >= SAME_PERSON:
            raise EnrolmentError(number, "another_person")
        templates.append(template)
    return np.stack(templates)


def _template(engine: FaceEngine, pixels: Pixels, number: int) -> Vector:
    faces = engine.detect(pixels, thorough=True)
    if not faces:
        raise EnrolmentError(number, "no_face")
    if reason := judge(pixels, faces, ENROLMENT).reason:
        raise EnrolmentError(number, reason)
    return engine.embed(pixels, faces[0])
