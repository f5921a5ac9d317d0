"""A simulated station with a kiosk, people on its roster and PINs, without a broker: everything at the door works anyway."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firmware_config.roster import Group, RosterPerson, seal
from firmware_config.signing import Verifier
from station_agent.clock import SystemClock
from station_agent.store.credentials import Credentials
from station_agent.store.roster import RosterStore
from tests.support.agent import AgentProcess
from tests.support.parts import free_port
from tests.support.rosters import ALWAYS, STATION, document
from tests.support.stations import new_hub_key, write_station

NEVER = Group(id="never", weekly=[[]] * 7)
ANNA = RosterPerson(id="anna", number="1042", groups=["always"], face=True, consent=1)
ANNAS_PIN, ANNAS_SILENT_PIN = "580273", "917264"


def station_with_kiosk(folder: Path, *people: RosterPerson, door: str = "", **roster: Any) -> AgentProcess:
    """Write the station's files, its roster among them. Not yet started.

    Args:
        folder: empty.
        people: on the roster.
        door: more about the door.
        roster: more of the roster's document.
    """
    signer, public = new_hub_key(folder)
    config, _ = write_station(
        folder,
        hub_public=public,
        door=door or "unlocked_s = 1.0",
        kiosk=f'phone = "010-12345678"\nport = {free_port()}',
    )
    clock = SystemClock()
    store = RosterStore(folder / "data" / "roster.bin", verifier=Verifier.of(public), station=STATION)
    made = document(*people, groups=[ALWAYS, NEVER], issued_ms=clock.stamp().wall_ms, **roster)
    for payload in seal(made, signer):
        store.take(payload, clock.stamp())
    return AgentProcess(config)


def set_pins(agent: AgentProcess, pins: Mapping[str, tuple[str, str | None]]) -> None:
    """Set PINs, and silent ones, by person, while the agent does not run."""
    data = agent.config.parent / "data"
    credentials = Credentials(
        data / "credentials.db", data / "pin.key", station=STATION, at=SystemClock().stamp()
    )
    try:
        for person, (pin, silent) in pins.items():
            assert credentials.set_pin(person, pin, number=None, duress=silent) is None
    finally:
        credentials.close()


def kiosk_url(agent: AgentProcess) -> str:
    """Where a running agent serves its kiosk."""
    return str(agent.do(op="status")["kiosk"])
