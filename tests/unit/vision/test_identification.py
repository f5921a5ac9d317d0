"""What is recorded of strangers, the threshold a station takes from it, and the measurement that checks both."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from firmware_config.station import FaceEntry
from station_agent.bench import identification as bench_identification
from station_agent.bench import scores as bench_scores
from station_agent.bench.composites import compose
from station_agent.bench.faces import DatasetError
from station_agent.bench.scores import Scores, best_of_visit, distance, likeness, tail_ratio
from station_agent.bench.visits import Still
from station_agent.core.threshold import (
    CLOSED,
    LARGEST_VALIDATED_N,
    Frames,
    GalleryTooLargeError,
)
from station_agent.vision.acceptance import Policy, known_impostors
from station_agent.vision.engine import Vector, unit
from station_agent.vision.engines import models_of
from station_agent.vision.gallery import Gallery
from station_agent.vision.impostors import UnrecordedError, impostors, load
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.support.faces import face_set, opencv_engine, stranger, worker

__all__ = ["opencv_engine"]

DEFAULT = FaceEntry(liveness="off")
FRAMES = Frames(agreeing=DEFAULT.agreeing_frames, judged=DEFAULT.judged_frames)


def digest_of(face: FaceEntry) -> str:
    return models_of(face)[1].sha256


def gallery_of(people: int, *, templates: int = 1, dimension: int = 128) -> Gallery:
    rng = np.random.default_rng(people)
    rows = [
        (f"p{number}", np.stack([unit(rng.normal(size=dimension)) for _ in range(templates)]))
        for number in range(people)
    ]
    return Gallery(dimension, rows)


@pytest.mark.parametrize("engine", ["opencv", "face-recognition"])
def test_both_engines_have_recordings_of_their_packaged_weights(engine: str) -> None:
    face = FaceEntry(liveness="off", engine=engine)  # type: ignore[arg-type]
    known = load(engine, digest_of(face))
    assert {recording.source for recording in known.recordings} == {"lfw10", "att40"}
    thresholds = [known.threshold(n, 1e-3, FRAMES) for n in (1, 20, known.largest)]
    assert thresholds[0] >= known.floor
    assert thresholds == sorted(set(thresholds))
    assert thresholds[-1] < CLOSED


def test_no_recording_holds_anything_but_numbers_about_scores() -> None:
    folder = Path(bench_identification.__file__).parents[1] / "vision" / "impostors"
    for file in folder.glob("*.json"):
        assert set(json.loads(file.read_text(encoding="utf-8"))) == {
            *("engine", "digest", "source", "date", "seed", "people", "visits", "comparisons"),
            *("likeness", "template_likeness", "quantiles", "bell", "resampled"),
        }


def test_the_demos_stranger_stays_far_below_the_threshold_and_its_worker_far_above(
    opencv_engine: OpenCvEngine,
) -> None:
    vectors = [
        opencv_engine.embed(picture, opencv_engine.detect(picture)[0])
        for picture in (worker(), stranger(), np.ascontiguousarray(worker()[:, ::-1]))
    ]
    accepted = Policy(DEFAULT, opencv_engine).of(Gallery(128, [("eileen", vectors[0][np.newaxis])]))
    assert (accepted.people, accepted.engine) == (1, f"opencv/{opencv_engine.digest[:12]}")
    assert float(vectors[0] @ vectors[1]) < accepted.threshold - 0.2
    assert float(vectors[0] @ vectors[2]) > accepted.threshold + 0.3


def test_the_threshold_follows_people_and_templates_of_the_gallery(opencv_engine: OpenCvEngine) -> None:
    policy = Policy(DEFAULT, opencv_engine)
    known = load(opencv_engine.name, opencv_engine.digest)
    few, many = policy.of(gallery_of(3)), policy.of(gallery_of(60))
    assert few.threshold < many.threshold == known.threshold(60, DEFAULT.fpir, FRAMES)
    assert policy.of(gallery_of(60, templates=3)).threshold > many.threshold


def test_an_installer_may_ask_for_more_and_never_for_less(opencv_engine: OpenCvEngine) -> None:
    gallery = gallery_of(60)
    derived = Policy(DEFAULT, opencv_engine).of(gallery).threshold
    for own, expected in ((0.3, derived), (0.9, 0.9)):
        face = FaceEntry(liveness="off", threshold=own)
        assert Policy(face, opencv_engine).of(gallery).threshold == expected


def test_a_gallery_above_the_cap_opens_for_nobody(opencv_engine: OpenCvEngine) -> None:
    @dataclass
    class Crowd:
        people: range

        def __len__(self) -> int:
            return len(self.people)

    for own in (None, 0.5):
        policy = Policy(FaceEntry(liveness="off", threshold=own), opencv_engine)
        crowd: Gallery = Crowd(range(LARGEST_VALIDATED_N + 1))  # type: ignore[assignment]
        accepted = policy.of(crowd)
        assert (accepted.threshold, accepted.people) == (CLOSED, LARGEST_VALIDATED_N + 1)


def test_one_person_more_than_the_cap_is_refused_and_an_enrolled_one_is_not(
    opencv_engine: OpenCvEngine,
) -> None:
    @dataclass
    class Full:
        people: list[str]

    full: Gallery = Full([str(number) for number in range(LARGEST_VALIDATED_N)])  # type: ignore[assignment]
    policy = Policy(DEFAULT, opencv_engine)
    policy.refuse_one_more(full, "17")
    with pytest.raises(GalleryTooLargeError):
        policy.refuse_one_more(full, "new")


def test_unrecorded_weights_need_a_threshold_of_the_installers_own() -> None:
    with pytest.raises(UnrecordedError, match=r"set face\.threshold"):
        known_impostors(DEFAULT, "opencv", "0" * 64)
    assert known_impostors(FaceEntry(liveness="off", threshold=0.6), "opencv", "0" * 64) is None


def test_files_of_opencv_are_refused_for_the_other_engine() -> None:
    models = {"detector": "d", "detector_sha256": "0" * 64, "recogniser": "r", "recogniser_sha256": "0" * 64}
    with pytest.raises(ValueError, match="`models` are for the engine opencv"):
        FaceEntry.model_validate({"liveness": "off", "engine": "face-recognition", "models": models})


def drawn(rng: np.random.Generator, people: int = 12, *, within: float = 0.03) -> Scores:
    """Scores of known distribution: mean 0.1, deviation 0.1, of which ``within`` differs from frame to frame."""
    visits = np.repeat(np.arange(people * 3), 8)
    shared = rng.normal(0.1, np.sqrt(0.1**2 - within**2), (people * 3, people))
    values = shared[visits] + rng.normal(0, within, (len(visits), people))
    return Scores(values, visits, visits // 3, np.arange(people))


def test_a_recording_finds_the_distribution_the_scores_were_drawn_from() -> None:
    rng = np.random.default_rng(5)
    found = bench_scores.record(drawn(rng, 30), "drawn", rng=rng)
    assert found.bell.mean == pytest.approx(0.1, abs=0.01)
    assert found.bell.deviation == pytest.approx(0.1, abs=0.01)
    assert found.likeness == pytest.approx(0.91, abs=0.02)
    assert found.comparisons == 30 * 29 * 3 * 8
    assert len(found.resampled) == bench_scores.RESAMPLES
    assert found.exceeded(0.5, confidence=0.95) > found.exceeded(0.5)


def test_frames_that_differ_more_are_less_alike() -> None:
    rng = np.random.default_rng(6)
    assert likeness(drawn(rng, within=0.01)) > likeness(drawn(rng, within=0.06)) > 0.4


def test_a_visit_reaches_what_enough_of_its_frames_reach() -> None:
    scores = Scores(
        np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.3], [0.7, 0.7]]),
        np.array([0, 0, 0, 4]),
        np.array([0, 0, 0, 1]),
        np.array([0, 1]),
    )
    reached, visitor = best_of_visit(scores, 2)
    assert visitor.tolist() == [0, 1]
    assert reached.tolist() == [[0.8, 0.2], [-1.0, -1.0]]


def test_equal_distributions_are_no_distance_apart() -> None:
    rng = np.random.default_rng(8)
    one, other = rng.normal(size=(2, 20_000))
    assert distance(one, other) < 0.02
    assert distance(one, other + 1) == pytest.approx(0.383, abs=0.02)
    assert tail_ratio(one, other, 0.01) == pytest.approx(1.0, abs=0.25)
    assert tail_ratio(one, other + 0.5, 0.01) > 3


def test_composites_are_made_of_three_people_and_resemble_none_too_much(opencv_engine: OpenCvEngine) -> None:
    stills = []
    for number, picture in enumerate((worker(), stranger(), np.ascontiguousarray(stranger()[:, ::-1]))):
        face = opencv_engine.detect(picture)[0]
        stills.append(Still(number, picture, face, opencv_engine.embed(picture, face)))
    made = list(compose(opencv_engine, stills, 4, rng=np.random.default_rng(1)))
    assert all(sorted(composite.parents) == [0, 1, 2] for composite in made)
    vectors: list[Vector] = [composite.vector for composite in made]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(4), abs=1e-5)
    assert all(float(vector @ stills[0].vector) < 0.9 for vector in vectors)
    with pytest.raises(ValueError, match="3 are needed"):
        list(compose(opencv_engine, stills[:2], 1, rng=np.random.default_rng(1)))


def test_too_few_people_cannot_be_measured(tmp_path: Path) -> None:
    for name, picture in (("eileen", worker()), ("grace", stranger())):
        (tmp_path / name).mkdir()
        for number in range(2):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), picture)
    with pytest.raises(DatasetError, match="needed are 6"):
        bench_identification.run(tmp_path, "opencv", [10])


@pytest.mark.faces
@pytest.mark.timeout(600)
def test_the_measurement_holds_prediction_against_strangers_and_writes_what_it_recorded(
    tmp_path: Path,
) -> None:
    dataset = tmp_path / "six"
    dataset.mkdir()
    for folder in sorted(face_set("lfw10").iterdir())[:6]:
        (dataset / folder.name).mkdir()
        for file in sorted(folder.iterdir())[:4]:
            (dataset / folder.name / file.name).symlink_to(file)
    report = bench_identification.run(
        dataset, "opencv", [4, 12], visits=12, record_to=tmp_path / "recorded.json"
    )
    assert json.loads(json.dumps(report)) == report
    assert (report["people"], report["visits"]) == (6, 12)
    assert [(size["n"], size["real"], size["composites"]) for size in report["sizes"]] == [
        (4, 4, 0),
        (12, 5, 7),
    ]
    for size in report["sizes"]:
        assert [row["predicted"] for row in size["model"]] == [1e-1, 1e-2, 1e-3]
        assert all(row["low"] <= row["fpir"] <= row["high"] for row in size["model"])
        assert size["station"]["fpir"] == 0
        assert size["station"]["threshold"] < size["station"]["threshold_several"]
    document = json.loads((tmp_path / "recorded.json").read_text(encoding="utf-8"))
    assert impostors([document]).threshold(50, 1e-3, FRAMES) > document["quantiles"]["1e-4"]
