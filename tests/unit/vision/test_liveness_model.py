"""The passive network: nothing is loaded that is not the configured file, described by its own manifest."""

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest

from station_agent.vision.liveness_model import PassiveModel, crop
from station_agent.vision.models import ModelError
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.support.faces import face_set, opencv_engine, read
from tests.support.liveness import MANIFEST, SHA256, model_file, passive_model, write_manifest

__all__ = ["opencv_engine"]

OTHER = "0" * 64


@pytest.mark.faces
@pytest.mark.parametrize(
    ("picture", "expected"), [("image_T1.jpg", 1.0), ("image_F1.jpg", 0.0), ("image_F2.jpg", 0.0)]
)
def test_the_recorded_person_is_live_and_the_recorded_print_and_screen_are_not(
    opencv_engine: OpenCvEngine, tmp_path: Path, picture: str, expected: float
) -> None:
    model = passive_model(tmp_path)
    pixels = read(face_set("pad") / picture)
    score = model.score(pixels, opencv_engine.detect(pixels, thorough=True)[0].box)
    assert score is not None
    assert score == pytest.approx(expected, abs=0.05)


@pytest.mark.faces
def test_the_manifest_says_which_output_is_live(opencv_engine: OpenCvEngine, tmp_path: Path) -> None:
    pixels = read(face_set("pad") / "image_T1.jpg")
    box = opencv_engine.detect(pixels, thorough=True)[0].box
    swapped = write_manifest(tmp_path, MANIFEST.replace('["live", "spoof"]', '["spoof", "live"]'))
    assert PassiveModel(model_file(), SHA256, swapped).score(pixels, box) == pytest.approx(0.0, abs=0.01)
    blue_first = write_manifest(tmp_path, MANIFEST.replace('"rgb"', '"bgr"'))
    one, other = (
        model.score(pixels, box)
        for model in (PassiveModel(model_file(), SHA256, blue_first), passive_model(tmp_path))
    )
    assert one != other


def test_another_file_than_the_configured_one_is_refused_with_both_digests(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"something else")
    with pytest.raises(ModelError) as refused:
        PassiveModel(file, SHA256, write_manifest(tmp_path))
    assert str(file) in str(refused.value)
    assert SHA256 in str(refused.value)
    assert hashlib.sha256(b"something else").hexdigest() in str(refused.value)


def test_a_manifest_of_another_model_is_refused(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path)
    with pytest.raises(ModelError, match=rf"{SHA256}.*{OTHER}"):
        PassiveModel(tmp_path / "model.onnx", OTHER, manifest)


@pytest.mark.parametrize("missing", ["model", "manifest"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    manifest = tmp_path / "liveness.toml" if missing == "manifest" else write_manifest(tmp_path)
    file = tmp_path / "model.onnx"
    with pytest.raises(ModelError, match="liveness.toml" if missing == "manifest" else "model.onnx"):
        PassiveModel(file, SHA256, manifest)


@pytest.mark.parametrize(
    ("line", "instead", "key"),
    [
        ('classes = ["live", "spoof"]', 'classes = ["real", "spoof"]', "classes"),
        ('classes = ["live", "spoof"]', 'classes = ["live", "live"]', "classes"),
        ("threshold = 0.5", "threshold = 0.0", "threshold"),
        ("threshold = 0.5", "threshold = 1.0", "threshold"),
        ("threshold = 0.5", "", "threshold"),
        ("input_px = 128", "input_px = 0", "input_px"),
        ('layout = "nchw"', 'layout = "chwn"', "layout"),
        ("input_px = 128", "input_px = 128\nextra = 1", "extra"),
    ],
)
def test_a_faulty_manifest_is_refused_by_key(tmp_path: Path, line: str, instead: str, key: str) -> None:
    manifest = write_manifest(tmp_path, MANIFEST.replace(line, instead))
    with pytest.raises(ModelError, match=key):
        PassiveModel(tmp_path / "model.onnx", SHA256, manifest)


@pytest.mark.faces
@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('classes = ["live", "spoof"]', 'classes = ["live", "print", "screen"]'),
        ('layout = "nchw"', 'layout = "nhwc"'),
        ("input_px = 128", "input_px = 100"),
    ],
)
def test_a_manifest_that_does_not_fit_its_network_is_refused_at_start(
    tmp_path: Path, line: str, instead: str
) -> None:
    with pytest.raises(ModelError, match="AntiSpoofing"):
        PassiveModel(model_file(), SHA256, write_manifest(tmp_path, MANIFEST.replace(line, instead)))


def test_bytes_that_are_no_network_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no network")
    digest = hashlib.sha256(b"no network").hexdigest()
    with pytest.raises(ModelError, match=r"model\.onnx cannot be run"):
        PassiveModel(file, digest, write_manifest(tmp_path, MANIFEST.replace(SHA256, digest)))


def test_the_crop_is_zero_beyond_the_picture_and_centred_on_the_face() -> None:
    white = np.full((100, 100, 3), 255, dtype=np.uint8)
    cut = crop(white, (0.0, 40.0, 20.0, 20.0), scale=2.0, side_px=40)
    assert cut is not None
    assert cut.shape == (40, 40, 3)
    assert not cut[:, :9].any()
    assert (cut[:, 11:] == 255).all()


@pytest.mark.parametrize(
    "box",
    [
        (200.0, 200.0, 10.0, 10.0),
        (10.0, 10.0, 0.0, 10.0),
        (math.nan, 0.0, 10.0, 10.0),
        (-50.0, 0.0, 10.0, 10.0),
    ],
)
def test_a_face_that_is_not_in_the_picture_has_no_crop(box: tuple[float, float, float, float]) -> None:
    assert crop(np.zeros((100, 100, 3), dtype=np.uint8), box, scale=1.5, side_px=32) is None
