"""The measurement itself, on two public-domain portraits: what it answers, and that it says what it could not measure."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from station_agent.bench import pad as bench_pad
from station_agent.bench.attempts import Bench, Photograph, attempt, replay
from station_agent.bench.faces import DatasetError, sized
from station_agent.core.liveness import NotLive
from station_agent.vision.attacks import SPECIES
from station_agent.vision.opencv_engine import OpenCvEngine
from tests.support.faces import opencv_engine, stranger_picture, worker, worker_picture

__all__ = ["opencv_engine"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    for name, picture in (("anna", worker_picture()), ("bo", stranger_picture())):
        (tmp_path / name).mkdir()
        shutil.copy(picture, tmp_path / name)
    (tmp_path / "anna" / "broken.png").write_bytes(b"no picture")
    return tmp_path


def test_without_a_model_cues_are_measured_and_what_was_not_is_none(dataset: Path) -> None:
    result = bench_pad.run(dataset, attempts=0, seed=3)
    assert (result["synthetic"], result["seed"], result["images"], result["people"]) == (True, 3, 2, 2)
    assert (result["model"], result["model_ms"]) == (None, None)
    assert result["pictures_found"] == 3
    assert set(result["passive"]["attacks"]) == set(SPECIES)
    assert all(row["n"] == 2 and 0 <= row["apcer"] <= 1 for row in result["passive"]["attacks"].values())
    assert result["passive"]["live"]["bpcer"] == 0
    assert result["passive"]["worst"]["apcer"] == max(
        row["apcer"] for row in result["passive"]["attacks"].values()
    )
    assert result["attempts"] == {"attacks": {}}
    assert result["live_turns"] == {"n": 0, "bpcer": None, "refused": {"identity": None, "narrowing": None}}
    assert "cut_out" in bench_pad.format_table(result)


def test_only_the_named_people_are_used_and_the_same_seed_gives_the_same_rates(dataset: Path) -> None:
    one, other = (bench_pad.run(dataset, people={"bo"}, attempts=0, seed=5) for _ in range(2))
    assert one["people"] == 1
    assert one["passive"] == other["passive"]
    with pytest.raises(DatasetError, match="no photograph"):
        bench_pad.run(dataset, people={"nobody"})


def test_a_model_without_its_manifest_is_refused(dataset: Path) -> None:
    with pytest.raises(ValueError, match="go together"):
        bench_pad.run(dataset, model=dataset / "model.onnx")


def test_a_print_that_is_tilted_as_the_prompts_ask_does_not_pass(opencv_engine: OpenCvEngine) -> None:
    portrait = sized(worker())
    photograph = Photograph("anna", portrait, opencv_engine.detect(portrait)[0])
    bench = Bench(opencv_engine, None, np.random.default_rng(2), [photograph])
    active, both = attempt(bench, "print", 0)
    assert isinstance(active, NotLive)
    assert isinstance(both, NotLive)
    assert active.frames > 5


def test_a_replayed_film_passes_by_luck_only(opencv_engine: OpenCvEngine) -> None:
    passed = replay(Bench(opencv_engine, None, np.random.default_rng(2), []))
    assert passed["2"] == pytest.approx(1 / 6, abs=0.04)
    assert passed["3"] == pytest.approx(1 / 12, abs=0.03)
    assert passed["all_moves"] == pytest.approx(1 / 6, abs=0.04)
