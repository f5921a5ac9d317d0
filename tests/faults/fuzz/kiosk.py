"""The kiosk's JSON, by the whole application: whatever is posted, an answer below 500."""

import json
from collections.abc import Callable
from typing import Final

from firmware_config.station import load_station
from firmware_config.vocabulary import DoorState
from firmware_config.wire import DoorStatus, OccupancyStatus
from station_agent import facts
from station_agent.kiosk.app import Kiosk, create_app
from station_agent.kiosk.desk import Desk
from station_agent.kiosk.voice import Silence
from station_agent.loop import Snapshot
from tests.support.hand_clock import HandClock
from tests.support.scratch import lasting
from tests.support.stations import new_hub_key, write_station

PORT: Final = 4711
SEEDS: Final = (json.dumps({"number": "1042", "pin": "135790"}).encode(),)
FAILED: Final = 500


class _Agent:
    """Judges every PIN as wrong."""

    def __init__(self) -> None:
        self.prompts: dict[str, str | None] = {"main": None}
        self.prompted_s = {"main": 0.0}

    def put(self, fact: facts.Fact) -> None:
        if isinstance(fact, facts.PinTyped):
            fact.done(facts.PinAnswer("wrong_pin"))

    def snapshot(self) -> Snapshot:
        door = DoorStatus(id="main", state=DoorState.LOCKED, relay=False, contact_open=False)
        nobody = OccupancyStatus(estimate=0, low=0, high=0, capacity=4)
        return Snapshot(doors=[door], occupancy=nobody, cameras={})


def poster(path: str) -> Callable[[bytes], object]:
    """Posts to one address of a kiosk."""
    folder = lasting("yz-kiosk-")
    _, public = new_hub_key(folder)
    config = load_station(write_station(folder, hub_public=public, kiosk="")[0]).config
    agent = _Agent()
    desk = Desk(
        "main", clock=HandClock(), put=agent.put, snapshot=agent.snapshot, prompts=agent,
        connected=lambda: True, on_disk=lambda _: True,
    )  # fmt: skip
    kiosk = Kiosk(config, desk=desk, enrolment=None, voice=Silence())
    kiosk.port = PORT
    client = create_app(kiosk).test_client()
    host = f"127.0.0.1:{PORT}"

    def post(body: bytes) -> object:
        answer = client.post(
            path,
            data=body,
            headers={"Host": host, "Origin": f"http://{host}"},
            content_type="application/json",
        )
        code = answer.status_code
        answer.close()
        if code >= FAILED:
            raise AssertionError(f"{path} answered {code}")
        return code

    return post
