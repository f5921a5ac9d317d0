"""Remote orders: request, challenge, go, result, and the questions around them."""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from firmware_config.units import MAX_ENERGISED_S
from firmware_config.vocabulary import Outcome
from firmware_config.wire.base import Clock, Code, Count, Hex128, Message, Milliseconds, Name, Struct

CHALLENGE_LIFE_MS: Final = 3_000
"""How long a nonce lives, on CLOCK_BOOTTIME (safety.md C3)."""

SHORTEST_PULSE_MS: Final = 500
LONGEST_PULSE_MS: Final = int(MAX_ENERGISED_S * 1000)

LONGEST_MODE_S: Final = 24 * 3_600
"""No order may change a door's mode for longer; it can be given again."""

Verb: TypeAlias = Literal["unlock", "hold_open", "end_hold_open", "lock_down", "end_lock_down"]
"""``unlock`` pulses the relay once. The others change the door's mode, for a time, and energise nothing."""

TIMED: Final = frozenset[Verb]({"hold_open", "lock_down"})
"""Verbs that need ``duration_s``."""


class Act(Message, frozen=True, kw_only=True):
    """What is to be done: the same fields in all three steps of an order.

    Attributes:
        pulse_ms: of ``unlock``; 0 with any other verb.
        duration_s: of ``hold_open`` and ``lock_down``; 0 with any other verb.
    """

    cmd_id: Hex128
    door: Name
    verb: Verb
    pulse_ms: Annotated[int, Meta(ge=0, le=LONGEST_PULSE_MS)] = 0
    duration_s: Annotated[int, Meta(ge=0, le=LONGEST_MODE_S)] = 0

    def __post_init__(self) -> None:
        """A quantity with the wrong verb is no message."""
        if (self.pulse_ms >= SHORTEST_PULSE_MS) != (self.verb == "unlock") or (
            self.pulse_ms and self.verb != "unlock"
        ):
            raise ValueError("pulse_ms does not fit the verb")
        if bool(self.duration_s) != (self.verb in TIMED):
            raise ValueError("duration_s does not fit the verb")


class Order(Act, frozen=True):
    """First step of a remote order. Signed by the hub, kind ``order.req``. Opens nothing by itself.

    Attributes:
        cmd_id: chosen by the hub, never used twice.
        issued_ms: hub's wall clock.
    """

    issued_ms: Milliseconds


class Challenge(Act, frozen=True):
    """The station's answer to an ``Order``. Signed by the station, kind ``order.chal``.

    Attributes:
        nonce: 128 random bits that exist only in the station's memory, for ``CHALLENGE_LIFE_MS``.
    """

    boot_id: Hex128
    nonce: Hex128


class Go(Act, frozen=True):
    """Second step: every field of the order, and the nonce. Signed by the hub, kind ``order.go``."""

    issued_ms: Milliseconds
    boot_id: Hex128
    nonce: Hex128


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was seen, in milliseconds of CLOCK_BOOTTIME (safety.md C11).

    Attributes:
        energised_mono_ms: relay commanded on.
        released_mono_ms: relay commanded off.
        relay_readback: level of the relay pin while it was commanded on.
        opened_mono_ms: first opening of the contact inside the window of this pulse.
        contact_before: contact open before the pulse; None when it could not be trusted.
        mode_until_mono_ms: when a mode that was ordered ends by itself.
    """

    energised_mono_ms: int | None = None
    released_mono_ms: int | None = None
    relay_readback: bool | None = None
    opened_mono_ms: int | None = None
    contact_before: bool | None = None
    mode_until_mono_ms: int | None = None


class Result(Message, frozen=True):
    """The station's word on an order, kept and resent until acknowledged. Signed by the station, kind ``order.res``.

    Attributes:
        code: why, when refused, expired or interrupted.
    """

    cmd_id: Hex128
    install_id: Hex128
    boot_id: Hex128
    mono_ms: Milliseconds
    wall_ms: Milliseconds
    clock: Clock
    outcome: Outcome
    code: Code | None = None
    evidence: Evidence = Evidence()


class Ask(Message, frozen=True):
    """A question that moves nothing. Signed by the hub, kind ``ask``, on ``down/req``.

    Attributes:
        what: ``rebirth``: send birth again; ``result``: what became of ``cmd_id``; ``resend``: events ``first`` to ``last``
            of the store ``install_id`` once more; ``echo``: answer to ``Heartbeat.echo``, needs none itself.
        number: repeats ``Heartbeat.echo``.
    """

    what: Literal["rebirth", "result", "resend", "echo"]
    cmd_id: Hex128 | None = None
    install_id: Hex128 | None = None
    first: Count = 0
    last: Count = 0
    number: Count = 0


class Reply(Message, frozen=True):
    """Answer to ``Ask(what="result")`` when there is no result to resend. Signed by the station, kind ``reply``.

    Attributes:
        install_id: when it differs from the one that took the order, the store was lost and nobody can know.
    """

    cmd_id: Hex128
    install_id: Hex128
    boot_id: Hex128
    known: Literal[False] = False
