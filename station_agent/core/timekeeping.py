"""What the wall clock did against CLOCK_BOOTTIME: set right, or stepped (safety.md D10). Pure; fed once a second.

While it is not synchronised its distance from the right time is unknown; at the moment it becomes synchronised the
distance it has moved since the run began is told, and that moment dates everything else of the run.
"""

from dataclasses import dataclass
from typing import Final

from firmware_config.vocabulary import EventKind
from firmware_config.wire import Clock, Scalar

STEP_MS: Final = 2_000
"""A wall clock that moves by more than this between two looks was stepped, not slewed."""

SETTLED_MS: Final = 500
"""Less than that is no reason to date a run anew."""


@dataclass(frozen=True, slots=True)
class TimeChange:
    """Something to put on record."""

    kind: EventKind
    data: dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the clocks brought.

    Attributes:
        anchor: this moment dates the run: keep it.
    """

    changes: tuple[TimeChange, ...] = ()
    anchor: bool = False


class Timekeeping:
    """One for a run of the agent."""

    def __init__(self) -> None:
        self._trust: Clock | None = None
        self._offset_ms = 0
        self._untrusted_offset_ms = 0
        self._anchor_offset_ms: int | None = None

    def look(self, *, mono_ms: int, wall_ms: int, trust: Clock) -> Look:
        """The clocks now; both read at one moment."""
        offset_ms, before = wall_ms - mono_ms, self._trust
        moved_ms = 0 if before is None else offset_ms - self._offset_ms
        if before is None or (before == "synced" and trust != "synced"):
            self._untrusted_offset_ms = offset_ms
        self._trust, self._offset_ms = trust, offset_ms
        changes: tuple[TimeChange, ...] = ()
        if trust == "synced" and before not in {None, "synced"}:
            data: dict[str, Scalar] = {
                "offset_s": round((offset_ms - self._untrusted_offset_ms) / 1000, 3),
                "from": before,
            }
            changes = (TimeChange(EventKind.CLOCK_SYNCED, data),)
        elif abs(moved_ms) > STEP_MS:
            changes = (TimeChange(EventKind.CLOCK_STEPPED, {"by_s": round(moved_ms / 1000, 3)}),)
        return Look(changes, anchor=trust == "synced" and self._settle(offset_ms))

    def _settle(self, offset_ms: int) -> bool:
        known = self._anchor_offset_ms
        if known is not None and abs(offset_ms - known) < SETTLED_MS:
            return False
        self._anchor_offset_ms = offset_ms
        return True
