"""What may be ordered at a door, and how an act is checked before it is taken. No row is written here."""

from dataclasses import dataclass
from typing import Final, get_args

from cloud_hub.errors import Invalid
from firmware_config.wire import LONGEST_MODE_S, LONGEST_PULSE_MS, SHORTEST_PULSE_MS, TIMED, Verb

VERBS: Final[tuple[Verb, ...]] = get_args(Verb)

RESTRICTING: Final = frozenset[Verb]({"lock_down", "end_hold_open"})
"""Verbs that let nobody in. Every other one opens, and is bounded as openings are (safety.md C14)."""

SHORTEST_MODE_S: Final = 60
LONGEST_REASON: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What somebody wants done.

    Attributes:
        reason: for the record, not empty.
        pulse_ms: how long to energise the relay; of ``unlock`` alone.
        duration_s: after which the mode ends by itself; of ``hold_open`` and ``lock_down`` alone.
        confirm_unknown: they know that the last unlock may have left the door open.
    """

    station_id: str
    door_id: str
    reason: str
    verb: Verb = "unlock"
    pulse_ms: int = 0
    duration_s: int = 0
    confirm_unknown: bool = False

    @property
    def restricts(self) -> bool:
        """It lets nobody in."""
        return self.verb in RESTRICTING


def check(act: Act) -> None:
    """Refuse what breaks a rule, naming every field that does.

    Raises:
        Invalid: reason, pulse or duration.
    """
    problems: list[dict[str, str]] = []
    if not 0 < len(act.reason.strip()) <= LONGEST_REASON:
        problems.append({"field": "reason", "problem": f"1 to {LONGEST_REASON} characters"})
    if act.verb == "unlock" and not SHORTEST_PULSE_MS <= act.pulse_ms <= LONGEST_PULSE_MS:
        problems.append({"field": "pulse_ms", "problem": f"{SHORTEST_PULSE_MS} to {LONGEST_PULSE_MS}"})
    if act.verb in TIMED and not SHORTEST_MODE_S <= act.duration_s <= LONGEST_MODE_S:
        problems.append({"field": "duration_s", "problem": f"{SHORTEST_MODE_S} to {LONGEST_MODE_S}"})
    if (act.pulse_ms and act.verb != "unlock") or (act.duration_s and act.verb not in TIMED):
        problems.append({"field": "verb", "problem": "takes no such quantity"})
    if problems:
        detail = "; ".join(f"{item['field']}: {item['problem']}" for item in problems)
        raise Invalid(detail, errors=problems)
