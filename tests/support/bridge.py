"""A running bridge with a real broker and a real database, and scripted stations for it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.bell import BRIDGE, Ringer
from cloud_hub.bridge.service import Bridge
from cloud_hub.commands import services
from cloud_hub.db import make_engine, make_sessions, utc_now
from cloud_hub.models import (
    Command,
    CommandStep,
    StationStatus,
    User,
)
from cloud_hub.settings import Hub
from cloud_hub.stations.services import register
from firmware_config.signing import Signer, encode_public
from firmware_config.wire import Verb
from tests.support.broker import Broker, MakeBroker
from tests.support.hub import act_at, make_hub, warrant_of
from tests.support.station import ScriptedStation, wait_for

BACKENDS = pytest.mark.parametrize(
    ("make_broker", "database_url"),
    [
        pytest.param("iotcore", "sqlite", id="iotcore-sqlite"),
        pytest.param(
            "mosquitto",
            "postgres",
            id="mosquitto-postgres",
            marks=[pytest.mark.mosquitto, pytest.mark.postgres],
        ),
    ],
    indirect=True,
)
"""Every broker and every database once; which goes with which makes no difference to the bridge."""

STATIONS = ("st-test0001", "st-test0002")
USERS = {"hub": "hub-secret", **dict.fromkeys(STATIONS, "station-secret")}


@dataclass
class Field:
    """A hub with a running bridge, a broker, and stations that can be asked for."""

    hub: Hub
    signer: Signer
    broker: Broker
    sessions: sessionmaker[Session]
    stack: ExitStack
    bridge: Bridge | None = None

    def start_bridge(self) -> None:
        self.bridge = Bridge(self.hub)
        self.bridge.start()
        assert self.bridge.link.wait_connected(10)

    def stop_bridge(self) -> None:
        bridge, self.bridge = self.bridge, None
        if bridge is not None:
            bridge.stop()

    def station(self, name: str = STATIONS[0], *, known: bool = True, online: bool = True) -> ScriptedStation:
        """A scripted station, registered and seen online unless told otherwise."""
        station = ScriptedStation(name, port=self.broker.port, hub_public=encode_public(self.signer.public))
        self.stack.callback(station.die)
        if known:
            with self.sessions.begin() as session:
                register(
                    session,
                    station_id=name,
                    name="测试驿站",
                    region="",
                    time_zone="Asia/Shanghai",
                    public_key=station.public,
                    actor="test",
                    now=utc_now(),
                )
        if online:
            station.connect()
            self.await_presence(name, "online")
            wait_for(lambda: self.status(name).people is not None, what="heartbeat")
        return station

    def await_presence(self, station: str, presence: str, *, within_s: float = 30.0) -> None:
        wait_for(
            lambda: self.status(station).presence == presence, within_s=within_s, what=f"{station} {presence}"
        )

    def status(self, station: str) -> StationStatus:
        with self.sessions() as session:
            return session.get_one(StationStatus, station)

    def all(self, table: type[Any]) -> list[Any]:
        with self.sessions() as session:
            return list(session.scalars(select(table)))

    def count(self, table: type[Any]) -> int:
        with self.sessions() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def unlock(self, *, confirm_unknown: bool = False, ring: bool = True) -> str:
        """Order the door of the first station open, as the console does."""
        return self.order(confirm_unknown=confirm_unknown, ring=ring)

    def order(self, verb: Verb = "unlock", *, ring: bool = True, **more: Any) -> str:
        """Give an order for the door of the first station, as the console does."""
        now = utc_now()
        with self.sessions.begin() as session:
            if session.scalar(select(User)) is None:
                session.add(
                    User(
                        username="lin", password_hash="-", role="operator", language=None,
                        created_at=now, disabled_at=None,
                    )
                )  # fmt: skip
                session.flush()
            warrant = warrant_of(session, "user:lin", now=now)
            command = services.request(session, act_at(STATIONS[0], "main", verb, **more), warrant, now=now)
        if ring:
            ringer = Ringer(self.hub.data_dir / "bells")
            ringer.ring(BRIDGE)
            ringer.close()
        return command.id

    def command(self, command_id: str) -> Command:
        with self.sessions() as session:
            return session.get_one(Command, command_id)

    def await_state(self, command_id: str, state: str, *, within_s: float = 30.0) -> Command:
        def look() -> Command | None:
            command = self.command(command_id)
            return command if command.state == state else None

        found = wait_for(look, within_s=within_s, what=f"state {state}")
        assert found is not None
        return found

    def hops(self, command_id: str) -> list[str]:
        with self.sessions() as session:
            query = (
                select(CommandStep.state).where(CommandStep.command_id == command_id).order_by(CommandStep.id)
            )
            return list(session.scalars(query))

    def hurry(self, command_id: str, *, by_s: float) -> None:
        """Let an order's timer run out sooner."""
        with self.sessions.begin() as session:
            command = session.get_one(Command, command_id)
            command.due_at -= timedelta(seconds=by_s)


MakeField = Callable[..., Field]


@pytest.fixture
def make_field(make_broker: MakeBroker, database_url: str, tmp_path: Path) -> Iterator[MakeField]:
    with ExitStack() as stack:

        def make(*, bridge: bool = True, **presence: float) -> Field:
            broker = make_broker(USERS)
            hub, signer = make_hub(
                tmp_path / "hub", broker_port=broker.port, database_url=database_url, **presence
            )
            engine = make_engine(hub.database_url)
            stack.callback(engine.dispose)
            field = Field(hub, signer, broker, make_sessions(engine), stack)
            stack.callback(field.stop_bridge)
            if bridge:
                field.start_bridge()
            return field

        yield make


@pytest.fixture
def field(make_field: MakeField) -> Field:
    return make_field()
