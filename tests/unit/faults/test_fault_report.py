import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.faults.__main__ import Entry, main
from tests.faults.report import Campaign, Report


def clean(n: int, seed: int, folder: Path) -> Campaign:
    (folder / "trace.txt").write_text("kept")
    return Campaign("clean", n, seed, [], {"pulses": n, "p99_ms": 12.3456}, seconds=1.0)


def dirty(n: int, seed: int, _folder: Path) -> Campaign:
    return Campaign("dirty", n, seed, ["I1 | seed 7: two pulses"])


def broken(_n: int, _seed: int, _folder: Path) -> Campaign:
    raise RuntimeError("no broker")


CAMPAIGNS = {
    "clean": Entry(clean, 100_000, 300),
    "dirty": Entry(dirty, 10, 1),
    "broken": Entry(broken, 10, 1),
}


def test_a_zero_in_n_trials_is_reported_as_three_over_n() -> None:
    assert Campaign("a", 1_500, 1, []).bound == pytest.approx(0.002)


def test_there_is_no_bound_beside_a_violation_and_none_of_nothing() -> None:
    assert Campaign("a", 1_500, 1, ["broken"]).bound is None
    assert Campaign("a", 0, 1, []).bound is None


def test_a_run_in_which_nothing_was_tried_is_not_clean() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert not Report([Campaign("a", 0, 1, [])], "c", "m", at, 1.0).clean
    assert Report([Campaign("a", 1, 1, [])], "c", "m", at, 1.0).clean


def test_both_reports_say_n_seed_commit_machine_and_bound(tmp_path: Path) -> None:
    assert main(["clean", "--seed", "9", "--folder", str(tmp_path)], campaigns=CAMPAIGNS) == 0
    tree = json.loads((tmp_path / "report.json").read_text())
    assert tree["clean"] is True
    assert tree["commit"]
    assert tree["machine"]
    (found,) = tree["campaigns"]
    assert (found["n"], found["seed"], found["violations"]) == (100_000, 9, [])
    assert found["bound"] == pytest.approx(3e-5)
    assert found["figures"] == {"pulses": 100_000, "p99_ms": 12.3456}
    words = (tmp_path / "report.md").read_text()
    assert f"Commit {tree['commit']}" in words
    assert "| clean | 100000 | 9 | 0 | ≤ 3.0e-05 | 1 | pulses 100000; p99_ms 12.35 |" in words
    assert (tmp_path / "clean" / "trace.txt").exists()


def test_a_violation_makes_the_run_fail_and_is_told(tmp_path: Path) -> None:
    assert main(["--quick", "--folder", str(tmp_path), "clean", "dirty"], campaigns=CAMPAIGNS) == 1
    tree = json.loads((tmp_path / "report.json").read_text())
    assert [item["n"] for item in tree["campaigns"]] == [300, 1]
    assert tree["clean"] is False
    assert "- I1 | seed 7: two pulses" in (tmp_path / "report.md").read_text()


def test_a_campaign_that_breaks_down_counts_as_a_violation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["broken", "--n", "3", "--folder", str(tmp_path)], campaigns=CAMPAIGNS) == 1
    assert "no broker" in (tmp_path / "report.md").read_text()
    assert "RuntimeError" in capsys.readouterr().err


def test_a_campaign_is_given_an_absolute_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Path] = []

    def note(n: int, seed: int, folder: Path) -> Campaign:
        given.append(folder)
        return clean(n, seed, folder)

    monkeypatch.chdir(tmp_path)
    assert main(["--folder", "here"], campaigns={"clean": Entry(note, 10, 1)}) == 0
    assert given == [tmp_path / "here" / "clean"]


def test_an_unknown_campaign_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clan", "--folder", str(tmp_path)], campaigns=CAMPAIGNS) == 2
    assert "no such campaign: clan" in capsys.readouterr().err


def test_no_campaign_at_all_is_not_success(tmp_path: Path) -> None:
    assert main(["--folder", str(tmp_path)], campaigns={}) == 1
