"""From bytes off the network to checked messages. Nothing here trusts the broker (safety.md C1, C4, C6)."""

from typing import Final, TypeAlias

from firmware_config.replica import Delivery
from firmware_config.signing import Refused, Verifier
from firmware_config.topics import COMMAND_TOPICS, Topic, parse
from firmware_config.units import MAX_PAYLOAD_BYTES
from firmware_config.wire import Ack, Ask, Erase, Go, Order, RosterPart, decode
from station_agent.clock import Stamp
from station_agent.core.commands import EARLIEST_MS, LATEST_MS
from station_agent.link.client import Raw

Inbound: TypeAlias = Order | Go | Ask | Ack | RosterPart | Erase | Delivery

RESPONSE: Final = {Topic.REQUEST: Topic.CHALLENGE, Topic.GO: Topic.RESULT}
"""The only response topic a command may name, if it names one."""

SIGNED_DATA: Final[dict[Topic, tuple[str, type[Ack | RosterPart | Erase | Delivery]]]] = {
    Topic.ACK: ("ack", Ack),
    Topic.ROSTER: ("roster", RosterPart),
    Topic.ERASE: ("erase", Erase),
    Topic.DELIVERY: ("replica.delivery", Delivery),
}
"""What the hub signs on the data connection."""


class Intake:
    """Checks what arrives for one station."""

    def __init__(self, *, station: str, verifier: Verifier) -> None:
        self._station = station
        self._verifier = verifier

    def judge(self, raw: Raw, at: Stamp) -> Inbound:
        """Check size, topic, retain, signature, shape, station, properties and, by a synchronised clock, age.

        Raises:
            Refused: with the reason of the first check that fails; beside those of ``Verifier`` and ``decode``:
                ``wrong_topic``, ``unsupported``, ``retained``, ``response_topic``, ``correlation``, ``stale``.
        """
        if len(raw.payload) > MAX_PAYLOAD_BYTES:
            raise Refused("too_large", f"{len(raw.payload)} bytes")
        topic = self._topic(raw.topic)
        if (signed := SIGNED_DATA.get(topic)) is not None:
            kind, body = signed
            return decode(self._verifier.open(raw.payload, kind=kind), body, station=self._station)
        if topic not in COMMAND_TOPICS:
            raise Refused("unsupported", raw.topic)
        if raw.retain:
            raise Refused("retained")
        if raw.response_topic not in {None, RESPONSE[topic].of(self._station)}:
            raise Refused("response_topic")
        command = self._command(topic, raw.payload)
        cmd_id = command.cmd_id or ""
        if raw.correlation not in {None, cmd_id.encode()}:
            raise Refused("correlation")
        if isinstance(command, Order) and at.trust == "synced":
            self._fresh(command, at)
        return command

    def _topic(self, name: str) -> Topic:
        parsed = parse(name)
        if parsed is None or parsed[0] != self._station or parsed[1].up:
            raise Refused("wrong_topic", name)
        return parsed[1]

    def _command(self, topic: Topic, payload: bytes) -> Order | Go | Ask:
        if topic is Topic.GO:
            return decode(self._verifier.open(payload, kind="order.go"), Go, station=self._station)
        try:
            body = self._verifier.open(payload, kind="order.req")
        except Refused as refused:
            if refused.reason != "wrong_kind":
                raise
            return decode(self._verifier.open(payload, kind="ask"), Ask, station=self._station)
        return decode(body, Order, station=self._station)

    @staticmethod
    def _fresh(order: Order, at: Stamp) -> None:
        age_ms = at.wall_ms - order.issued_ms
        if not EARLIEST_MS <= age_ms <= LATEST_MS:
            raise Refused("stale", f"{age_ms} ms old")
