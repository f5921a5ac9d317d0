"""What really happened, told by nobody but the wires: edges of relays and contacts in true time. The judge of I1 to I6."""

from dataclasses import dataclass, field
from typing import Final

from station_agent.errors import DeviceError

ONE_SHOT_MS: Final = 12_000
"""The relay board lets go by itself after this long, whatever the pin says (safety.md C9)."""


@dataclass(slots=True)
class Pulse:
    """The relay was commanded on for an order.

    Attributes:
        end_ms: when the lock lost its power again; None while it has it.
        exits: the exit button was pressed meanwhile, so its shunt counts too.
    """

    cmd_id: str
    station: str
    door: str
    at_ms: int
    nonce_ms: int | None
    worked: bool
    end_ms: int | None = None
    exits: bool = False


@dataclass(slots=True)
class Truth:
    """Kept by the world; nothing of hub or station reads it.

    Attributes:
        applied: by order, each change of a door's mode that reached the disk, with its nonce's time.
        nonces: when each nonce was made.
        challenged: when the nonce in force of an order was made.
        edges: openings of each door's contact.
        lost: stations whose store was lost.
        longest_ms: relay energised at a time, without fire, by a station that was running all the while.
    """

    now_ms: int = 0
    pulses: dict[str, list[Pulse]] = field(default_factory=dict)
    applied: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    challenged: dict[str, int] = field(default_factory=dict)
    edges: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    longest_ms: int = 0


class Coil:
    """A relay, its pin, and the one-shot on its board. The process may die or stand still while it is on."""

    def __init__(self, truth: Truth, *, station: str, door: str) -> None:
        self._truth = truth
        self._station = station
        self._door = door
        self.energised = False
        self.stuck = False
        self.broken = False
        self.burning = False
        self.since_ms = 0
        self.stood_ms = 0
        self.order: str | None = None
        self.nonce_ms: int | None = None
        self.pulse: Pulse | None = None

    @property
    def free(self) -> bool:
        """The door can be pulled open: the coil has power and the one-shot has not let go."""
        return self.energised and (self.burning or self._truth.now_ms - self.since_ms < ONE_SHOT_MS)

    def energise(self) -> None:
        """The pin goes on, unless something is broken. Noted for the order in hand either way."""
        now_ms = self._truth.now_ms
        if self.order is not None:
            pulse = Pulse(
                self.order, self._station, self._door, now_ms, self.nonce_ms, not (self.broken or self.stuck)
            )
            self._truth.pulses.setdefault(self.order, []).append(pulse)
            self.pulse = pulse
        if self.broken:
            raise DeviceError("relay: driver refused")
        if not self.energised and not self.stuck:
            self.energised, self.since_ms, self.stood_ms = True, now_ms, 0

    def release(self) -> None:
        """The pin goes off."""
        self.look()
        self.energised = False
        if self.pulse is not None and self.pulse.end_ms is None:
            self.pulse.end_ms = min(self._truth.now_ms, self.pulse.at_ms + ONE_SHOT_MS)

    def close(self) -> None:
        """As at the end of a process."""
        self.release()

    def stand(self, length_ms: int) -> None:
        """The process stood still or was dead for this long: the one-shot's time, not the program's."""
        if self.energised:
            self.stood_ms += length_ms

    def look(self) -> None:
        """Note how long it has been on."""
        if self.energised and not self.burning:
            on_ms = self._truth.now_ms - self.since_ms - self.stood_ms
            self._truth.longest_ms = max(self._truth.longest_ms, on_ms)

    def fire(self, *, active: bool) -> None:
        """A fire may hold it for as long as it burns; afterwards the clock starts anew."""
        self.look()
        if self.burning and not active:
            self.since_ms, self.stood_ms = self._truth.now_ms, 0
        self.burning = active
