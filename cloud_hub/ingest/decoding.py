"""From a payload to a typed, verified body. Refuses with a reason that is counted; never raises anything else."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_hub import upsert
from cloud_hub.models import Station, StationStatus
from cloud_hub.models.station import Presence
from firmware_config import replica, topics
from firmware_config.signing import Refused, Verifier
from firmware_config.topics import Topic
from firmware_config.wire import (
    SIGNED,
    Birth,
    Challenge,
    EventBatch,
    Heartbeat,
    Message,
    Reply,
    Result,
    TelemetryBatch,
    decode,
)

log = logging.getLogger(__name__)

BODIES: Final[dict[Topic, type[Message]]] = {
    Topic.BIRTH: Birth,
    Topic.HEARTBEAT: Heartbeat,
    Topic.EVENT: EventBatch,
    Topic.TELEMETRY: TelemetryBatch,
    Topic.CHALLENGE: Challenge,
    Topic.RESULT: Result,
    Topic.REPLY: Reply,
    Topic.REPLICA: replica.Replica,
}
"""What may come on each topic that stations publish."""

_SIGNED_AS: Final = {body: kind for kind, body in (*SIGNED.items(), *replica.KINDS.items())}

_PAGE: Final = 5_000

parse_topic: Final = lru_cache(maxsize=65_536)(topics.parse)
"""A station uses the same few names all its life."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message as the broker gave it.

    Attributes:
        connection: counts the bridge's connections; a PUBACK belongs on the one it came on.
        came_s: by a clock that nobody can set: the wall clock may be set while it waits.
    """

    topic: str
    payload: bytes
    retain: bool
    mid: int
    qos: int
    connection: int
    came_s: float


@dataclass(frozen=True, slots=True)
class Received:
    """One good message."""

    station: str
    body: Message
    received_at: datetime


class StationKeys:
    """Public keys of the stations in service, kept in memory. Filled by the writer, read by any thread."""

    def __init__(self) -> None:
        self._verifiers: dict[str, Verifier] = {}

    def get(self, station: str) -> Verifier | None:
        """The station's key, or None while it is not known."""
        return self._verifiers.get(station)

    def refresh(self, session: Session) -> list[str]:
        """Somebody changed or retired a station: read all again. Returns those that are no longer served."""
        known, fresh = list(self._verifiers), {}
        for start in range(0, len(known), _PAGE):
            fresh.update(self._read(session, known[start : start + _PAGE]))
        # the whole at once: the other threads must never find a station missing that is served
        self._verifiers = fresh
        return [station for station in known if station not in fresh]

    def load(self, session: Session, stations: Iterable[str], *, now: datetime) -> None:
        """Read the keys that are not known yet, and see that each station has a row for its state."""
        wanted = [station for station in stations if station not in self._verifiers]
        if not wanted:
            return
        for station, verifier in self._read(session, wanted).items():
            row = {"station_id": station, "presence": Presence.UNKNOWN.value, "presence_since": now}
            session.execute(upsert.insert(session, StationStatus).values(row).on_conflict_do_nothing())
            self._verifiers[station] = verifier

    @staticmethod
    def _read(session: Session, stations: list[str]) -> dict[str, Verifier]:
        query = select(Station.id, Station.public_key).where(
            Station.id.in_(stations), Station.retired_at.is_(None)
        )
        found = {}
        for station, public_key in session.execute(query).all():
            try:
                found[station] = Verifier.of(public_key)
            except ValueError:
                log.exception("station has no usable key", extra={"station": station})
        return found


def station_of(arrival: Arrival) -> str | None:
    """The station that a topic names, or None when it is none of ours."""
    parsed = parse_topic(arrival.topic)
    return None if parsed is None else parsed[0]


def open_arrival(arrival: Arrival, keys: StationKeys, *, received_at: datetime) -> Received:
    """Check topic, station, size, shape and signature, in this order.

    Args:
        arrival: as it came.
        keys: of the stations in service.
        received_at: when it came, by the wall clock.

    Raises:
        Refused: with the reason; those of ``firmware_config.signing`` and ``unknown_topic``, ``retained``,
            ``unknown_station``.
    """
    parsed = parse_topic(arrival.topic)
    if parsed is None or (kind := BODIES.get(parsed[1])) is None:
        raise Refused("unknown_topic", arrival.topic[:80])
    if arrival.retain:
        raise Refused("retained", arrival.topic)
    station = parsed[0]
    if (verifier := keys.get(station)) is None:
        raise Refused("unknown_station", station)
    payload = arrival.payload
    if (signed_as := _SIGNED_AS.get(kind)) is not None:
        payload = verifier.open(payload, kind=signed_as)
    return Received(station, decode(payload, kind, station=station), received_at)


def topic_label(topic: str) -> str:
    """A topic without its station, for a counter's label."""
    parsed = parse_topic(topic)
    return "other" if parsed is None else parsed[1].value.tail
