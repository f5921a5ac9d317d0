"""Signs orders with the hub's command key. The key lives in the bridge process only (safety.md C5).

The signer keeps its own count: whoever takes over the rest of the hub still gets no more than ``GO_A_MINUTE`` openings
of a door signed (threat model 6). What lets nobody in is counted apart, so that no burst stands before a lock-down.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from cloud_hub.commands.acts import RESTRICTING
from firmware_config.signing import Signer
from firmware_config.wire import Ack, Act, Ask, Challenge, Go, Order

GO_A_MINUTE: Final = 3
_MINUTE_S: Final = 60.0


class SignerRefused(Exception):  # noqa: N818 (a verdict)
    """Too many orders for this door; somebody should look why."""


class OrderSigner:
    """Seals orders. One thread signs ``go``; ``ask`` and ``ack`` may be called from any."""

    def __init__(self, signer: Signer, *, clock: Callable[[], float]) -> None:
        """Start with no orders counted.

        Args:
            signer: holds the command key.
            clock: monotonic seconds.
        """
        self._signer = signer
        self._clock = clock
        self._signed_s: dict[tuple[str, str, bool], deque[float]] = {}

    def order(self, order: Order) -> bytes:
        """Seal a first step. It opens nothing, so it is not counted."""
        return self._signer.seal("order.req", order)

    def ask(self, ask: Ask) -> bytes:
        """Seal a question."""
        return self._signer.seal("ask", ask)

    def ack(self, ack: Ack) -> bytes:
        """Seal what lets a station forget: a forged one would hide what happened there."""
        return self._signer.seal("ack", ack)

    def go(self, order: Order, challenge: Challenge) -> bytes:
        """Seal the second step of an order, bound to the station's nonce.

        Raises:
            SignerRefused: ``GO_A_MINUTE`` for this door in the last minute.
            ValueError: the challenge is not one for this order.
        """
        if _act(order) != _act(challenge):
            raise ValueError(f"challenge is not for order {order.cmd_id}")
        self._count(order)
        go = Go(
            station=order.station,
            cmd_id=order.cmd_id,
            door=order.door,
            verb=order.verb,
            pulse_ms=order.pulse_ms,
            duration_s=order.duration_s,
            issued_ms=order.issued_ms,
            boot_id=challenge.boot_id,
            nonce=challenge.nonce,
        )
        return self._signer.seal("order.go", go)

    def _count(self, order: Order) -> None:
        now_s = self._clock()
        key = (order.station, order.door, order.verb in RESTRICTING)
        signed = self._signed_s.setdefault(key, deque(maxlen=GO_A_MINUTE))
        if len(signed) == GO_A_MINUTE and now_s - signed[0] < _MINUTE_S:
            raise SignerRefused(f"{order.station} {order.door}: {GO_A_MINUTE} orders signed within a minute")
        signed.append(now_s)


def _act(step: Act) -> tuple[object, ...]:
    """Every field that says what is to be done."""
    return (step.station, step.cmd_id, step.door, step.verb, step.pulse_ms, step.duration_s)
