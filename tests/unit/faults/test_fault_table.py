"""The table of 27 faults: complete, and everything it names exists."""

import json
from pathlib import Path

import pytest

from tests.faults.__main__ import CAMPAIGNS
from tests.faults.table import FAULTS, Fault, merged, page

ROOT = Path(__file__).resolve().parents[3]


def test_all_27_faults_are_there_once_and_in_order() -> None:
    assert [fault.number for fault in FAULTS] == list(range(1, 28))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.number))
def test_what_a_row_names_exists(fault: Fault) -> None:
    assert fault.campaigns or fault.tests, "nothing shows it"
    assert set(fault.campaigns) <= CAMPAIGNS.keys()
    assert [path for path in fault.tests if not (ROOT / path).is_file()] == []
    if fault.hardware:
        headings = (ROOT / "docs/commissioning.md").read_text(encoding="utf-8")
        assert f"\n## {fault.hardware}\n" in headings


def test_the_page_has_every_row_of_the_table() -> None:
    written = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
    for fault in FAULTS:
        assert f"| {fault.number} | {fault.fault} | {fault.expected} | {fault.injected} |" in written


def test_a_report_brings_its_figures_into_the_page() -> None:
    campaign = {
        "name": "kills",
        "n": 1000,
        "seed": 1,
        "violations": [],
        "bound": 0.003,
        "figures": {"acknowledged then lost": 0},
        "seconds": 1.0,
    }
    report = {
        "started_at": "2025-11-23T03:00:00+00:00",
        "commit": "abc",
        "machine": "a machine",
        "campaigns": [campaign],
    }
    written = page(merged([json.loads(json.dumps(report))]))
    assert "kills: 0 in 1000 (≤ 3.0e-03), seed 1" in written
    assert "Measured 2025-11-23 on a machine" in written
    assert "seed 1, commit `abc`" in written
    assert "- acknowledged then lost: 0" in written
    assert "not run in full yet" in written


def test_campaigns_that_ran_side_by_side_make_one_report_of_one_machine() -> None:
    one = {
        "commit": "abc",
        "machine": "m",
        "started_at": "2025-11-23T03:00:00+00:00",
        "campaigns": [{"name": "model"}],
    }
    two = {
        **one,
        "commit": "abd",
        "started_at": "2025-11-23T02:00:00+00:00",
        "campaigns": [{"name": "kills"}],
    }
    whole = merged([one, two])
    assert whole is not None
    assert whole["started_at"] == two["started_at"]
    assert [(campaign["name"], campaign["commit"]) for campaign in whole["campaigns"]] == [
        ("model", "abc"),
        ("kills", "abd"),
    ]
    assert merged([]) is None
    with pytest.raises(ValueError, match="different machines"):
        merged([one, {**two, "machine": "other"}])
    with pytest.raises(ValueError, match="more than one report: model"):
        merged([one, one])


def test_a_checklist_leaves_room_for_measurement_and_signature() -> None:
    text = (ROOT / "docs/commissioning.md").read_text(encoding="utf-8")
    parts = text.split("\n## ")[1:]
    assert len(parts) >= 11
    for part in parts:
        assert "Expected:" in part
        assert "Measured" in part
        assert "Signature: ____" in part, part.splitlines()[0]
