"""Which facts raise and clear which alerts."""

import pytest

from cloud_hub.alerts import rules
from cloud_hub.alerts.rules import CLEARS, NO_ALERT, RULES, Clear, Raise, key_of, of_event, standing
from cloud_hub.models.alert import Severity
from firmware_config.vocabulary import DoorState, EventKind
from firmware_config.wire import DoorStatus, OccupancyStatus

NOBODY = OccupancyStatus(estimate=0, low=0, high=0, capacity=4)


def test_every_kind_of_event_is_decided_once() -> None:
    tables = [set(RULES), set(CLEARS), set(NO_ALERT), {EventKind.OCCUPANCY_CHANGED}]
    assert set().union(*tables) == set(EventKind)
    assert sum(len(table) for table in tables) == len(EventKind)


@pytest.mark.parametrize(
    ("kind", "data", "key", "severity", "latching"),
    [
        pytest.param(EventKind.DOOR_FORCED, {"door": "main"}, "door.forced:main", Severity.CRITICAL, True, id="forced"),
        pytest.param(EventKind.DOOR_HELD_OPEN, {"door": "main"}, "door.held_open:main", Severity.MAJOR, False, id="held"),
        pytest.param(EventKind.ACCESS_DURESS, {"door": "main"}, "access.duress:main", Severity.CRITICAL, True, id="duress"),
        pytest.param(EventKind.ACCESS_LOCKED_OUT, {"door": "main"}, "access.locked_out:main", Severity.MINOR, True, id="locked-out"),
        pytest.param(EventKind.HELP_REQUESTED, {"door": "main"}, "help.requested:main", Severity.MAJOR, True, id="help"),
        pytest.param(EventKind.FIRE_ACTIVE, {}, "fire.active:", Severity.CRITICAL, True, id="fire"),
        pytest.param(EventKind.TAMPER_OPENED, {}, "tamper.opened:", Severity.CRITICAL, True, id="tamper"),
        pytest.param(EventKind.CAMERA_LOST, {"camera": "front"}, "camera.lost:front", Severity.MAJOR, False, id="camera"),
        pytest.param(EventKind.SENSOR_OUT_OF_RANGE, {"sensor": "room"}, "sensor.out_of_range:room", Severity.MAJOR, False, id="sensor"),
        pytest.param(EventKind.MAINS_LOST, {}, "mains.lost:", Severity.MAJOR, False, id="mains"),
        pytest.param(EventKind.ORDER_REFUSED, {"reason": "bad_signature"}, "order.refused:bad_signature", Severity.MINOR, True, id="refused"),
    ],
)  # fmt: skip
def test_a_fact_raises_one_alert_about_its_source(
    kind: EventKind, data: dict[str, str], key: str, severity: Severity, *, latching: bool
) -> None:
    (effect,) = of_event(kind, dict(data))
    assert isinstance(effect, Raise)
    assert (key_of("st", effect), effect.severity, effect.latching) == (f"st:{key}", severity, latching)


@pytest.mark.parametrize(
    ("kind", "data", "keys"),
    [
        pytest.param(EventKind.DOOR_CLOSED, {"door": "main"}, ["st:door.forced:main", "st:door.held_open:main"], id="door"),
        pytest.param(EventKind.CAMERA_RESTORED, {"camera": "front"}, ["st:camera.lost:front"], id="camera"),
        pytest.param(EventKind.SENSOR_IN_RANGE, {"sensor": "room"}, ["st:sensor.out_of_range:room"], id="range"),
        pytest.param(EventKind.SENSOR_RESTORED, {"sensor": "room"}, ["st:sensor.lost:room"], id="sensor"),
        pytest.param(EventKind.MAINS_RESTORED, {}, ["st:mains.lost:"], id="mains"),
        pytest.param(EventKind.FIRE_CLEARED, {}, ["st:fire.active:"], id="fire"),
        pytest.param(EventKind.TAMPER_CLOSED, {}, ["st:tamper.opened:"], id="tamper"),
        pytest.param(EventKind.DOOR_CONTACT_RESTORED, {"door": "main"}, ["st:door.contact_fault:main"], id="contact"),
    ],
)  # fmt: skip
def test_the_opposite_fact_clears_what_was_raised(
    kind: EventKind, data: dict[str, str], keys: list[str]
) -> None:
    effects = of_event(kind, dict(data))
    assert all(isinstance(effect, Clear) for effect in effects)
    assert [key_of("st", effect) for effect in effects] == keys


def test_whatever_clears_names_the_same_key_as_what_raised() -> None:
    for clearing, cleared in CLEARS.items():
        data = {"door": "main", "camera": "front", "sensor": "room", "reason": "x"}
        raised = {key_of("st", effect) for kind in cleared for effect in of_event(kind, dict(data))}
        assert {key_of("st", effect) for effect in of_event(clearing, dict(data))} == raised


@pytest.mark.parametrize(
    ("estimate", "capacity", "raises"),
    [
        pytest.param(5, 4, True, id="over"),
        pytest.param(4, 4, False, id="full"),
        pytest.param(9, 0, False, id="no-capacity-set"),
    ],
)
def test_more_people_than_the_room_holds_is_an_alert(estimate: int, capacity: int, *, raises: bool) -> None:
    (effect,) = of_event(EventKind.OCCUPANCY_CHANGED, {"estimate": estimate, "capacity": capacity})
    assert isinstance(effect, Raise if raises else Clear)
    assert effect.kind == "occupancy.over_capacity"


def test_an_occupancy_without_numbers_says_nothing() -> None:
    assert of_event(EventKind.OCCUPANCY_CHANGED, {"estimate": "many"}) == ()


def test_a_source_that_is_no_name_counts_as_the_station_itself() -> None:
    for odd in ("", "a" * 40, "A:B", "x y", 7, None):
        assert rules.source_of({"door": odd}, "door") == ""


def test_every_key_fits_its_column() -> None:
    kinds = [rule.value for rule in RULES] + [
        rules.SILENT,
        rules.STORE_LOST,
        rules.CONTRADICTED,
        rules.OVER_CAPACITY,
        rules.ROSTER_BEHIND,
        rules.LIVENESS_OFF,
        rules.ERASURE_UNRECEIPTED,
    ]
    longest = max(key_of("st-" + "x" * 32, Clear(kind, "y" * 32)) for kind in kinds)
    assert len(longest) <= 120
    assert max(len(kind) for kind in kinds) <= 40


def test_a_heartbeat_ensures_what_still_holds_and_never_counts_it() -> None:
    door = DoorStatus(id="main", state=DoorState.FORCED, relay=False, contact_open=True)
    crowd = OccupancyStatus(estimate=6, low=5, high=7, capacity=4)
    effects = standing((door,), {"front": "lost"}, crowd)
    assert [(effect.kind, getattr(effect, "counts", None)) for effect in effects] == [
        ("door.forced", False), ("camera.lost", False), ("occupancy.over_capacity", False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "engine", "stands"),
    [
        pytest.param("off", "opencv/0123", True, id="faces open doors unchecked"),
        pytest.param("off", "", False, id="entry by face is off"),
        pytest.param("passive", "opencv/0123", False, id="checked by the network"),
        pytest.param("both", "opencv/0123", False, id="checked by both"),
    ],
)
def test_a_birth_says_whether_liveness_is_off(mode: str, engine: str, *, stands: bool) -> None:
    effect = rules.liveness(mode, engine)
    assert effect.kind == "liveness.off"
    assert isinstance(effect, Raise) is stands
    if isinstance(effect, Raise):
        assert (effect.severity, effect.latching, effect.holds, effect.counts) == (
            "minor",
            False,
            True,
            False,
        )


def test_a_heartbeat_clears_what_is_over() -> None:
    door = DoorStatus(id="main", state=DoorState.LOCKED, relay=False, contact_open=False)
    assert standing((door,), {"front": "ok"}, NOBODY) == (
        Clear("door.forced", "main", ordered=True), Clear("door.held_open", "main", ordered=True),
        Clear("camera.lost", "front", ordered=True), Clear("occupancy.over_capacity", ordered=True),
    )  # fmt: skip


def test_a_contact_that_cannot_be_trusted_clears_nothing() -> None:
    door = DoorStatus(id="main", state=DoorState.UNSENSED, relay=False, contact_open=None)
    assert standing((door,), {}, NOBODY) == (Clear("occupancy.over_capacity", ordered=True),)
