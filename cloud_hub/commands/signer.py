"""Signs orders with the hub's command key. The key lives in the bridge process only (safety.md C5).

The signer keeps its own count: whoever takes over the rest of the hub still gets no more than ``GO_A_MINUTE`` openings
of a door signed (threat model 6).
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from firmware_config.signing import Signer
from firmware_config.wire import Ask, Challenge, Go, Order

GO_A_MINUTE: Final = 3
_MINUTE_S: Final = 60.0


class SignerRefused(Exception):  # noqa: N818 (a verdict)
    """Too many orders for this door; somebody should look why."""


class OrderSigner:
    """Seals orders. One thread signs ``go``; ``ask`` may be called from any."""

    def __init__(self, signer: Signer, *, clock: Callable[[], float]) -> None:
        """Start with no orders counted.

        Args:
            signer: holds the command key.
            clock: monotonic seconds.
        """
        self._signer = signer
        self._clock = clock
        self._signed_s: dict[tuple[str, str], deque[float]] = {}

    def order(self, order: Order) -> bytes:
        """Seal a first step. It opens nothing, so it is not counted."""
        return self._signer.seal("order.req", order)

    def ask(self, ask: Ask) -> bytes:
        """Seal a question."""
        return self._signer.seal("ask", ask)

    def go(self, order: Order, challenge: Challenge) -> bytes:
        """Seal the second step of an order, bound to the station's nonce.

        Raises:
            SignerRefused: ``GO_A_MINUTE`` for this door in the last minute.
            ValueError: the challenge is not one for this order.
        """
        asked = (order.station, order.cmd_id, order.door, order.verb, order.pulse_ms)
        if asked != (challenge.station, challenge.cmd_id, challenge.door, challenge.verb, challenge.pulse_ms):
            raise ValueError(f"challenge is not for order {order.cmd_id}")
        self._count(order)
        go = Go(
            station=order.station,
            cmd_id=order.cmd_id,
            door=order.door,
            verb=order.verb,
            pulse_ms=order.pulse_ms,
            issued_ms=order.issued_ms,
            boot_id=challenge.boot_id,
            nonce=challenge.nonce,
        )
        return self._signer.seal("order.go", go)

    def _count(self, order: Order) -> None:
        now_s = self._clock()
        signed = self._signed_s.setdefault((order.station, order.door), deque(maxlen=GO_A_MINUTE))
        if len(signed) == GO_A_MINUTE and now_s - signed[0] < _MINUTE_S:
            raise SignerRefused(f"{order.station} {order.door}: {GO_A_MINUTE} orders signed within a minute")
        signed.append(now_s)
