"""Joins the kiosk: its page, and the sessions that people enrol and withdraw by. A part of ``station_agent.wiring``."""

import logging
import queue
from collections.abc import Callable
from contextlib import ExitStack

from firmware_config.signing import Signer
from firmware_config.station import StationConfig
from station_agent.admission import Admission
from station_agent.clock import Clock
from station_agent.errors import AgentError
from station_agent.eyes import Eyes
from station_agent.facts import Fact, PinChosen
from station_agent.kiosk.desk import Desk
from station_agent.kiosk.enrol import Enrolment
from station_agent.kiosk.opening import OpenKiosk
from station_agent.kiosk.pin_choice import PinChoice
from station_agent.ledger import Ledger
from station_agent.link.link import Link
from station_agent.loop import ControlLoop
from station_agent.people.enrolling import Enrolling
from station_agent.people.erasing import Eraser
from station_agent.people.proofs import Proofs
from station_agent.people.registrar import Registrar
from station_agent.store.credentials import Credentials
from station_agent.store.roster import RosterStore
from station_agent.store.store import Store

log = logging.getLogger(__name__)


def join_enrolment(
    parts: ExitStack,
    config: StationConfig,
    *,
    eyes: Eyes,
    eraser: Eraser,
    signer: Signer,
    credentials: Credentials,
    roster: RosterStore,
    clock: Clock,
    inbox: queue.SimpleQueue[Fact],
    ledger: Ledger,
    on_disk: Callable[[float], bool],
) -> Enrolment:
    """Sessions at the kiosk: enrolment, withdrawal, and the choice of a PIN by whoever has proven who they are."""
    enrolling = Enrolling(
        station=config.station,
        proofs=Proofs(
            roster=lambda: roster.current,
            counts=credentials,
            used=eyes,
            clock=clock,
            put=inbox.put,
            record=ledger.record,
        ),
        registrar=Registrar(
            station=config.station,
            faces=eyes,
            signer=signer,
            clock=clock,
            roster_version=lambda: roster.current.version if roster.current else 0,
            put=inbox.put,
            record=ledger.record,
            on_disk=on_disk,
        ),
        withdrawals=eraser,
        faces=eyes,
        roster=lambda: roster.current,
        clock=clock,
        record=ledger.record,
    )
    enrolling.start()
    parts.callback(enrolling.close)
    choice = PinChoice(
        sessions=enrolling,
        pins=credentials,
        roster=lambda: roster.current,
        clock=clock,
        chosen=lambda person: inbox.put(PinChosen(person)),
    )
    return Enrolment(config.kiosk_door, enrolling, choice)


def join_kiosk(
    parts: ExitStack,
    config: StationConfig,
    *,
    clock: Clock,
    inbox: queue.SimpleQueue[Fact],
    loop: ControlLoop,
    admission: Admission,
    link: Link,
    store: Store,
    enrolment: Enrolment,
) -> OpenKiosk | None:
    """The page at the door, where the station file asks for one."""
    if not config.kiosk.enabled:
        return None
    desk = Desk(
        config.kiosk_door,
        clock=clock,
        put=inbox.put,
        snapshot=lambda: loop.snapshot,
        prompts=admission,
        connected=lambda: link.online,
        on_disk=store.barrier,
    )
    try:
        kiosk = OpenKiosk(config, desk=desk, enrolment=enrolment)
    except AgentError:
        # a taken port must not take the door with it; `station-agent doctor` tells of it too
        log.exception("kiosk_not_served")
        return None
    parts.callback(kiosk.close)
    kiosk.start()
    return kiosk
