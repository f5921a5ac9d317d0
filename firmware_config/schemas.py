"""Writes the JSON Schemas of the wire messages: ``python -m firmware_config.schemas DIR``."""

import json
import sys
from pathlib import Path

import msgspec

from firmware_config import receipts, replica
from firmware_config.roster import RosterDocument
from firmware_config.signing import Envelope
from firmware_config.wire import PLAIN, SIGNED


def documents() -> dict[str, str]:
    """File name to JSON Schema text, for every message, the envelope and the roster."""
    kinds = {
        "envelope": Envelope,
        "roster.document": RosterDocument,
        **SIGNED,
        **PLAIN,
        **replica.KINDS,
        **receipts.KINDS,
    }
    return {
        f"{name}.schema.json": json.dumps(msgspec.json.schema(kind), indent=2, ensure_ascii=False) + "\n"
        for name, kind in kinds.items()
    }


def write(folder: Path) -> None:
    """Write all documents and remove those of messages that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = documents()
    for stale in folder.glob("*.schema.json"):
        if stale.name not in fresh:
            stale.unlink()
    for name, text in fresh.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
