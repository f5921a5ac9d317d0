"""Real faces for tests: the shared sets beside the project, and one public-domain portrait each from two packages."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from station_agent.simulate.vary import vary
from station_agent.vision.frame import Pixels
from station_agent.vision.models import opencv_models
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.support.parts import SHARED_FACES, require

__all__ = ["face_set", "opencv_engine", "pictures_of", "read", "stranger", "vary", "worker"]


def read(path: Path) -> Pixels:
    """A picture as BGR, shape (H, W, 3)."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert pixels is not None, f"{path} is not a picture"
    return np.asarray(pixels, dtype=np.uint8)


def worker_picture() -> Path:
    """Eileen Collins, 512x512."""
    return _inside("skimage", "data/astronaut.png")


def stranger_picture() -> Path:
    """Grace Hopper, 512x600."""
    return _inside("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


def worker() -> Pixels:
    """The worker's picture as BGR."""
    return read(worker_picture())


def stranger() -> Pixels:
    """The stranger's picture as BGR."""
    return read(stranger_picture())


def face_set(name: str) -> Path:
    """Folder of a shared set: ``lfw10``, ``att40`` or ``pad``."""
    folder = SHARED_FACES / name
    require(folder.is_dir(), f"no face images in {folder}")
    return folder


def pictures_of(name: str, person: str) -> list[Pixels]:
    """All pictures of one person of a set, in the order of their names."""
    return [read(path) for path in sorted((face_set(name) / person).iterdir())]


@pytest.fixture(scope="session")
def opencv_engine() -> OpenCvEngine:
    """The default engine with the packaged weights; loading them takes half a second."""
    return OpenCvEngine(opencv_models(None))


def _inside(package: str, path: str) -> Path:
    """A file of an installed package, found without importing it."""
    spec = find_spec(package)
    require(spec is not None and spec.origin is not None, f"package {package} is not installed")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / path
