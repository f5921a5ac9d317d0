"""The engine a station is configured for, and what strangers are known to score under it."""

from collections.abc import Callable
from pathlib import Path

from firmware_config.station import FaceEntry
from station_agent.vision.dlib_engine import DlibEngine
from station_agent.vision.engine import FaceEngine
from station_agent.vision.models import Model, dlib_models, opencv_models
from station_agent.vision.opencv_engine import OpenCvEngine


def open_engine(face: FaceEntry, *, beside: Callable[[Path], Path] = Path) -> FaceEngine:
    """Load the engine and warm it up.

    Args:
        face: names the engine, and its files where they are not the packaged ones.
        beside: resolves a path of the station file.

    Raises:
        ModelError: its models are missing, or not the expected ones.
    """
    if face.engine == "opencv":
        return OpenCvEngine(opencv_models(face.models, beside=beside))
    return DlibEngine(dlib_models())


def models_of(face: FaceEntry, *, beside: Callable[[Path], Path] = Path) -> tuple[Model, Model]:
    """The engine's two files, the one that makes the vectors last. Neither is read.

    Raises:
        ModelError: the package with the files is not installed.
    """
    if face.engine == "opencv":
        networks = opencv_models(face.models, beside=beside)
        return networks.detector, networks.recogniser
    trained = dlib_models()
    return trained.landmarks, trained.recogniser
