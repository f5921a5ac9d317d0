"""Gives things back in the order in which they came, whatever order they were dealt with in. Any thread, behind a lock."""

from collections import Counter, deque
from collections.abc import Iterable


class InOrder:
    """Numbers of messages that somebody still owes an acknowledgement."""

    def __init__(self) -> None:
        self._owed: deque[int] = deque()
        self._done: Counter[int] = Counter()

    def came(self, number: int) -> None:
        """One more."""
        self._owed.append(number)

    def done(self, numbers: Iterable[int]) -> list[int]:
        """These are dealt with: those that now have nothing unfinished before them, in order."""
        self._done.update(numbers)
        ready = []
        while self._owed and self._done[self._owed[0]]:
            ready.append(self._owed.popleft())
            self._done[ready[-1]] -= 1
        return ready
