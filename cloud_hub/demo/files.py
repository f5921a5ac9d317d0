"""Small files: private ones for secrets, whole ones or none, and tables as TOML text."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool | Path | list["Table"]
Table: TypeAlias = Mapping[str, "Value | Table"]


def write_private(path: Path, text: str) -> None:
    """Write a file readable by its owner only: the old content or the new, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)


def toml(table: Table) -> str:
    """A table as TOML, values before sub-tables as the format asks."""
    return "\n".join(_lines(table, "")) + "\n"


def _lines(table: Table, prefix: str) -> list[str]:
    lines = [f"{key} = {_literal(value)}" for key, value in table.items() if not _is_table(value)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{prefix}{key}]", *_lines(value, f"{prefix}{key}.")]
        elif isinstance(value, list):
            for row in value:
                lines += ["", f"[[{prefix}{key}]]", *_lines(row, f"{prefix}{key}.")]
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping | list)


def _literal(value: object) -> str:
    # A JSON string, number or boolean is also a TOML one, except for the DEL character, which no value here holds.
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
