"""The agent as a process, with real faces and no hub: what its wires do, what it keeps, how it ends."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent import AgentProcess
from tests.support.faces import stranger_picture, worker_picture
from tests.support.stations import new_hub_key, write_station

QUIET = [("relay:main", 0)]
ONE_PULSE = [("relay:main", 0), ("relay:main", 1), ("relay:main", 0)]

PATIENCE_S = 30.0
"""Somebody who is to be denied stays until they are, however slow the machine is."""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    yield from running(tmp_path)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """One agent for tests that change nothing."""
    yield from running(tmp_path_factory.mktemp("steady"))


def running(folder: Path) -> Iterator[AgentProcess]:
    _, public = new_hub_key(folder)
    config, _ = write_station(folder, hub_public=public, door="unlocked_s = 1.0")
    process = AgentProcess(config)
    process.start()
    try:
        yield process
    finally:
        process.stop()


def kept(agent: AgentProcess) -> list[str]:
    """Kinds of the events on disk, in order."""
    with sqlite3.connect(
        f"{(agent.config.parent / 'data' / 'safety.db').as_uri()}?mode=ro", uri=True
    ) as store:
        rows = [row[0] for row in store.execute("SELECT kind FROM event ORDER BY seq")]
    store.close()
    return rows


def test_a_workers_face_opens_the_door_and_a_strangers_does_not(agent: AgentProcess) -> None:
    agent.do(op="enrol", person="p-1", image=str(worker_picture()))
    agent.do(op="show", image=str(stranger_picture()), seconds=PATIENCE_S)
    agent.wait_until(lambda: "access.denied" in kept(agent), within_s=PATIENCE_S)
    assert agent.edges("relay:main") == QUIET
    agent.do(op="clear")
    agent.do(op="walk_through")
    agent.do(op="show", image=str(worker_picture()), seconds=2)
    agent.wait_edges("relay:main", expected=ONE_PULSE)
    agent.wait_edges("contact:main", expected=[("contact:main", 0), ("contact:main", 1), ("contact:main", 0)])


def test_an_erased_person_is_a_stranger_at_once_and_after_a_restart(agent: AgentProcess) -> None:
    agent.do(op="enrol", person="p-1", image=str(worker_picture()))
    assert agent.do(op="erase", person="p-1")["erased"] is True
    agent.kill()
    agent.start()
    agent.do(op="show", image=str(worker_picture()), seconds=PATIENCE_S)
    agent.wait_until(lambda: "access.denied" in kept(agent), within_s=PATIENCE_S)
    assert agent.edges("relay:main")[-1] == ("relay:main", 0)


def test_what_the_socket_has_answered_is_on_disk_even_if_the_power_goes_next(agent: AgentProcess) -> None:
    for _ in range(5):
        agent.do(op="contact", open=True)
        agent.do(op="contact", open=False)
    agent.kill()
    assert kept(agent) == ["station.started", *["door.forced", "door.closed"] * 5]


def test_fire_releases_the_door_and_holds_it_released(agent: AgentProcess) -> None:
    agent.do(op="fire", active=True)
    agent.wait_edges("relay:main", expected=[("relay:main", 0), ("relay:main", 1)])
    agent.do(op="exit")
    agent.do(op="contact", open=True)
    agent.do(op="contact", open=False)
    assert agent.edges("relay:main") == [("relay:main", 0), ("relay:main", 1)]
    agent.do(op="fire", active=False)
    agent.wait_edges("relay:main", expected=ONE_PULSE)


def test_sigterm_releases_a_relay_in_mid_pulse_and_is_no_failure(agent: AgentProcess) -> None:
    agent.do(op="exit")
    agent.wait_edges("relay:main", expected=[("relay:main", 0), ("relay:main", 1)])
    assert agent.stop() == 0
    assert agent.edges("relay:main") == ONE_PULSE
    assert kept(agent)[-1] == "station.stopped"


def test_a_second_agent_on_the_same_data_is_refused_by_name(agent: AgentProcess, tmp_path: Path) -> None:
    second = AgentProcess(agent.config)
    second.control = tmp_path / "other.sock"
    second.trace_file = tmp_path / "other.jsonl"
    with pytest.raises(AssertionError, match=r"safety\.db is in use by process"):
        second.start()
    assert second.stop() == 1


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ({"op": "open_sesame"}, "`op` must be one of"),
        ({"op": "show", "image": "/nowhere.jpg"}, "/nowhere.jpg: cannot be read"),
        ({"op": "show", "image": __file__}, "not a picture"),
        ({"op": "show", "image": "x", "seconds": -1}, "`seconds` must be above 0"),
        ({"op": "clock", "synced": 1}, "`synced` must be true or false"),
        ({"op": "contact", "open": "yes"}, "`open` must be true or false"),
        ({"op": "contact", "open": True, "door": "side"}, "no door 'side'; there are main"),
        ({"op": "sensor", "name": "sound", "value": 1}, "no sensor 'sound'"),
        ({"op": "enrol", "person": "Eileen Collins", "image": str(worker_picture())}, "is not a person's id"),
    ],
)
def test_a_bad_order_on_the_socket_is_told_what_is_wrong(
    steady: AgentProcess, order: dict[str, object], told: str
) -> None:
    answer = steady.ask(**order)
    assert answer["ok"] is False
    assert told in answer["error"]
    assert steady.do(op="status")["doors"] == {"main": "locked"}
