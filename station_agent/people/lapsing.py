"""Destroys templates that may be kept no longer, with a signed receipt for each, and keeps the day of the last visit.

On the upkeep thread. What a crash cuts off is finished at the next start: it is on disk before anything is destroyed.
"""

import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

from firmware_config.vocabulary import EventKind
from firmware_config.wire import Scalar
from station_agent.clock import Clock
from station_agent.core import retention
from station_agent.core.retention import DAY_MS
from station_agent.core.roster import Roster
from station_agent.store.keeping import Keeping, Lapse

log = logging.getLogger(__name__)


class Destroyer(Protocol):
    """``erasing.Eraser``."""

    def destroy_face(self, request_id: str, person: str) -> dict[str, Scalar]:
        """Destroy a person's templates, and nothing else of them; data of an event, with the signed receipt."""


class Lapsing:
    """One for the station."""

    def __init__(
        self,
        keeping: Keeping,
        *,
        destroyer: Destroyer,
        roster: Callable[[], Roster | None],
        expire_days: int,
        clock: Clock,
        record: Callable[[EventKind, Mapping[str, Scalar]], None],
    ) -> None:
        """Join it.

        Args:
            keeping: what is known of everybody enrolled.
            destroyer: does it.
            roster: in force; None when there is none.
            expire_days: days without a visit.
            clock: of this station.
            record: keeps an event.
        """
        self._keeping = keeping
        self._destroyer = destroyer
        self._roster = roster
        self._expire_days = expire_days
        self._clock = clock
        self._record = record
        self._looked: tuple[int, int] | None = None

    def resume(self) -> None:
        """Finish what a crash cut off."""
        for lapse in self._keeping.unfinished():
            self._destroy(lapse)

    def turn(self) -> None:
        """Look once for each roster and each day."""
        at, roster = self._clock.stamp(), self._roster()
        when = (0 if roster is None else roster.version, at.wall_ms // DAY_MS)
        if self._looked == when:
            return
        steps = retention.look(self._keeping.kept(), roster=roster, at=at, expire_days=self._expire_days)
        if steps is None:
            return
        self._keeping.note(steps)
        for person, cause in steps.lapsed.items():
            lapse = Lapse(secrets.token_hex(16), person, cause.value)
            self._keeping.begin_lapse(lapse)
            self._destroy(lapse)
        self._looked = when

    def visited(self, person: str) -> None:
        """Somebody known has come in."""
        at = self._clock.stamp()
        self._keeping.visited(person, at.wall_ms // DAY_MS if at.trust == "synced" else None)

    def _destroy(self, lapse: Lapse) -> None:
        data = self._destroyer.destroy_face(lapse.request_id, lapse.person)
        self._record(EventKind.TEMPLATE_EXPIRED, {**data, "reason": lapse.reason})
        self._keeping.finish_lapse(lapse.request_id)
        log.info("template_expired", extra={"person": lapse.person, "reason": lapse.reason})
