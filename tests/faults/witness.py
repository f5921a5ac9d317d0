"""Writes down what happens to a rig: what operators were shown, what stations promised, who died; then asks wire and database."""

import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import requests
from sqlalchemy import select

from cloud_hub.models import AuditEntry, Command, CommandStep, Event
from tests.faults import history as h
from tests.faults.rig import Rig, Station, mono_offset_s

OPENED: Final = ("door.opened", "door.forced")


class Witness:
    """One for a rig. Any thread may tell it something."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._lock = threading.Lock()
        self._shown: list[h.Shown] = []
        self._placed: list[h.Placed] = []
        self._puts: list[h.Put] = []
        self._deaths: list[h.Died] = []
        self._stood: list[h.Stood] = []
        self._ended: set[str] = set()
        self.refused: dict[int, int] = {}
        """Orders not taken, by HTTP status; 0 is no answer."""

    def order(self, station: Station, door: str) -> str | None:
        """Click; the order's id when the hub acknowledged one."""
        path = f"/api/v1/stations/{station.id}/doors/{door}/unlock"
        order = {"reason": "delivery", "pulse_ms": 1000, "confirm_unknown": True}
        try:
            answer = self.rig.api.call("POST", path, json=order)
        except requests.RequestException:
            status = 0
        else:
            status = answer.status_code
            if status == HTTPStatus.ACCEPTED:
                command = str(answer.json()["id"])
                with self._lock:
                    self._placed.append(h.Placed(time.time(), command))
                return command
        with self._lock:
            self.refused[status] = self.refused.get(status, 0) + 1
        return None

    def look(self, command: str) -> h.Shown | None:
        """What an operator is shown of an order now; None when the console does not answer."""
        asked = time.time()
        try:
            answer = self.rig.api.call("GET", f"/api/v1/commands/{command}")
        except requests.RequestException:
            return None
        if answer.status_code != HTTPStatus.OK:
            assert answer.status_code != HTTPStatus.NOT_FOUND, f"order {command} is gone"
            return None
        said = answer.json()
        shown = h.Shown(asked, time.time(), command, said["state"], final=said["final"])
        with self._lock:
            self._shown.append(shown)
            if shown.final:
                self._ended.add(command)
        return shown

    def look_at_all(self) -> None:
        """Look at every order that has not been seen to end."""
        with self._lock:
            left = [placed.command for placed in self._placed if placed.command not in self._ended]
        for command in left:
            self.look(command)

    def open_door(self, station: Station, door: str) -> bool:
        """Somebody opens the door; whether the station promised that it is on record."""
        kept = station.does(op="contact", door=door, open=True)
        with self._lock:
            self._puts.append(h.Put(time.time(), station.id, door, kept=kept))
        return kept

    def died(self, part: str) -> None:
        with self._lock:
            self._deaths.append(h.Died(time.time(), part))

    def stood(self, part: str, *, since: float) -> None:
        with self._lock:
            self._stood.append(h.Stood(since, time.time(), part))

    @property
    def orders(self) -> int:
        return len(self._placed)

    @property
    def looks(self) -> int:
        return len(self._shown)

    @property
    def promised(self) -> int:
        return sum(put.kept for put in self._puts)

    def owed(self) -> list[str]:
        """Openings that were promised and are not at the hub yet."""
        late = []
        for station in self.rig.stations:
            arrived = self.rig.count_events(station.id, OPENED)
            kept: dict[str, int] = {}
            for put in self._puts:
                if put.station == station.id and put.kept:
                    kept[put.door] = kept.get(put.door, 0) + 1
            late += [
                f"{station.id}/{door}: {arrived.get(door, 0)} of {count}"
                for door, count in kept.items()
                if arrived.get(door, 0) < count
            ]
        return late

    def history(self, *, settled: bool = True, stores_lost: Iterable[str] = ()) -> h.History:
        """Everything so far, in one time."""
        offset_s = mono_offset_s()
        edges = [
            h.Edge(edge["t"] + offset_s, station.id, edge["device"], edge["value"])
            for station in self.rig.stations
            for edge in station.edges()
        ]
        with self.rig.sessions() as session:

            def rows(table: type[Any]) -> list[Any]:
                return list(session.scalars(select(table)))

            steps = [
                h.Step(row.at.timestamp(), row.command_id, row.state)
                for row in rows(CommandStep)
                if "contradiction" not in row.detail
            ]
            audit = [h.Audited(row.at.timestamp(), row.action, row.target) for row in rows(AuditEntry)]
            events = [_row(row) for row in rows(Event)]
            orders = [_order(row) for row in rows(Command)]
        with self._lock:
            return h.History(
                edges=edges,
                steps=steps,
                audit=audit,
                shown=list(self._shown),
                placed=list(self._placed),
                puts=list(self._puts),
                rows=events,
                orders=orders,
                deaths=list(self._deaths),
                stood=list(self._stood),
                settled=settled,
                stores_lost=frozenset(stores_lost),
            )


def _row(row: Event) -> h.Row:
    door = str(row.data.get("door"))
    return h.Row(row.occurred_at.timestamp(), row.station_id, row.install_id, row.seq, row.kind, door)


def _order(row: Command) -> h.Order:
    return h.Order(
        id=row.id,
        station=row.station_id,
        door=row.door_id,
        pulse_s=row.pulse_ms / 1000,
        state=row.state,
        final=row.final,
        evidence=row.evidence,
    )
