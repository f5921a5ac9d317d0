"""Whether a signed QR pass opens here and now. PURE: the signature is checked by ``firmware_config.passes``.

Rules
  1. Checks run in a fixed order and the first that fails is the reason: revoked, another station, unknown time, not yet,
     over, used up. So one pass always gets the same answer in the same state.
  2. Validity in time needs a synchronised clock. Without one only a pass for a single use and without a window opens.
  3. Uses are counted on disk before the door opens (``store.credentials``); what is judged here is the count so far.
     A station that has lost its counts believes no counted pass that is older than the loss.
"""

from dataclasses import dataclass
from enum import StrEnum

from firmware_config.passes import EVERYWHERE, Pass
from station_agent.core.moment import Moment
from station_agent.core.roster import Roster


class PassRefusal(StrEnum):
    """Why a pass does not open."""

    MALFORMED = "pass_malformed"
    UNKNOWN_KEY = "pass_unknown_key"
    ALTERED = "pass_altered"
    REVOKED = "pass_revoked"
    WRONG_STATION = "pass_wrong_station"
    CLOCK = "clock_unsynchronised"
    NOT_YET_VALID = "pass_not_yet_valid"
    EXPIRED = "pass_expired"
    REPLAYED = "pass_replayed"
    USES_UNKNOWN = "pass_uses_unknown"


@dataclass(frozen=True, slots=True)
class Counted:
    """What this station has counted.

    Attributes:
        used: times this pass has opened here.
        lost_ms: when earlier counts were lost, milliseconds since the Unix epoch; None when they never were.
    """

    used: int = 0
    lost_ms: int | None = None


def refusal(body: Pass, *, at: Moment, station: str, roster: Roster, counted: Counted) -> PassRefusal | None:
    """Why a pass with a good signature does not open; None when it does."""
    if body.number in roster.revoked_passes:
        return PassRefusal.REVOKED
    if not {EVERYWHERE, station, roster.document.region} & set(body.scope):
        return PassRefusal.WRONG_STATION
    return _by_time(body, at) or _by_count(body, counted)


def _by_time(body: Pass, at: Moment) -> PassRefusal | None:
    if at.trust != "synced":
        return PassRefusal.CLOCK if body.windowed or body.uses != 1 else None
    now_s = at.wall_ms / 1000
    if now_s < body.not_before:
        return PassRefusal.NOT_YET_VALID
    if body.not_after and now_s >= body.not_after:
        return PassRefusal.EXPIRED
    return None


def _by_count(body: Pass, counted: Counted) -> PassRefusal | None:
    if not body.uses:
        return None
    if counted.used >= body.uses:
        return PassRefusal.REPLAYED
    if counted.lost_ms is not None and body.not_before * 1000 <= counted.lost_ms:
        return PassRefusal.USES_UNKNOWN
    return None
