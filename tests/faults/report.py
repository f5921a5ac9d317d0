"""What a campaign found, and the report of all of them: ``report.json`` and ``report.md`` in one folder.

No campaign says "never": of a fault seen 0 times in n independent trials it says "at most 3/n, with 95 % confidence".
"""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

Figure = float | int | str

SHOWN: Final = 20
"""Violations of one campaign in the Markdown report; the JSON report has them all."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign and what it found.

    Attributes:
        name: as ``python -m tests.faults NAME`` takes it.
        n: independent trials.
        seed: runs the same campaign again.
        violations: one sentence for each time that a rule was broken.
        figures: measured beside, by name with its unit.
        seconds: it took.
    """

    name: str
    n: int
    seed: int
    violations: list[str]
    figures: dict[str, Figure] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def bound(self) -> float | None:
        """95 % upper bound of the share of trials that break a rule; None when one did, or nothing was tried."""
        return 3 / self.n if self.n and not self.violations else None


@dataclass(frozen=True, slots=True)
class Report:
    """All campaigns of one run."""

    campaigns: Sequence[Campaign]
    commit: str
    machine: str
    started_at: datetime
    seconds: float

    @property
    def clean(self) -> bool:
        """Something was tried in every campaign, and no rule was broken."""
        return all(campaign.n > 0 and not campaign.violations for campaign in self.campaigns)

    def write(self, folder: Path) -> None:
        """Put both reports into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(json.dumps(self._tree(), indent=2, ensure_ascii=False) + "\n")
        (folder / "report.md").write_text(self.markdown())

    def markdown(self) -> str:
        """The table, and below it the violations."""
        lines = [
            "# Fault campaign",
            "",
            f"Commit {self.commit}, {self.started_at:%Y-%m-%d %H:%M} UTC, {self.machine}, {self.seconds:.0f} s.",
            "",
            "| campaign | n | seed | violations | 95 % bound | seconds | figures |",
            "|---|---:|---:|---:|---:|---:|---|",
        ]
        for campaign in self.campaigns:
            figures = "; ".join(f"{name} {_shown(value)}" for name, value in campaign.figures.items())
            bound = "–" if campaign.bound is None else f"≤ {campaign.bound:.1e}"
            lines.append(
                f"| {campaign.name} | {campaign.n} | {campaign.seed} | {len(campaign.violations)} | {bound} "
                f"| {campaign.seconds:.0f} | {_cell(figures)} |"
            )
        for campaign in self.campaigns:
            lines += _violations(campaign)
        return "\n".join(lines) + "\n"

    def _tree(self) -> dict[str, Any]:
        return {
            "commit": self.commit,
            "machine": self.machine,
            "started_at": self.started_at.isoformat(),
            "seconds": round(self.seconds, 1),
            "clean": self.clean,
            "campaigns": [asdict(campaign) | {"bound": campaign.bound} for campaign in self.campaigns],
        }


def commit() -> str:
    """Of the working tree; ``+`` when it has changes that nobody committed."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "unknown"


def machine() -> str:
    """What ran the campaigns."""
    return f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def _violations(campaign: Campaign) -> list[str]:
    if not campaign.violations:
        return []
    rest = len(campaign.violations) - SHOWN
    more = [f"- and {rest} more, in report.json"] if rest > 0 else []
    shown = [f"- {' '.join(text.split())}" for text in campaign.violations[:SHOWN]]
    return ["", f"## {campaign.name}: {len(campaign.violations)} violations", "", *shown, *more]


def _shown(value: Figure) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
