"""What one transaction did, and what is to be said to whom once it is committed."""

from collections import defaultdict
from dataclasses import dataclass, field

from cloud_hub.models.command import CommandState


@dataclass(slots=True)
class Receipt:
    """What one station's store may forget."""

    events: list[int] = field(default_factory=list)
    readings: list[int] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    replicas: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Resend:
    """Events to be asked for again."""

    station: str
    install_id: str
    first: int
    last: int


@dataclass(slots=True)
class Stored:
    """What a batch did. True once its transaction is committed, and not before.

    Attributes:
        receipts: by station and install.
        echoes: by station, the install and the number it wants to hear on both connections.
        resends: events that are missing.
        topics: bells to ring for the pages.
        rebirths: stations to be asked for a birth.
        heard: stations that gave a sign of life, to be asked about orders of unknown outcome.
        rosters: by station the version of its roster, None when it has just come.
        people_changed: rows changed that rosters are made of.
        replicas: sealed templates came that are to be sent on.
        stale: presence messages that were not believed.
        raised: kinds of new alerts.
        ended: final states reached by orders.
    """

    receipts: dict[tuple[str, str], Receipt] = field(default_factory=lambda: defaultdict(Receipt))
    echoes: dict[str, tuple[str, int]] = field(default_factory=dict)
    resends: list[Resend] = field(default_factory=list)
    topics: set[str] = field(default_factory=set)
    rebirths: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)
    rosters: dict[str, int | None] = field(default_factory=dict)
    people_changed: bool = False
    replicas: bool = False
    stale: int = 0
    events: int = 0
    duplicates: int = 0
    readings: int = 0
    raised: list[str] = field(default_factory=list)
    ended: list[CommandState] = field(default_factory=list)
