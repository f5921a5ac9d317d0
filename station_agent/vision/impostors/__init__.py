"""What strangers scored: one file a set and engine, written by ``station-agent bench identify --record``. No pictures.

A file holds the distribution of the scores and its resampled fits, not the scores: ``core.threshold`` needs no more, and the
people in the sets need to be in no file of ours.
"""

import json
from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

from station_agent.core.threshold import LARGEST_VALIDATED_N, Bell, Impostors, Recording
from station_agent.errors import AgentError

FLOOR_SHARE: Final = "1e-4"
"""No threshold lies below the score that this share of a set's comparisons reach. Rarer ones are counted on one hand in
the recordings (safety.md F4), and a door for three people gains nothing from a threshold strangers meet so often."""


LARGEST: Final = {"opencv": LARGEST_VALIDATED_N, "face-recognition": 200}
"""Most people in one gallery, by engine: the largest it was measured at (docs/adr/0018)."""


class UnrecordedError(AgentError, LookupError):
    """Nothing is known of strangers' scores under these weights."""

    def __init__(self, engine: str, digest: str) -> None:
        super().__init__(
            f"no recorded scores of strangers for engine {engine} with weights {digest[:12]}: no threshold can be "
            "derived; record some with `station-agent bench identify --record`, or set face.threshold"
        )


def load(engine: str, digest: str) -> Impostors:
    """Everything recorded under an engine and its weights.

    Raises:
        UnrecordedError: there is nothing.
    """
    found = [row for row in _files() if (row["engine"], row["digest"]) == (engine, digest)]
    if not found:
        raise UnrecordedError(engine, digest)
    return impostors(found)


def impostors(documents: list[dict[str, Any]]) -> Impostors:
    """The model of what was recorded under one engine.

    Args:
        documents: at least one, as ``bench.identification.record`` makes them.
    """
    return Impostors(
        engine=documents[0]["engine"],
        digest=documents[0]["digest"],
        floor=max(document["quantiles"][FLOOR_SHARE] for document in documents),
        recordings=tuple(_recording(document) for document in documents),
        largest=LARGEST.get(documents[0]["engine"], LARGEST_VALIDATED_N),
    )


def _files() -> Iterator[dict[str, Any]]:
    for entry in sorted(resources.files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json"):
            yield json.loads(entry.read_text(encoding="utf-8"))


def _recording(document: dict[str, Any]) -> Recording:
    return Recording(
        source=document["source"],
        people=document["people"],
        comparisons=document["comparisons"],
        likeness=document["likeness"],
        template_likeness=document["template_likeness"],
        bell=Bell(*document["bell"]),
        resampled=tuple(Bell(*row) for row in document["resampled"]),
    )
