"""How many people are inside: an estimate, and the range it is known to lie in. Owned by the control thread; pure.

The contact counts openings, not people. An opening after a grant is taken for one person in, an opening after the exit
button for one person out. Any other opening may have been either, several or nobody: it moves the range, not the
estimate. Two people through one opening are not seen here; presence sensing is another issue.
"""

from enum import StrEnum

from firmware_config.wire import OccupancyStatus


class Passage(StrEnum):
    """What an opening of a door is taken for."""

    ENTERED = "entered"
    LEFT = "left"
    UNKNOWN = "unknown"


class Occupancy:
    """The people in one room. ``low`` <= ``estimate`` <= ``high`` always, and none is ever negative.

    Args:
        capacity: people the room is meant for.
        estimate: as at the end of the last run, 0 for a room that is known to be empty.
        low: as above; 0 when nothing is known.
        high: as above.

    Raises:
        ValueError: the start values are not in order.
    """

    def __init__(self, *, capacity: int, estimate: int = 0, low: int = 0, high: int = 0) -> None:
        if not 0 <= low <= estimate <= high:
            raise ValueError(f"needs 0 <= low <= estimate <= high, not {low}, {estimate}, {high}")
        self._capacity = capacity
        self._estimate = estimate
        self._low = low
        self._high = high

    @property
    def status(self) -> OccupancyStatus:
        """As it is sent."""
        return OccupancyStatus(
            estimate=self._estimate, low=self._low, high=self._high, capacity=self._capacity
        )

    @property
    def confidence(self) -> float:
        """1 when the range is one number, 0 when it is as wide as the room; in [0, 1]."""
        return max(0.0, 1.0 - (self._high - self._low) / self._capacity)

    @property
    def over_capacity(self) -> bool:
        """More people are estimated than the room is meant for."""
        return self._estimate > self._capacity

    def opened(self, passage: Passage) -> bool:
        """Take in one opening of a door.

        Returns:
            Whether ``status`` has changed.
        """
        before = self.status
        match passage:
            case Passage.ENTERED:
                self._move(1)
            case Passage.LEFT:
                self._move(-1)
            case Passage.UNKNOWN:
                self._low = max(0, self._low - 1)
                self._high += 1
        return self.status != before

    def emptied(self) -> bool:
        """Somebody who looked says that nobody is inside.

        Returns:
            Whether ``status`` has changed.
        """
        before = self.status
        self._low = self._estimate = self._high = 0
        return self.status != before

    def _move(self, people: int) -> None:
        self._low, self._estimate, self._high = (
            max(0, count + people) for count in (self._low, self._estimate, self._high)
        )
