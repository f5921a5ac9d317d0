"""The two public-domain faces that the demo shows: photographs inside two packages, found without importing these."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cloud_hub.demo.errors import DemoError


@dataclass(frozen=True, slots=True)
class Faces:
    """Pictures of the enrolled worker (Eileen Collins) and of the stranger (Grace Hopper)."""

    worker: Path
    stranger: Path


def find_faces() -> Faces:
    """Where the pictures are on this machine.

    Raises:
        DemoError: a package is missing or carries no such picture.
    """
    return Faces(
        worker=_inside("skimage", "data/astronaut.png"),
        stranger=_inside("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    )


def _inside(package: str, picture: str) -> Path:
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or []:
        if (path := Path(folder) / picture).is_file():
            return path
    raise DemoError(f"the picture {picture} of the package {package} is not installed; run: make setup")
