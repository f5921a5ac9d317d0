"""A disk that is full in the middle of an order: what was said to the hub is still true after a crash."""

from cloud_hub.models.command import CommandState as S
from tests.faults.model.world import World

PLACE = ("st-a00001", "main")


def pulsed(world: World) -> str:
    """An order whose pulse has begun; then the disk is full."""
    cmd_id = world.fresh()
    world.hub.click(PLACE, cmd_id=cmd_id, actor="token:lin", length=500)
    world.hub.look()
    world.settle(20)
    assert world.hub.rows[cmd_id].state is S.PULSING
    world.stations[PLACE[0]].disk.full = True
    return cmd_id


def test_the_end_of_a_pulse_is_not_told_before_the_disk_has_it() -> None:
    world = World()
    cmd_id = pulsed(world)
    world.advance(3_000)
    world.settle()
    assert world.hub.rows[cmd_id].state is S.PULSING
    world.stations[PLACE[0]].disk.full = False
    world.settle()
    assert world.hub.rows[cmd_id].state is S.PULSED_NOT_OPENED


def test_a_crash_on_a_full_disk_makes_no_second_truth() -> None:
    world = World()
    cmd_id = pulsed(world)
    world.advance(12_000)
    world.settle()
    assert world.hub.rows[cmd_id].state is S.UNKNOWN
    world.stations[PLACE[0]].crash(0)
    world.heal(reconnect=True)
    world.check()
    world.check_healed()
    assert world.hub.contradictions == []
    assert (world.hub.rows[cmd_id].state, world.hub.rows[cmd_id].code) == (S.INTERRUPTED, "restarted")


def test_a_refusal_for_want_of_room_is_told_at_once() -> None:
    world = World()
    pulsed(world)
    world.advance(3_000)
    world.settle()
    other = world.fresh()
    world.hub.click((PLACE[0], "back"), cmd_id=other, actor="token:lin", length=500)
    world.hub.look()
    world.settle()
    assert (world.hub.rows[other].state, world.hub.rows[other].code) == (S.REJECTED, "storage_full")
