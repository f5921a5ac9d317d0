"""The local alarm: what is latched, and whether the siren sounds. Owned by the control thread; pure.

A cause stays latched until it is over *and* acknowledged; whoever shuts a forced door behind him does not silence the
siren by it. The siren stops by itself ``limit_s`` after the latest new cause; the latch outlives it. A cause that is
raised again while it is still sounding is the same incident and buys no more time.
"""

from enum import StrEnum


class AlarmAction(StrEnum):
    """Orders to the siren, given only when it is to change."""

    SOUND_SIREN = "sound_siren"
    SILENCE_SIREN = "silence_siren"


class Alarm:
    """All causes of one station's siren.

    Args:
        limit_s: longest sounding after one cause.

    Attributes:
        sounding: the siren was told to sound.
        deadline_s: monotonic time at which ``time_out`` is due; None while silent.
    """

    def __init__(self, *, limit_s: float) -> None:
        self.sounding = False
        self.deadline_s: float | None = None
        self._limit_s = limit_s
        self._present: set[str] = set()
        self._unacknowledged: set[str] = set()
        self._heard: set[str] = set()

    @property
    def latched(self) -> frozenset[str]:
        """Causes that are present, or over but not acknowledged."""
        return frozenset(self._present | self._unacknowledged)

    def raise_cause(self, cause: str, *, now_s: float) -> tuple[AlarmAction, ...]:
        """Latch a cause and sound.

        Args:
            cause: names the incident, for example ``forced:main``.
            now_s: monotonic time.
        """
        self._present.add(cause)
        self._unacknowledged.add(cause)
        if cause in self._heard:
            return ()
        self._heard.add(cause)
        self.deadline_s = now_s + self._limit_s
        if self.sounding:
            return ()
        self.sounding = True
        return (AlarmAction.SOUND_SIREN,)

    def clear(self, cause: str) -> None:
        """The cause is over. It stays latched until acknowledged, and the siren goes on up to its limit."""
        self._present.discard(cause)

    def acknowledge(self) -> tuple[AlarmAction, ...]:
        """Somebody has taken notice of everything so far: silence."""
        self._unacknowledged.clear()
        return self._silence()

    def time_out(self, *, now_s: float) -> tuple[AlarmAction, ...]:
        """Silence if the time limit has been reached; the latch stays.

        Args:
            now_s: monotonic time.
        """
        if self.deadline_s is None or now_s < self.deadline_s:
            return ()
        return self._silence()

    def _silence(self) -> tuple[AlarmAction, ...]:
        self._heard.clear()
        self.deadline_s = None
        if not self.sounding:
            return ()
        self.sounding = False
        return (AlarmAction.SILENCE_SIREN,)
