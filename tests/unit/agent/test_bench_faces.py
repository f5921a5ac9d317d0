"""The measurement itself: what it counts, what it names, and the figures on the shared sets."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from station_agent.bench.faces import DatasetError, format_table, run, sized
from station_agent.simulate.vary import vary
from tests.support.faces import face_set, stranger, worker

KEYS = {
    *("engine", "digest", "images", "people", "missed", "genuine", "impostor"),
    *("tar", "threshold", "detect_ms", "embed_ms", "search_ms", "skipped"),
}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two people, three pictures each in three formats, a wall, a broken file and a note."""
    rng = np.random.default_rng(4)
    for person, picture in (("eileen", worker()), ("grace", stranger())):
        folder = tmp_path / person
        folder.mkdir()
        for suffix in ("png", "JPG", "bmp"):
            cv2.imwrite(str(folder / f"1.{suffix}"), vary(picture, rng, 320, 240))
    cv2.imwrite(str(tmp_path / "grace" / "wall.pgm"), np.full((200, 200), 120, dtype=np.uint8))
    (tmp_path / "grace" / "broken.jpg").write_bytes(b"not a picture")
    (tmp_path / "grace" / "notes.txt").write_text("not counted")
    (tmp_path / "README.md").write_text("not a person")
    return tmp_path


def test_it_counts_pictures_pairs_and_misses_and_names_what_it_skipped(dataset: Path) -> None:
    report = run(dataset, "opencv")
    assert set(report) == KEYS
    counts = {key: report[key] for key in ("images", "people", "missed", "genuine", "impostor")}
    assert counts == {"images": 7, "people": 2, "missed": 1, "genuine": 6, "impostor": 9}
    assert report["skipped"] == [str(dataset / "grace" / "broken.jpg")]
    assert report["tar"] == {"1e-2": 1.0, "1e-3": 1.0, "1e-4": 1.0}
    assert all(set(report[key]) == {"p50", "p95"} for key in ("detect_ms", "embed_ms", "search_ms"))


def test_the_report_is_one_json_document_and_a_table(dataset: Path) -> None:
    report = run(dataset, "opencv")
    assert json.loads(json.dumps(report)) == report
    head, line = format_table([report]).splitlines()
    assert head.split()[:4] == ["engine", "images", "people", "missed"]
    assert line.split()[:4] == ["opencv", "7", "2", "1"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="gone is not a folder"):
        run(tmp_path / "gone", "opencv")


def test_an_empty_folder_is_told_what_belongs_in_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no picture found; expected is one folder per person"):
        run(tmp_path, "opencv")


@pytest.mark.parametrize("kept", ["eileen", "grace"])
def test_one_person_alone_cannot_be_measured(dataset: Path, kept: str) -> None:
    for folder in ("eileen", "grace"):
        if folder != kept:
            (dataset / folder).rename(dataset.with_name(f"{dataset.name}-away"))
    with pytest.raises(DatasetError, match="needed are two people"):
        run(dataset, "opencv")


def test_a_set_without_any_face_cannot_be_measured(tmp_path: Path) -> None:
    (tmp_path / "nobody").mkdir()
    cv2.imwrite(str(tmp_path / "nobody" / "wall.png"), np.full((200, 200, 3), 120, dtype=np.uint8))
    with pytest.raises(DatasetError, match="0 faces found in 1 files"):
        run(tmp_path, "opencv")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((112, 92), (336, 276), id="three times"),
        pytest.param((250, 250), (250, 250), id="as it is"),
        pytest.param((125, 200), (250, 400), id="twice"),
        pytest.param((2560, 1920), (1280, 960), id="a phone's"),
        pytest.param((100, 900), (100, 900), id="a strip"),
    ],
)
def test_pictures_are_brought_to_a_cameras_scale(before: tuple[int, int], after: tuple[int, int]) -> None:
    assert sized(np.zeros((*before, 3), dtype=np.uint8)).shape[:2] == after


@pytest.mark.faces
def test_the_default_engine_tells_the_people_of_lfw10_apart() -> None:
    report = run(face_set("lfw10"), "opencv")
    assert (report["missed"], report["genuine"], report["impostor"]) == (0, 450, 4500)
    assert report["tar"]["1e-4"] >= 0.995


@pytest.mark.faces
def test_the_default_engine_tells_the_people_of_att40_apart() -> None:
    report = run(face_set("att40"), "opencv")
    assert (report["missed"], report["genuine"], report["impostor"]) == (0, 1800, 78000)
    assert report["tar"]["1e-4"] >= 0.995


@pytest.mark.faces
def test_the_second_engine_is_measured_by_the_same_command() -> None:
    report = run(face_set("lfw10"), "face-recognition")
    assert report["engine"] == "face-recognition"
    assert report["tar"]["1e-4"] == pytest.approx(0.96, abs=0.01)
    assert report["threshold"]["1e-4"] == pytest.approx(0.43, abs=0.01)
