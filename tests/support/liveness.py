"""The test model of passive liveness, which lies beside the project, and a manifest for it."""

from pathlib import Path
from typing import Final

from station_agent.vision.liveness_model import PassiveModel
from tests.support.parts import SHARED_FACES, require

MODEL: Final = SHARED_FACES.parent / "models" / "AntiSpoofing_bin_1.5_128.onnx"
"""No licence is stated and its training data exclude products: for tests only, read in place."""

SHA256: Final = "a6c0553fab996a56962baeb0a49013a03c32b866999f6aea76936b6833929bda"

MANIFEST: Final = f"""\
sha256 = "{SHA256}"
input_px = 128
crop_scale = 1.5
colours = "rgb"
layout = "nchw"
mean = [0.0, 0.0, 0.0]
scale = 0.00392156862745098
classes = ["live", "spoof"]
outputs = "logits"
threshold = 0.5
"""


def model_file() -> Path:
    """The ONNX file; skips, or fails in CI, where it is missing."""
    require(MODEL.is_file(), f"no liveness model at {MODEL}")
    return MODEL


def write_manifest(folder: Path, text: str = MANIFEST) -> Path:
    """A manifest in a folder."""
    path = folder / "liveness.toml"
    path.write_text(text, encoding="utf-8")
    return path


def passive_model(folder: Path) -> PassiveModel:
    """The loaded test model; its manifest is written into the folder."""
    return PassiveModel(model_file(), SHA256, write_manifest(folder))
