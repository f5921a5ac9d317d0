"""One batch of good messages and one transaction: rows, alerts, order results. Idempotent. Writer thread only.

Phases, in an order that no two writers can turn into a deadlock: state of stations, events and what they say of people,
readings, alerts, orders and last the audit log.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from cloud_hub.access import audit
from cloud_hub.alerts import engine, rules
from cloud_hub.alerts.rules import SILENT, Clear, Effect, Raise
from cloud_hub.commands import results
from cloud_hub.ingest import people
from cloud_hub.ingest.boots import Boot
from cloud_hub.ingest.decoding import Received
from cloud_hub.ingest.delivery import Delivery
from cloud_hub.ingest.gaps import Span, Store
from cloud_hub.ingest.memory import Memory
from cloud_hub.ingest.presence import Live, Turn, Verdict
from cloud_hub.ingest.rows import Rows, door_row, storage_columns, write_state
from cloud_hub.ingest.stored import Resend, Stored
from cloud_hub.models.alert import Severity
from cloud_hub.models.command import CommandState
from cloud_hub.models.station import Presence
from cloud_hub.replicas import services as replicas
from cloud_hub.roster.services import revision, touch
from cloud_hub.stations.services import note_sealing_keys
from firmware_config import wire
from firmware_config.replica import Replica

log = logging.getLogger(__name__)

_MOST_PEOPLE: Final = 100_000


@dataclass(frozen=True, slots=True)
class _Fact:
    """Effects on the alerts of one station, at one time."""

    station: str
    effects: tuple[Effect, ...]
    at: datetime


class Batch:
    """Collects while the messages are looked at in order, then writes."""

    def __init__(self, session: Session, memory: Memory, *, now: datetime) -> None:
        self._session = session
        self._memory = memory
        self._watch = memory.watch
        self._now = now
        self._rows = Rows()
        self._stored = Stored()
        self._delivery = Delivery(memory, self._rows, self._stored)
        self._facts: list[_Fact] = []
        self._standing: list[tuple[str, tuple[Effect, ...], datetime]] = []
        self._lost_stores: list[tuple[str, str, str]] = []
        self._words: list[wire.Result | wire.Reply] = []
        self._entries: list[people.Entry] = []
        self._sealing_keys: dict[str, str] = {}
        self._replicas: list[Replica] = []
        self._beats: dict[str, str] = {}
        self._handlers: Final[dict[type[wire.Message], Callable[[Any, datetime], None]]] = {
            wire.Birth: self._birth,
            wire.Heartbeat: self._heartbeat,
            wire.EventBatch: self._delivery.take_events,
            wire.TelemetryBatch: self._delivery.take_readings,
            wire.Result: self._result,
            wire.Reply: self._reply,
            Replica: self._replica,
        }

    def take(self, messages: Sequence[Received]) -> None:
        """Look at messages in the order in which they came."""
        boots, stores = wanted(messages)
        self._memory.boots.load(self._session, boots)
        self._memory.streams.load(self._session, stores, now=self._now)
        for message in messages:
            self._handlers[type(message.body)](message.body, message.received_at)

    def turn(self, turns: Sequence[Turn]) -> None:
        """Leases ran out."""
        for turn in turns:
            if turn.silent:
                alert = Raise(
                    SILENT,
                    Severity.MAJOR,
                    counts=False,
                    resumes=True,
                    data={"since": turn.live.since.isoformat()},
                )
                self._facts.append(_Fact(turn.live.station, (alert,), self._now))
            else:
                self._note_presence(turn.live, None)

    def write(self) -> Stored:
        """Everything into the session's transaction."""
        write_state(self._session, self._rows)
        self._write_replicas()
        self._write_events()
        self._write_sealing_keys()
        self._delivery.write_readings(self._session)
        self._write_streams()
        self._write_alerts()
        self._write_orders()
        self._write_entries()
        return self._stored

    def _birth(self, birth: wire.Birth, at: datetime) -> None:
        before = self._watch.get(birth.station)
        if self._is_over(birth, before):
            self._stored.stale += 1
            return
        verdict, live = self._watch.birth(birth, at)
        if verdict is not Verdict.BELIEVED:
            self._stored.stale += 1
            return
        self._note_presence(live, before)
        if not birth.online:
            return
        self._stored.heard.add(birth.station)
        self._stored.rosters[birth.station] = None
        self._sealing_keys[birth.station] = birth.sealing_key
        self._memory.boots.observe(birth.station, birth.boot_id, birth.mono_ms, at, signed=True)
        self._rows.statuses[birth.station] |= {
            "clock": birth.clock,
            "agent_version": birth.agent_version,
            "engine": birth.engine,
            "liveness": birth.liveness,
            "capacity": min(birth.capacity, _MOST_PEOPLE),
            "sqlite": birth.sqlite,
        }
        self._facts.append(_Fact(birth.station, (rules.liveness(birth.liveness, birth.engine),), at))
        for door in birth.doors:
            row = door_row(birth.station, door, at) | {"lock_kind": birth.lock_kinds.get(door.id, "")[:16]}
            self._rows.doors.setdefault((birth.station, door.id), {}).update(row)
        for sensor in birth.sensors:
            row = {"station_id": birth.station, **msgspec.to_builtins(sensor)}
            self._rows.sensors[birth.station, sensor.name] = row
        self._rows.announced[birth.station] = (
            {door.id for door in birth.doors},
            {sensor.name for sensor in birth.sensors},
        )
        self._stored.topics.add(f"station:{birth.station}")

    def _is_over(self, birth: wire.Birth, before: Live) -> bool:
        """Somebody replays the birth of an earlier boot: believed, it would show a new store and lose orders for ever."""
        followed = birth.online and before.boot_id not in {None, birth.boot_id}
        return followed and self._memory.boots.sworn(birth.station, birth.boot_id)

    def _heartbeat(self, beat: wire.Heartbeat, at: datetime) -> None:
        before = self._watch.get(beat.station)
        verdict, live = self._watch.heartbeat(beat, at)
        if verdict is not Verdict.BELIEVED:
            self._stored.stale += 1
            if verdict is Verdict.STRANGER:
                self._stored.rebirths.add(beat.station)
            return
        self._note_presence(live, before)
        self._stored.heard.add(beat.station)
        self._stored.rosters[beat.station] = beat.roster_version
        self._beats[beat.station] = beat.install_id
        self._memory.streams.told(beat, at)
        if beat.echo:
            self._stored.echoes[beat.station] = (beat.install_id, beat.echo)
        crowd = beat.occupancy
        self._rows.statuses[beat.station] |= {
            "clock": beat.clock,
            "backlog": beat.backlog,
            "backlog_age_s": beat.backlog_age_s,
            "cameras": beat.cameras,
            "rejected": beat.rejected,
            **storage_columns(beat.storage),
            "people": min(crowd.estimate, _MOST_PEOPLE),
            "people_low": min(crowd.low, _MOST_PEOPLE),
            "people_high": min(crowd.high, _MOST_PEOPLE),
            "capacity": min(crowd.capacity, _MOST_PEOPLE),
        }
        for door in beat.doors:
            self._rows.doors.setdefault((beat.station, door.id), {}).update(door_row(beat.station, door, at))
        relation = self._memory.boots.observe(beat.station, beat.boot_id, beat.mono_ms, at, signed=True)
        self._note_losses(beat, live, at)
        self._note_state(beat, self._watch.get(beat.station), relation.date(beat.mono_ms, received_at=at))

    def _note_losses(self, beat: wire.Heartbeat, live: Live, at: datetime) -> None:
        """Numbers that the station itself counts as lost; its event about it may be among them."""
        lost = beat.storage.events_lost
        if live.lost is not None and lost > live.lost:
            self._facts.append(_Fact(beat.station, (rules.events_lost(lost),), at))
        if lost != live.lost:
            self._watch.update(replace(live, lost=lost))

    def _note_state(self, beat: wire.Heartbeat, live: Live, at: datetime) -> None:
        """What a heartbeat shows counts for the alerts once two in a row agree (alerts.rules, rule 4)."""
        doors = tuple(
            msgspec.structs.replace(door, mode_left_s=0) for door in beat.doors
        )  # it only counts down
        disk = beat.storage.state
        seen = (doors, tuple(sorted(beat.cameras.items())), beat.occupancy, disk)
        if seen != live.seen:
            self._stored.topics.add(f"station:{beat.station}")
            self._watch.update(replace(live, seen=seen, steady=False))
        elif not live.steady:
            effects = rules.standing(tuple(beat.doors), beat.cameras, beat.occupancy)
            self._standing.append((beat.station, (*effects, rules.storage(disk)), at))
            self._watch.update(replace(live, steady=at >= live.alarmed_at))

    def _note_presence(self, live: Live, before: Live | None) -> None:
        self._rows.statuses[live.station] |= {
            "presence": live.presence.value,
            "presence_since": live.since,
            "heartbeat_at": live.heartbeat_at,
            "interval_s": live.interval_s,
            "boot_id": live.boot_id,
            "conn_no": live.conn_no,
            "install_id": live.install_id,
        }
        if before is None or before.presence is not live.presence:
            self._stored.topics |= {"stations", f"station:{live.station}"}
            if live.presence is Presence.ONLINE:
                self._facts.append(_Fact(live.station, (Clear(SILENT),), self._now))
        if before is not None and before.install_id not in {None, live.install_id}:
            self._lost_stores.append((live.station, str(before.install_id), str(live.install_id)))

    def _result(self, result: wire.Result, _at: datetime) -> None:
        self._words.append(result)

    def _reply(self, reply: wire.Reply, _at: datetime) -> None:
        self._words.append(reply)

    def _replica(self, replica: Replica, _at: datetime) -> None:
        self._stored.receipts[replica.station, replica.install_id].replicas.append(replica.id)
        self._replicas.append(replica)

    def _write_replicas(self) -> None:
        """Before what events say of people, which locks people too; the rosters' revision comes after all of them."""
        self._stored.replicas = replicas.take(self._session, self._replicas, now=self._now)

    def _write_sealing_keys(self) -> None:
        if not self._sealing_keys:
            return
        changes = note_sealing_keys(self._session, self._sealing_keys)
        entries = [
            people.Entry(station, "station:sealing_key:changed", station, change)
            for station, change in changes.items()
        ]
        self._entries = [*self._entries, *entries]
        # without any people yet there is nothing to replicate, and no station is to get a roster that bars everybody
        if entries and revision(self._session):
            self._stored.people_changed = True
            touch(self._session)

    def _write_events(self) -> None:
        new = self._delivery.write_events(self._session, now=self._now)
        if words := self._delivery.words(new):
            outcome = people.apply(self._session, words, now=self._now)
            self._entries, self._stored.people_changed = outcome.entries, outcome.changed
        for station, event, at in self._delivery.news(new):
            effects = rules.of_event(event.kind, event.data)
            if not effects:
                continue
            self._facts.append(_Fact(station, effects, at))
            if any(isinstance(effect, Raise) and effect.holds for effect in effects):
                # its end may have come before it: let the next heartbeat say whether it still holds
                live = self._watch.get(station)
                alarmed_at = max(live.alarmed_at, at)
                self._watch.update(replace(live, steady=False, alarmed_at=alarmed_at))

    def _write_streams(self) -> None:
        for station, lost in self._delivery.write_gone(self._session):
            self._lose(station, lost)
        for station, old, _new in self._lost_stores:
            self._memory.streams.load(self._session, [(station, old)], now=self._now)
            self._lose(station, self._memory.streams.replaced(self._session, (station, old)))
        for station, install in self._beats.items():
            if (span := self._memory.streams.question((station, install), self._now)) is not None:
                self._stored.resends.append(Resend(station, install, *span))
        self._memory.boots.write(self._session, now=self._now)
        self._memory.streams.write(self._session, now=self._now)

    def _lose(self, station: str, spans: Sequence[Span]) -> None:
        if spans:
            self._facts.append(_Fact(station, (rules.numbers_lost(spans),), self._now))
            self._stored.topics.add(f"station:{station}")

    def _write_alerts(self) -> None:
        for fact in self._facts:
            self._alert(fact)
        if not self._standing:
            return
        keys = engine.open_keys(self._session, {station for station, _, _ in self._standing})
        for station, effects, at in self._standing:
            wanted = tuple(
                effect
                for effect in effects
                if isinstance(effect, Raise) or rules.key_of(station, effect) in keys
            )
            self._alert(_Fact(station, wanted, at))

    def _alert(self, fact: _Fact) -> None:
        changes = engine.apply(self._session, fact.station, fact.effects, at=fact.at)
        if changes:
            self._stored.topics.add("alerts")
        self._stored.raised += [change.kind for change in changes if change.new]

    def _write_orders(self) -> None:
        results.lock(self._session, {word.cmd_id for word in self._words})
        for word in self._words:
            if isinstance(word, wire.Result):
                applied = results.apply(self._session, word, now=self._now)
                # A pulse that has only begun is not acknowledged: the station keeps its answer until it is final.
                if word.outcome.final:
                    self._stored.receipts[word.station, word.install_id].results.append(word.cmd_id)
            else:
                applied = results.reply(self._session, word, now=self._now)
            if applied.changed:
                self._stored.topics |= {f"command:{word.cmd_id}", "alerts"}
            if applied.ended is not None:
                self._stored.ended.append(applied.ended)
        for station, old, new in self._lost_stores:
            self._lose_store(station, old, new)

    def _write_entries(self) -> None:
        for entry in self._entries:
            audit.record(
                self._session,
                actor=f"station:{entry.station}",
                action=entry.action,
                target=entry.person,
                detail=entry.detail,
                now=self._now,
            )

    def _lose_store(self, station: str, old: str, new: str) -> None:
        log.warning("station has a new store", extra={"station": station, "old": old, "new": new})
        lost = results.store_lost(self._session, station_id=station, install_id=new, now=self._now)
        self._stored.ended += [CommandState.UNKNOWN_FINAL] * len(lost)
        self._stored.topics |= {f"command:{command}" for command in lost}
        facts = {"old": old, "new": new, "orders": lost}
        actor = f"station:{station}"
        audit.record(
            self._session,
            actor=actor,
            action="station:store:replaced",
            target=station,
            detail=facts,
            now=self._now,
        )


def wanted(messages: Iterable[Received]) -> tuple[set[Boot], set[Store]]:
    """Boots and stores that messages are about."""
    boots: set[Boot] = set()
    stores: set[Store] = set()
    for message in messages:
        body = message.body
        if isinstance(body, wire.Heartbeat | wire.Birth):
            boots.add((body.station, body.boot_id))
            stores.add((body.station, body.install_id))
        elif isinstance(body, wire.EventBatch | wire.TelemetryBatch):
            boots |= {(body.station, boot) for boot in {body.boot_id, *(item.boot_id for item in body.items)}}
            if isinstance(body, wire.EventBatch):
                stores.add((body.station, body.install_id))
    return boots, stores
