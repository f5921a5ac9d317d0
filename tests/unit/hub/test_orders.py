"""Recording an order, and the hub's steps with it."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from cloud_hub.commands import orders, services
from cloud_hub.commands.acts import Act
from cloud_hub.commands.orders import Hop
from cloud_hub.errors import CallerError, DoorBusy, Invalid, NotFound, OutcomeUnknown, TooMany
from cloud_hub.models import ApiToken, AuditEntry, Command, CommandStep, Door, Station, StationStatus, User
from cloud_hub.models.access import Role
from cloud_hub.models.command import CommandState as S
from firmware_config.wire import Challenge
from tests.support.hub import BOOT, INSTALL, OPERATOR, STATION, World, warrant_of


def challenge(command: Command) -> Challenge:
    return Challenge(
        station=STATION, cmd_id=command.id, door=command.door_id, verb="unlock", pulse_ms=3_000, boot_id=BOOT,
        nonce="9" * 32,
    )  # fmt: skip


def authorise(world: World, command: Command) -> S | None:
    with world.sessions.begin() as session:
        hops = [Hop(S.SENT, world.now, {}), Hop(S.CHALLENGED, world.now, {})]
        return orders.authorise(session, command.id, challenge(command), now=world.now, hops=hops)


def finish(world: World, command: Command, state: S = S.DEVICE_OFFLINE) -> None:
    with world.sessions.begin() as session:
        assert orders.refuse(session, command.id, state, code="test", now=world.now)


def read(sessions: sessionmaker[Session], command: Command) -> Command:
    with sessions() as session:
        return session.get_one(Command, command.id)


def change(world: World, table: type[Any], **values: Any) -> None:
    with world.sessions.begin() as session:
        session.execute(update(table).values(**values))


def test_an_order_begins_requested_and_is_due_in_3_seconds(world: World) -> None:
    command = world.request()
    assert (command.state, command.final) == (S.REQUESTED, False)
    assert command.due_at - world.now == timedelta(seconds=3)


def order(session: Session, world: World, **changes: Any) -> Command:
    fields = {"station_id": STATION, "door_id": "main", "reason": "delivery", "pulse_ms": 3_000, **changes}
    return services.request(
        session, Act(**fields), warrant_of(session, OPERATOR, now=world.now), now=world.now
    )


@pytest.mark.parametrize("missing", [{"station_id": "st-none0001"}, {"door_id": "back"}])
def test_what_is_not_there_is_not_found(world: World, session: Session, missing: dict[str, str]) -> None:
    with pytest.raises(NotFound):
        order(session, world, **missing)


def test_a_retired_station_takes_no_orders(world: World, session: Session) -> None:
    change(world, Station, retired_at=world.now)
    with pytest.raises(NotFound):
        order(session, world)


def test_reason_and_pulse_are_checked_together(world: World, session: Session) -> None:
    with pytest.raises(Invalid) as caught:
        order(session, world, reason=" ", pulse_ms=60_000)
    assert [fault["field"] for fault in caught.value.extra["errors"]] == ["reason", "pulse_ms"]


def test_a_door_with_an_order_under_way_is_busy(world: World) -> None:
    command = world.request()
    with pytest.raises(DoorBusy) as caught:
        world.request()
    assert caught.value.extra["command"] == command.id


def test_after_a_final_state_a_new_order_is_taken(world: World) -> None:
    finish(world, world.request())
    assert world.request().state == S.REQUESTED


def test_while_the_outcome_is_unknown_a_new_order_needs_a_word(world: World) -> None:
    first = world.request()
    assert authorise(world, first) is S.AUTHORISED
    world.forward(seconds=8)
    with world.sessions.begin() as session:
        orders.expire(session, now=world.now)
    with pytest.raises(OutcomeUnknown) as caught:
        world.request()
    assert caught.value.extra["command"] == first.id
    second = world.request(confirm_unknown=True)
    with pytest.raises(DoorBusy):
        world.request(confirm_unknown=True)
    assert authorise(world, second) is S.AUTHORISED


def test_a_door_takes_3_orders_a_minute(world: World) -> None:
    for n in range(3):
        finish(world, world.request(actor=f"user:{n}"))
        world.forward(seconds=10)
    with pytest.raises(TooMany) as caught:
        world.request(actor="user:new")
    assert caught.value.extra["retry_after_s"] == 30
    world.forward(seconds=30)
    world.request(actor="user:new")


def test_an_operator_gives_6_orders_a_minute(world: World) -> None:
    change(world, Door, id="d0")
    with world.sessions.begin() as session:
        for n in range(1, 7):
            session.add(
                Door(
                    station_id=STATION, id=f"d{n}", lock_kind="", state="locked", relay=False, contact_open=False,
                    reported_at=world.now,
                )
            )  # fmt: skip
    for n in range(6):
        world.request(door=f"d{n}")
    with pytest.raises(TooMany) as caught:
        world.request(door="d6")
    assert caught.value.extra["retry_after_s"] == 60
    world.request(door="d6", actor="user:other")


def test_of_many_clicks_at_once_one_is_taken(world: World) -> None:
    taken: list[str] = []
    refused: list[type[CallerError]] = []
    barrier = threading.Barrier(10)

    def click() -> None:
        barrier.wait(10)
        for _ in range(10):
            try:
                taken.append(world.request().id)
            except CallerError as error:
                refused.append(type(error))

    threads = [threading.Thread(target=click) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == 1
    assert refused == [DoorBusy] * 99


def test_go_comes_with_its_row_and_its_audit_entry_in_one_transaction(world: World) -> None:
    command = world.request()
    assert authorise(world, command) is S.AUTHORISED
    stored = read(world.sessions, command)
    assert (stored.state, stored.boot_id, stored.install_id) == (S.AUTHORISED, BOOT, INSTALL)
    assert stored.due_at - world.now == timedelta(seconds=8)
    with world.sessions() as session:
        steps = session.scalars(select(CommandStep.state).order_by(CommandStep.id)).all()
        entry = session.scalars(select(AuditEntry).where(AuditEntry.target == command.id)).one()
    assert steps == ["REQUESTED", "SENT", "CHALLENGED", "AUTHORISED"]
    assert (entry.actor, entry.action) == (OPERATOR, "door:unlock:authorised")
    assert entry.detail["reason"] == "delivery"


def test_nobody_authorises_the_same_order_twice(world: World) -> None:
    command = world.request()
    assert authorise(world, command) is S.AUTHORISED
    assert authorise(world, command) is None


def test_an_order_that_is_over_is_not_authorised(world: World) -> None:
    command = world.request()
    finish(world, command)
    assert authorise(world, command) is None


@pytest.mark.parametrize(
    ("table", "values", "code"),
    [
        pytest.param(User, {"role": Role.VIEWER.value}, "not_authorised", id="role-taken"),
        pytest.param(User, {"username": "gone"}, "not_authorised", id="account-gone"),
        pytest.param(Station, {"retired_at": "now"}, "station_retired", id="station-retired"),
        pytest.param(User, {"disabled_at": "now"}, "not_authorised", id="disabled"),
    ],
)
def test_a_right_lost_on_the_way_ends_the_order(
    world: World, table: type[Any], values: dict[str, Any], code: str
) -> None:
    command = world.request()
    change(world, table, **{key: world.now if value == "now" else value for key, value in values.items()})
    assert authorise(world, command) is S.REJECTED
    stored = read(world.sessions, command)
    assert (stored.state, stored.code, stored.final) == (S.REJECTED, code, True)


@pytest.mark.parametrize(("role", "revoked", "verdict"), [("operator", False, S.AUTHORISED), ("viewer", False, S.REJECTED), ("operator", True, S.REJECTED)])  # fmt: skip
def test_a_token_needs_its_right_at_the_end_too(
    world: World, role: str, verdict: S, *, revoked: bool
) -> None:
    with world.sessions.begin() as session:
        session.add(
            ApiToken(
                name="program", token_hash="-", role=role, created_at=world.now, used_at=None,
                revoked_at=world.now if revoked else None,
            )
        )  # fmt: skip
    assert authorise(world, world.request(actor="token:program")) is verdict


@pytest.mark.parametrize("actor", ["hub", "station:st-test0001", "user:", "nobody"])
def test_only_people_and_programs_open_doors(world: World, actor: str) -> None:
    assert authorise(world, world.request(actor=actor)) is S.REJECTED


@pytest.mark.parametrize(
    ("values", "after_s", "code"),
    [
        pytest.param({}, 0, None, id="online"),
        pytest.param({"presence": "offline"}, 0, "offline", id="offline"),
        pytest.param({"presence": "unknown"}, 0, "unknown", id="unknown"),
        pytest.param({}, 15, None, id="heartbeat-15-s-old"),
        pytest.param({}, 15.001, "heartbeat_old", id="heartbeat-older"),
        pytest.param({"heartbeat_at": None}, 0, "heartbeat_old", id="never-heard"),
    ],
)
def test_nothing_is_sent_to_a_station_that_is_not_there(
    world: World, values: dict[str, Any], after_s: float, code: str | None
) -> None:
    command = world.request()
    if values:
        change(world, StationStatus, **values)
    world.forward(seconds=after_s)
    with world.sessions() as session:
        assert orders.unreachable(session, command, now=world.now) == code


@pytest.mark.parametrize(
    ("heartbeat_age_s", "interval_s", "state"),
    [
        pytest.param(4.0, 5.0, S.NO_CHALLENGE, id="heartbeats-as-they-should-be"),
        pytest.param(9.9, 5.0, S.NO_CHALLENGE, id="one-missed"),
        pytest.param(10.1, 5.0, S.DEVICE_OFFLINE, id="two-missed"),
        pytest.param(16.0, 60.0, S.DEVICE_OFFLINE, id="too-old-anyway"),
    ],
)
def test_silence_after_an_order_is_named_by_the_heartbeats(
    world: World, heartbeat_age_s: float, interval_s: float, state: S
) -> None:
    command = world.request()
    with world.sessions.begin() as session:
        orders.progress(session, command.id, [Hop(S.SENT, world.now, {})])
    world.forward(seconds=3)
    change(
        world,
        StationStatus,
        interval_s=interval_s,
        heartbeat_at=world.now - timedelta(seconds=heartbeat_age_s),
    )
    with world.sessions.begin() as session:
        (moved,) = orders.expire(session, now=world.now)
    assert (moved.state, moved.final) == (state, True)


def test_an_unknown_order_of_a_store_that_is_gone_is_unknown_for_ever_at_once(world: World) -> None:
    command = world.request()
    authorise(world, command)
    change(world, StationStatus, install_id="2" * 32)
    world.forward(seconds=8)
    with world.sessions.begin() as session:
        orders.expire(session, now=world.now)
    assert read(world.sessions, command).state == S.UNKNOWN_FINAL


def test_the_next_timer_is_the_earliest(world: World) -> None:
    world.request()
    with world.sessions() as session:
        assert orders.next_due(session) == world.now + timedelta(seconds=3)


@pytest.mark.parametrize("back", [{"minutes": 2}, {"hours": 1}, {"days": 30}], ids=str)
def test_a_clock_put_back_does_not_hold_a_door_with_an_order_that_never_ends(
    world: World, back: dict[str, float]
) -> None:
    command = world.request()
    world.now -= timedelta(**back)
    with world.sessions.begin() as session:
        (moved,) = orders.expire(session, now=world.now)
    assert (moved.id, moved.final) == (command.id, True)


def test_a_clock_put_back_after_go_makes_the_outcome_unknown(world: World) -> None:
    command = world.request()
    authorise(world, command)
    world.now -= timedelta(hours=1)
    with world.sessions.begin() as session:
        orders.expire(session, now=world.now)
        assert orders.expire(session, now=world.now) == []
        assert orders.next_due(session) is None
    assert read(world.sessions, command).state == S.UNKNOWN


def test_a_heartbeat_from_before_the_clock_was_put_back_lets_nothing_out(world: World) -> None:
    command = world.request()
    world.now -= timedelta(minutes=1)
    with world.sessions() as session:
        assert orders.unreachable(session, command, now=world.now) == "heartbeat_old"
