"""The real hub beside its model: every step of an order in a real database too, and both must say the same after each.

Real here: ``commands/{services,orders,results}.py``, warrants, audit and alerts, over SQLite, one transaction a step, as
the bridge and the web process run them. The bridge's own thread is not: the kills campaign runs that.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final
from unittest.mock import patch

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub import migrations
from cloud_hub.commands import orders, results, services
from cloud_hub.commands.acts import Act
from cloud_hub.commands.orders import Hop
from cloud_hub.commands.warrants import Warrant
from cloud_hub.db import make_engine, make_sessions
from cloud_hub.errors import DoorBusy, LockedDown, OutcomeUnknown, TooMany
from cloud_hub.models import Alert, ApiToken, Command, CommandStep, Door, Station, StationStatus
from cloud_hub.models.access import Role
from cloud_hub.models.command import CommandState as S
from firmware_config.signing import Verifier
from firmware_config.vocabulary import DoorMode
from firmware_config.wire import TIMED, Birth, Challenge, Heartbeat, Reply, Result, Verb
from tests.faults.model.broker import Letter
from tests.faults.model.hub import NOON, ModelHub, Row
from tests.faults.model.machine import OPERATORS
from tests.faults.model.truth import Truth
from tests.faults.model.world import DOORS, EVERY_DOOR, Violation
from tests.support.scratch import lasting

REFUSALS: Final = {
    DoorBusy: "busy",
    OutcomeUnknown: "outcome_unknown",
    LockedDown: "locked_down",
    TooMany: "too_many",
}


@cache
def database() -> sessionmaker[Session]:
    """One for the process, with the stations, doors and programs of the model."""
    engine = make_engine(f"sqlite:///{lasting('yz-twin-') / 'hub.db'}")
    migrations.upgrade(engine)
    sessions = make_sessions(engine)
    with sessions.begin() as session:
        for name in DOORS:
            session.add(
                Station(
                    id=name, name=name, region="", time_zone="UTC", public_key="-", created_at=NOON, retired_at=None
                )
            )  # fmt: skip
        session.flush()
        for name in DOORS:
            session.add(StationStatus(station_id=name, presence="unknown", presence_since=NOON))
        for station, door in EVERY_DOOR:
            session.add(
                Door(
                    station_id=station, id=door, lock_kind="fail_secure", state="locked", relay=False,
                    contact_open=False, reported_at=NOON,
                )
            )  # fmt: skip
        for actor in OPERATORS:
            name = actor.partition(":")[2]
            session.add(
                ApiToken(
                    name=name, token_hash=name.ljust(64, "0"), role=Role.OPERATOR.value, created_at=NOON, owner=None,
                    used_at=None, revoked_at=None,
                )
            )  # fmt: skip
    return sessions


class TwinHub(ModelHub):
    """Does each step twice and compares."""

    def __init__(
        self,
        truth: Truth,
        *,
        keys: Mapping[str, Verifier],
        post: Callable[[Letter], int],
        tally: Counter[str],
    ) -> None:
        super().__init__(truth, keys=keys, post=post, tally=tally)
        self._sessions = database()
        with self._sessions.begin() as session:
            for table in (CommandStep, Command, Alert):
                session.execute(delete(table))
            session.execute(update(Door).values(mode=DoorMode.NORMAL.value))
            session.execute(update(ApiToken).values(revoked_at=None))

    def click(
        self,
        place: tuple[str, str],
        verb: Verb = "unlock",
        *,
        cmd_id: str,
        actor: str,
        length: int,
        confirm: bool = True,
    ) -> str:
        answer = super().click(place, verb, cmd_id=cmd_id, actor=actor, length=length, confirm=confirm)
        act = Act(
            station_id=place[0], door_id=place[1], reason="model", verb=verb, confirm_unknown=confirm,
            pulse_ms=length if verb == "unlock" else 0, duration_s=length if verb in TIMED else 0,
        )  # fmt: skip
        with patch.object(os, "urandom", return_value=bytes.fromhex(cmd_id)):
            real = self._request(act, actor)
        if real != answer:
            raise Violation(f"twin: click of {place} {verb}: hub {real}, model {answer}")
        self._compare("click")
        return answer

    def deliver(self, letter: Letter) -> None:
        super().deliver(letter)
        self._compare(f"deliver {letter.topic}")

    def look(self) -> None:
        super().look()
        self._compare("look")

    def authorise(self, row: Row, challenge: Challenge) -> bool:
        with self._begin() as session:
            for actor in OPERATORS:
                revoked_at = self.now if actor in self.revoked else None
                name = actor.partition(":")[2]
                session.execute(update(ApiToken).where(ApiToken.name == name).values(revoked_at=revoked_at))
            hops = [Hop(S.CHALLENGED, self.now, {})]
            real = orders.authorise(session, row.id, challenge, now=self.now, hops=hops)
        allowed = super().authorise(row, challenge)
        if allowed is not (real is S.AUTHORISED):
            raise Violation(f"twin: authorise {row.id}: hub {real}, model {allowed}")
        return allowed

    def _request(self, act: Act, actor: str) -> str:
        try:
            with self._begin() as session:
                services.request(session, act, Warrant(actor), now=self.now)
        except tuple(REFUSALS) as refusal:
            return REFUSALS[type(refusal)]
        return "ok"

    def _send(self, row: Row) -> str | None:
        code = super()._send(row)
        if code is None:
            with self._begin() as session:
                orders.progress(session, row.id, [Hop(S.SENT, self.now, {})])
        return code

    def _refuse(self, row: Row, state: S, code: str) -> None:
        with self._begin() as session:
            orders.refuse(session, row.id, state, code=code, now=self.now)
        super()._refuse(row, state, code)

    def _expire(self) -> None:
        with self._begin() as session:
            orders.expire(session, now=self.now)
        super()._expire()

    def _heard(self, body: Birth | Heartbeat) -> None:
        super()._heard(body)
        with self._begin() as session:
            for (station, door), mode in self.modes.items():
                place = (Door.station_id == station, Door.id == door)
                session.execute(update(Door).where(*place).values(mode=mode.value))

    def _lose_store(self, station: str, install_id: str | None) -> None:
        with self._begin() as session:
            results.store_lost(session, station_id=station, install_id=str(install_id), now=self.now)
        super()._lose_store(station, install_id)

    def _apply(self, row: Row, result: Result) -> None:
        with self._begin() as session:
            results.apply(session, result, now=self.now)
        super()._apply(row, result)

    def _reply(self, reply: Reply) -> None:
        with self._begin() as session:
            results.reply(session, reply, now=self.now)
        super()._reply(reply)

    def _begin(self) -> "_Writing":
        return _Writing(self)

    def _compare(self, after: str) -> None:
        self._tally["steps compared"] += 1
        columns = (Command.id, Command.state, Command.final, Command.code, Command.install_id)
        with self._sessions() as session:
            real = {row[0]: tuple(row)[1:] for row in session.execute(select(*columns)).all()}
            modes = {(door.station_id, door.id): door.mode for door in session.scalars(select(Door))}
        for row in self.rows.values():
            model = (row.state.value, row.final, row.code, row.install_id)
            if real.pop(row.id, None) != model:
                raise Violation(f"twin: after {after}: {row.id}: the hub has another row than {model}")
        if real:
            raise Violation(f"twin: after {after}: the hub has orders that the model has not: {sorted(real)}")
        for place, mode in self.modes.items():
            if modes[place] != mode.value:
                raise Violation(f"twin: after {after}: {place}: hub {modes[place]}, model {mode}")

    def live_rows(self) -> dict[str, dict[str, object]]:
        """What the bridge would have written of each station's presence."""
        lives = {station: self._watch.get(station) for station in DOORS}
        return {
            station: {
                "presence": live.presence.value,
                "heartbeat_at": live.heartbeat_at,
                "interval_s": live.interval_s,
                "boot_id": live.boot_id,
                "conn_no": live.conn_no,
                "install_id": live.install_id,
            }
            for station, live in lives.items()
        }


class _Writing:
    """A transaction that begins with presence as the model knows it."""

    def __init__(self, hub: TwinHub) -> None:
        self._hub = hub
        self._context = database().begin()

    def __enter__(self) -> Session:
        session = self._context.__enter__()
        for station, row in self._hub.live_rows().items():
            session.execute(update(StationStatus).where(StationStatus.station_id == station).values(**row))
        return session

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)  # type: ignore[arg-type]
