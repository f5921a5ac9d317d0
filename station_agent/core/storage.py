"""How the station's disk is, judged from what can be seen of it, and what to do about it (safety.md D9). Pure."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal, TypeAlias

from firmware_config.vocabulary import EventKind, Lane
from firmware_config.wire import Scalar

State: TypeAlias = Literal["ok", "low", "full", "read_only"]

FULL_SHARE: Final = 0.98
"""The reserve is given back when the file system is used up to here."""

SETTLED_S: Final = 5.0
"""Losses that follow each other faster than this are one episode."""

LONGEST_EPISODE_S: Final = 3600.0


class Deed(Enum):
    """What the watch does."""

    FREE_BALLAST = auto()
    MAKE_BALLAST = auto()


@dataclass(frozen=True, slots=True)
class Disk:
    """One look.

    Attributes:
        free_bytes: that this process may still use.
        total_bytes: of the file system.
        read_only: it refuses every write.
        refusing: the stores could not write the last time.
        ballast: the reserve is there.
    """

    free_bytes: int
    total_bytes: int
    read_only: bool
    refusing: bool
    ballast: bool


def judge(disk: Disk) -> State:
    """The state that heartbeats tell."""
    if disk.read_only:
        return "read_only"
    if disk.refusing:
        return "full"
    return "ok" if disk.ballast and not _tight(disk) else "low"


def deed(disk: Disk, *, ballast_bytes: int) -> Deed | None:
    """What to do about the reserve; it is made again only when that leaves as much room as it takes."""
    if disk.read_only:
        return None
    if disk.ballast:
        return Deed.FREE_BALLAST if disk.refusing or _tight(disk) else None
    margin = (1 - FULL_SHARE) * disk.total_bytes + 2 * ballast_bytes
    return Deed.MAKE_BALLAST if disk.free_bytes > margin and not disk.refusing else None


def told(before: State, now: State) -> EventKind | None:
    """The event of a change of state, if it is one that stops orders or lets them pass again."""
    stopped = ("full", "read_only")
    if now in stopped and before not in stopped:
        return EventKind.STORAGE_FULL
    return EventKind.STORAGE_RECOVERED if before in stopped and now not in stopped else None


def _tight(disk: Disk) -> bool:
    return disk.free_bytes < (1 - FULL_SHARE) * disk.total_bytes


@dataclass(slots=True)
class _Episode:
    count: int
    first: int
    last: int
    began_s: float
    newest_s: float


class Losses:
    """Events that were given up, told once for each episode and lane."""

    def __init__(self) -> None:
        self._episodes: dict[Lane, _Episode] = {}

    def add(self, lane: Lane, count: int, first: int, last: int, *, now_s: float) -> None:
        """These numbers will never be sent."""
        episode = self._episodes.setdefault(lane, _Episode(0, first, last, now_s, now_s))
        episode.count += count
        episode.first, episode.last = min(episode.first, first), max(episode.last, last)
        episode.newest_s = now_s

    def take(self, *, now_s: float) -> list[dict[str, Scalar]]:
        """Data of the events for the episodes that are over, or have lasted too long to wait for their end."""
        over = [
            lane
            for lane, episode in self._episodes.items()
            if now_s - episode.newest_s >= SETTLED_S or now_s - episode.began_s >= LONGEST_EPISODE_S
        ]
        return [_data(lane, self._episodes.pop(lane)) for lane in over]


def _data(lane: Lane, episode: _Episode) -> dict[str, Scalar]:
    return {
        "lane": lane.name.lower(),
        "count": episode.count,
        "first": episode.first,
        "last": episode.last,
    }
