"""Fault 27 of safety.md: a hundred stations lose the line together and come back: out of step, and with everything they kept."""

import random
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from cloud_hub.db import utc_now
from cloud_hub.models import Event, StationStatus
from cloud_hub.stations.services import register
from firmware_config.signing import encode_public
from tests.faults.crew import Crew
from tests.faults.network import mosquitto_site
from tests.faults.proxy import FaultProxy
from tests.faults.report import Campaign
from tests.faults.site import PASSWORDS, STATION, Site
from tests.faults.truth import violations
from tests.support.station import wait_for
from tests.support.stations import write_station

OUTAGE_S: Final = 6.0
BACK_S: Final = 90.0
KEPT: Final = 5
"""Events of each station during the outage."""

BIN_S: Final = 0.25
CROWDED: Final = 0.25
"""Share of all connections that may come within ``BIN_S``, with twenty stations or more."""

MANY: Final = 20

A_CREW: Final = 25
"""Stations of one process: with more, numbers of its files would pass those that ``select`` takes."""


def run(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` stations, one outage."""
    began_s = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 (a campaign, to be repeated)
    wrong: list[str] = []
    with mosquitto_site(folder, seed=seed, lease_s=15.0) as (broker, site), ExitStack() as stack:
        line = stack.enter_context(FaultProxy(broker.port, seed=seed))
        names = [f"st-reunion{number:03d}" for number in range(n)]
        homes = [_settled(site, folder / name, name, line.port) for name in names]
        crews = [stack.enter_context(Crew(homes[first : first + A_CREW])) for first in range(0, n, A_CREW)]
        for crew in crews:
            crew.connect()
        _await_online(site, names)
        line.cut()
        for crew in crews:
            crew.keep(KEPT, seed=chance.randrange(2**32))
        gone_s = time.monotonic()
        wait_for(lambda: time.monotonic() - gone_s > OUTAGE_S)
        line.accepted_s.clear()
        line.mend()
        back_s = time.monotonic()
        wait_for(
            lambda: all(crew.drained() for crew in crews),
            within_s=BACK_S,
            what="all backlogs to drain",
        )
        drained_s = time.monotonic() - back_s
        _await_online(site, names)
        times = sorted(at_s - back_s for at_s in line.accepted_s)
        wrong += _spread(times, n) + _arrived(site, names) + violations(site)
        figures: dict[str, float | int | str] = {
            "stations": n,
            "connections": len(times),
            "first s": round(times[0], 3),
            "p50 s": round(times[len(times) // 2], 3),
            "last s": round(times[-1], 3),
            f"most within {BIN_S} s": _busiest(times),
            "all drained s": round(drained_s, 2),
        }
    return Campaign("reunion", n, seed, wrong, figures, time.monotonic() - began_s)


def _settled(site: Site, home: Path, name: str, port: int) -> Path:
    """A registered station; at the broker it signs in as the site's own, who may do as much."""
    config, signer = write_station(
        home,
        station=name,
        hub_public=encode_public(site.signer.public),
        port=port,
        password=PASSWORDS[STATION],
    )
    text = config.read_text(encoding="utf-8").replace(f'username = "{name}"', f'username = "{STATION}"')
    config.write_text(text.replace("heartbeat_s = 0.5", "heartbeat_s = 3.0"), encoding="utf-8")
    with site.sessions.begin() as session:
        register(
            session, station_id=name, name=name, region="", time_zone="Asia/Shanghai",
            public_key=encode_public(signer.public), actor="test", now=utc_now(),
        )  # fmt: skip
    return home


def _await_online(site: Site, names: list[str]) -> None:
    def online() -> bool:
        with site.sessions() as session:
            query = select(func.count()).select_from(StationStatus)
            there = session.scalar(
                query.where(StationStatus.station_id.in_(names), StationStatus.presence == "online")
            )
            return there == len(names)

    wait_for(online, within_s=BACK_S, what="all stations online")


def _busiest(times: list[float]) -> int:
    return max(Counter(int(at_s / BIN_S) for at_s in times).values(), default=0)


def _spread(times: list[float], n: int) -> list[str]:
    if n < MANY or _busiest(times) <= CROWDED * len(times):
        return []
    return [f"27: {_busiest(times)} of {len(times)} connections came within {BIN_S} s of each other"]


def _arrived(site: Site, names: list[str]) -> list[str]:
    with site.sessions() as session:
        rows = session.execute(select(Event.station_id, Event.seq).where(Event.station_id.in_(names))).all()
    counts = Counter(station for station, _ in rows)
    return [
        f"27: {name} kept {KEPT} events, {counts[name]} arrived" for name in names if counts[name] != KEPT
    ]
