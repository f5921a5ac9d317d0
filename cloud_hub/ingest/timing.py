"""When something happened, by the hub's clock (safety.md D10). PURE.

Within the boot that sends, the station's monotonic clock tells how long ago a thing was, whatever its wall clock says.
Of an earlier boot only the wall clock is left, and never a time later than its receipt.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from firmware_config import wire

BACKFILL_AFTER: Final = timedelta(seconds=60)
"""Older than this when received: history, not news."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_AGE_MS: Final = 10 * 365 * 86_400_000
_MILLISECOND: Final = timedelta(milliseconds=1)


def occurred_at(
    *, received_at: datetime, same_boot: bool, sent_mono_ms: int, mono_ms: int, wall_ms: int
) -> datetime:
    """Best estimate of when it happened; never later than ``received_at``."""
    if same_boot:
        age_ms = min(max(sent_mono_ms - mono_ms, 0), _LONGEST_AGE_MS)
        return received_at - age_ms * _MILLISECOND
    age_ms = max((received_at - _EPOCH) // _MILLISECOND - wall_ms, 0)
    return received_at - min(age_ms, _LONGEST_AGE_MS) * _MILLISECOND


def is_backfill(*, occurred_at: datetime, received_at: datetime, same_boot: bool) -> bool:
    """It came too late to be news: it notifies nobody and changes no current state."""
    return not same_boot or received_at - occurred_at > BACKFILL_AFTER


def date(
    item: wire.Event | wire.Reading, batch: wire.EventBatch | wire.TelemetryBatch, at: datetime
) -> tuple[datetime, bool]:
    """When an item of a batch that arrived at ``at`` happened, and whether it only fills history."""
    same_boot = item.boot_id == batch.boot_id
    happened_at = occurred_at(
        received_at=at,
        same_boot=same_boot,
        sent_mono_ms=batch.sent_mono_ms,
        mono_ms=item.mono_ms,
        wall_ms=item.wall_ms,
    )
    return happened_at, is_backfill(occurred_at=happened_at, received_at=at, same_boot=same_boot)
