"""Relations of the boots that the hub has heard of, in memory and in the database. Writer thread only.

A relation is a fact about clocks, not about what was stored, so one that was learnt in a transaction that failed stays
true; it is written with the next.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cloud_hub import upsert
from cloud_hub.ingest import timing
from cloud_hub.ingest.timing import Relation
from cloud_hub.models.event import Dated, StationBoot
from firmware_config import wire

KEPT: Final = timedelta(days=400)
"""A boot that nothing was learnt of for this long is forgotten when its station begins another."""

IN_MEMORY: Final = 4
"""Boots of one station; more are read again when they are needed."""

Boot = tuple[str, str]
"""Station and boot."""


class Boots:
    """All stations' boots."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Relation | None]] = {}
        self._changed: set[Boot] = set()
        self._sworn: set[Boot] = set()
        self._latest: dict[str, str] = {}

    def load(self, session: Session, wanted: Iterable[Boot]) -> None:
        """Read what is not in memory, in one query."""
        missing = [(station, boot) for station, boot in wanted if boot not in self._known.get(station, ())]
        if not missing:
            return
        for station, boot in missing:
            self._known.setdefault(station, {})[boot] = None
        stations, boots = zip(*missing, strict=True)
        query = select(StationBoot).where(
            StationBoot.station_id.in_(set(stations)), StationBoot.boot_id.in_(set(boots))
        )
        for row in session.scalars(query):
            knots = [(int(mono_ms), int(at_us)) for mono_ms, at_us in row.knots]
            relation = Relation(Dated(row.source), knots, signed=row.signed, changed=False)
            self._known[row.station_id][row.boot_id] = relation
            if row.signed:
                self._sworn.add((row.station_id, row.boot_id))

    def sworn(self, station: str, boot: str) -> bool:
        """A signed message of this boot is committed: once another boot has followed it, it never comes back."""
        return (station, boot) in self._sworn

    def observe(self, station: str, boot: str, mono_ms: int, at: datetime, *, signed: bool) -> Relation:
        """A message that was sent at ``mono_ms`` of this boot has arrived."""
        self._latest[station] = boot
        known = self._known.setdefault(station, {})
        relation = known.get(boot)
        if relation is None or relation.source is not Dated.LIVE:
            relation = known[boot] = timing.live(mono_ms, at, signed=signed)
        else:
            relation.observe(mono_ms, at, signed=signed)
        self._note(station, boot, relation)
        return relation

    def clock_was_set(self, by: timedelta) -> None:
        """The hub's own clock: every station that is heard now is related to it anew. Earlier boots stay as they were."""
        for station, boot in self._latest.items():
            relation = self._known.get(station, {}).get(boot)
            if relation is not None and relation.source is Dated.LIVE:
                relation.shift(by // timedelta(microseconds=1))
                self._note(station, boot, relation)

    def relations(self, batch: wire.EventBatch | wire.TelemetryBatch, at: datetime) -> dict[str, Relation]:
        """By boot, what dates the items of a batch."""
        found = {
            batch.boot_id: self.observe(batch.station, batch.boot_id, batch.sent_mono_ms, at, signed=False)
        }
        others: dict[str, list[wire.Event | wire.Reading]] = {}
        for item in batch.items:
            if item.boot_id != batch.boot_id:
                others.setdefault(item.boot_id, []).append(item)
        if not others:
            return found
        anchors = {anchor.boot_id: anchor for anchor in batch.anchors}
        known = self._known.setdefault(batch.station, {})
        for boot, items in others.items():
            relation = timing.earlier(known.get(boot), anchors.get(boot), items, received_at=at)
            found[boot] = known[boot] = relation
            self._note(batch.station, boot, relation)
        return found

    def write(self, session: Session, *, now: datetime) -> None:
        """What has changed, into the session's transaction."""
        if not self._changed:
            return
        rows = [
            {
                "station_id": station,
                "boot_id": boot,
                "source": relation.source.value,
                "signed": relation.signed,
                "knots": relation.knots,
                "updated_at": now,
            }
            for station, boot in sorted(self._changed)
            if (relation := self._known[station][boot]) is not None
        ]
        statement = upsert.insert(session, StationBoot)
        changes = {name: statement.excluded[name] for name in ("source", "signed", "knots", "updated_at")}
        session.connection().execute(
            statement.on_conflict_do_update(index_elements=["station_id", "boot_id"], set_=changes), rows
        )
        stations = sorted({station for station, _ in self._changed})
        session.connection().execute(
            delete(StationBoot).where(
                StationBoot.station_id.in_(stations), StationBoot.updated_at < now - KEPT
            )
        )

    def keep(self) -> None:
        """The transaction is committed."""
        for station, boot in self._changed:
            known = self._known[station]
            if (relation := known[boot]) is not None:
                relation.changed = False
                if relation.signed:
                    self._sworn.add((station, boot))
        for station in {station for station, _ in self._changed}:
            self._trim(station)
        self._changed.clear()

    def forget(self, stations: Sequence[str]) -> None:
        """They are no longer served."""
        for station in stations:
            self._known.pop(station, None)
            self._latest.pop(station, None)
        self._changed = {boot for boot in self._changed if boot[0] in self._known}
        self._sworn = {boot for boot in self._sworn if boot[0] in self._known}

    def _note(self, station: str, boot: str, relation: Relation) -> None:
        if relation.changed:
            self._changed.add((station, boot))

    def _trim(self, station: str) -> None:
        known = self._known[station]
        for boot in list(known)[:-IN_MEMORY]:
            del known[boot]
            self._sworn.discard((station, boot))
