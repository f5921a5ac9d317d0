"""The passive liveness network: one face in one picture to a score between a replay (0) and a live person (1).

No network ships with this project: the free ones are trained on data that a product may not use. A station brings its
own ONNX file, its SHA-256 and a manifest, a small TOML file that says how the network wants its input:

    sha256 = "…"              # of the ONNX file this manifest describes
    input_px = 128            # side of the square input
    crop_scale = 1.5          # side of the crop, in longer sides of the face's box; zeros beyond the picture
    colours = "rgb"           # or "bgr"
    layout = "nchw"           # or "nhwc"
    mean = [0.0, 0.0, 0.0]    # taken off each colour first, in grey levels
    scale = 0.00392156863     # what remains is multiplied by it
    classes = ["live", "spoof"]   # the outputs in their order; exactly one is "live"
    outputs = "logits"        # or "probabilities"
    threshold = 0.5           # least score of a live face
"""

import math
import threading
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from firmware_config.load import ConfigError, Section, load
from firmware_config.units import Sha256
from station_agent.vision.frame import Pixels
from station_agent.vision.models import Model, ModelError

LIVE: Final = "live"

Box = tuple[float, float, float, float]
"""Left, top, width and height of a face, in pixels."""


class PassiveManifest(Section):
    """How a network wants its input and what its outputs mean. The module's docstring has an example.

    Attributes:
        threshold: strictly between 0 and 1: a threshold of 0 would let everything pass.
    """

    sha256: Sha256
    input_px: Annotated[int, Field(ge=32, le=512)]
    crop_scale: Annotated[float, Field(ge=1, le=5)]
    colours: Literal["rgb", "bgr"]
    layout: Literal["nchw", "nhwc"]
    mean: tuple[float, float, float]
    scale: Annotated[float, Field(gt=0, le=1)]
    classes: Annotated[list[str], Field(min_length=2, max_length=16)]
    outputs: Literal["logits", "probabilities"]
    threshold: Annotated[float, Field(gt=0, lt=1)]

    @field_validator("classes")
    @classmethod
    def one_is_live(cls, value: list[str]) -> list[str]:
        """Otherwise nobody could say which output to read."""
        if value.count(LIVE) != 1:
            message = f'must name "{LIVE}" exactly once'
            raise ValueError(message)
        return value


def read_manifest(path: Path) -> PassiveManifest:
    """Read a manifest.

    Raises:
        ModelError: it is missing or faulty; the message names the file and every fault.
    """
    try:
        return load(path, PassiveManifest)
    except ConfigError as error:
        raise ModelError(f"manifest of the liveness model: {error}") from error


class PassiveModel:
    """A loaded network. Safe for several threads; they take turns.

    Attributes:
        digest: SHA-256 of the ONNX file.
        threshold: least score of a live face.
    """

    def __init__(self, file: Path, sha256: str, manifest: Path) -> None:
        """Check, load and warm up the network.

        Args:
            file: the ONNX file.
            sha256: its digest by the station's configuration.
            manifest: the TOML file about it.

        Raises:
            ModelError: file or manifest is missing, a digest differs, or OpenCV cannot run the network as described.
        """
        self._manifest = read_manifest(manifest)
        if self._manifest.sha256 != sha256:
            raise ModelError(
                f"manifest {manifest} describes a model with SHA-256 {self._manifest.sha256}, "
                f"configured is {file} with {sha256}"
            )
        weights = Model(file, sha256).read()
        self.digest = sha256
        self.threshold = self._manifest.threshold
        self._mean = np.array(self._manifest.mean, dtype=np.float32)
        self._turn = threading.Lock()
        try:
            self._network: Any = cv2.dnn.readNetFromONNX(np.frombuffer(weights, dtype=np.uint8))
            outputs = self._run(
                np.zeros((self._manifest.input_px, self._manifest.input_px, 3), dtype=np.uint8)
            )
        except cv2.error as error:
            raise ModelError(f"model file {file} cannot be run as {manifest} says: {error}") from error
        if outputs.size != len(self._manifest.classes):
            raise ModelError(
                f"model file {file} has {outputs.size} outputs, {manifest} names {len(self._manifest.classes)} classes"
            )

    def score(self, pixels: Pixels, box: Box) -> float | None:
        """How live a face looks.

        Args:
            pixels: shape (H, W, 3), uint8, BGR.
            box: of the face in it.

        Returns:
            Between 0 and 1, 1 is live; None when there is nothing to judge or the network's answer is no number.
        """
        cut = crop(pixels, box, scale=self._manifest.crop_scale, side_px=self._manifest.input_px)
        if cut is None:
            return None
        outputs = self._run(cut)
        if self._manifest.outputs == "logits":
            raised = np.exp(outputs - outputs.max())
            outputs = raised / raised.sum()
        live = float(outputs[self._manifest.classes.index(LIVE)])
        return live if math.isfinite(live) and 0 <= live <= 1 else None

    def _run(self, cut: Pixels) -> NDArray[np.float64]:
        coloured = cut[:, :, ::-1] if self._manifest.colours == "rgb" else cut
        values = (coloured.astype(np.float32) - self._mean) * np.float32(self._manifest.scale)
        blob = values.transpose(2, 0, 1) if self._manifest.layout == "nchw" else values
        with self._turn:
            self._network.setInput(np.ascontiguousarray(blob[None]))
            answered = self._network.forward()
        return np.asarray(answered, dtype=np.float64).ravel()


def crop(pixels: Pixels, box: Box, *, scale: float, side_px: int) -> Pixels | None:
    """The square around a face, zeros beyond the picture's border; None when the box is not in the picture.

    Args:
        pixels: shape (H, W, 3), uint8.
        box: of the face.
        scale: side of the square in longer sides of the box.
        side_px: the square is resized to this.
    """
    if not all(math.isfinite(value) for value in box) or min(box[2:]) < 1:
        return None
    half = max(box[2:]) * scale / 2
    middle = (box[0] + box[2] / 2, box[1] + box[3] / 2)
    left, top = round(middle[0] - half), round(middle[1] - half)
    right, bottom = round(middle[0] + half), round(middle[1] + half)
    height, width = pixels.shape[:2]
    inside = pixels[max(0, top) : max(0, min(height, bottom)), max(0, left) : max(0, min(width, right))]
    if not inside.size:
        return None
    padded = cv2.copyMakeBorder(
        inside,
        max(0, -top),
        max(0, bottom - height),
        max(0, -left),
        max(0, right - width),
        cv2.BORDER_CONSTANT,
        value=(0, 0, 0),
    )
    how = cv2.INTER_AREA if 2 * half > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(padded, (side_px, side_px), interpolation=how), dtype=np.uint8)
