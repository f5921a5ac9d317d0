"""The one place that picks the parts of an agent, real or simulated, joins them, and takes them apart in order."""

import logging
import os
import queue
import secrets
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from firmware_config.load import ConfigError
from firmware_config.replica import Replica
from firmware_config.signing import Signer, Verifier, load_private_key
from firmware_config.station import Station, StationConfig
from firmware_config.vocabulary import EventKind
from station_agent import AGENT_VERSION
from station_agent.admission import Admission
from station_agent.attempts import Attempts
from station_agent.clock import Clock, SystemClock, machine_run
from station_agent.core.alarm import Alarm
from station_agent.core.commands import Commands
from station_agent.core.consents import Consents, Word
from station_agent.core.occupancy import Occupancy
from station_agent.core.policy import Entries
from station_agent.devices.rack import Rack
from station_agent.devices.watchdog import Watchdog, open_watchdog
from station_agent.doorkeeper import Doorkeeper
from station_agent.eyes import Eyes
from station_agent.facts import Fact, Stopped
from station_agent.kiosk.opening import OpenKiosk
from station_agent.kiosk.wiring import join_enrolment, join_kiosk
from station_agent.ledger import Ledger
from station_agent.link.link import Link
from station_agent.link.presence import Status
from station_agent.loop import ControlLoop
from station_agent.memory import open_memory
from station_agent.modes import DoorModes
from station_agent.orders import Orders
from station_agent.people.copying import Copying, NoCopies
from station_agent.people.erasing import Eraser
from station_agent.pin_entry import PinEntry
from station_agent.room import Room
from station_agent.simulate.stand import Stand
from station_agent.store.credentials import Credentials
from station_agent.store.gallery_key import sealing_key
from station_agent.store.roster import RosterStore
from station_agent.timekeeper import Timekeeper
from station_agent.visits import Visits

STOP_S: Final = 5.0
"""Longest wait for the last events to reach the disk when the agent ends."""

log = logging.getLogger(__name__)


def run_station(
    station: Station,
    *,
    simulate: bool,
    trace: Path | None = None,
    control: Path | None = None,
    synced: bool = False,
) -> None:
    """Run one station until SIGTERM or SIGINT; then every relay is released, whatever happened.

    Args:
        station: its configuration.
        simulate: simulated wires and cameras.
        trace: where to write the edges of simulated wires.
        control: where to serve the socket that moves the simulated world.
        synced: take the machine's clock for synchronised, in a simulation.

    Raises:
        ConfigError: the station has no usable key.
        AgentError: a part cannot be had.
    """
    with ExitStack() as parts:
        stand = parts.enter_context(Stand(station, trace=trace, synced=synced)) if simulate else None
        _run(station, parts, stand, control=control)


def _run(station: Station, parts: ExitStack, stand: Stand | None, *, control: Path | None) -> None:
    config, data_dir = station.config, station.beside(station.config.data_dir)
    clock: SystemClock = stand.clock if stand else SystemClock()
    signer = _signer(station)
    inbox: queue.SimpleQueue[Fact] = queue.SimpleQueue()
    signal.signal(signal.SIGTERM, lambda *_: inbox.put(Stopped()))
    signal.signal(signal.SIGINT, lambda *_: inbox.put(Stopped()))

    rack = (
        Rack.simulated(station.profile, inbox.put, stand.world, clock=clock)
        if stand
        else Rack.gpio(station.profile, inbox.put, clock=clock)
    )
    parts.callback(rack.close)

    new = not (data_dir / "safety.db").exists()
    store, ledger = open_memory(station, clock, parts, damaged=lambda: inbox.put(Stopped()))
    credentials = _credentials(data_dir, config.station, clock, parts, ledger)
    hub_keys = Verifier.of(*(key.public for key in config.hub.command_keys))
    roster = RosterStore(data_dir / "roster.bin", verifier=hub_keys, station=config.station)
    eyes = Eyes(station, clock=clock, put=inbox.put, pushed=stand.cameras if stand else {})
    parts.callback(eyes.close)
    if eyes.damaged_file:
        ledger.record(EventKind.STORAGE_DAMAGED, {"file": eyes.damaged_file})

    eraser = Eraser(
        station=config.station,
        eyes=eyes,
        credentials=credentials,
        signer=signer,
        clock=clock,
        roster_version=lambda: roster.current.version if roster.current else 0,
        put=inbox.put,
        record=ledger.record,
    )
    eraser.resume()
    keepers = {
        rules.id: Doorkeeper(
            rules,
            relay=rack.relays[rules.id],
            sounder=rack.buzzers[rules.id],
            ledger=ledger,
            clock=clock,
            contact_open=rack.contacts[rules.id].active,
            fire=bool(rack.fire and rack.fire.active),
        )
        for rules in config.doors
    }
    room = Room(
        clock=clock,
        siren=rack.siren,
        alarm=Alarm(limit_s=config.siren.limit_s),
        # A new station is commissioned empty; after a restart nobody counted meanwhile.
        occupancy=Occupancy(capacity=config.occupancy.capacity, high=0 if new else config.occupancy.capacity),
        sensors={sensor.name: sensor for sensor in station.profile.sensors},
        cameras=[camera.id for camera in station.profile.cameras],
        readings=store,
        record=ledger.record,
    )
    copying = _copying(
        station,
        eyes=eyes,
        eraser=eraser,
        install_id=store.install_id,
        roster=roster,
        send=lambda replica: link.send_replica(replica),  # noqa: PLW0108 (there is no link yet)
        clock=clock,
        ledger=ledger,
    )
    parts.callback(copying.stop)
    link = Link(
        station=station,
        signer=signer,
        store=store,
        roster=roster,
        erase=eraser.carry_out,
        clock=clock,
        put=inbox.put,
        status=lambda: _status(loop, eyes, clock),
        copies=copying,
    )
    modes = DoorModes(
        store.recall_modes(),
        machine=machine_run(),
        keepers=keepers,
        disk=store,
        clock=clock,
        record=ledger.record,
    )
    orders = Orders(
        clock=clock,
        commands=Commands(
            station=config.station,
            install_id=store.install_id,
            boot_id=clock.boot_id,
            doors=list(keepers),
            nonce=lambda: secrets.token_hex(16),
            known=store.recall(),
        ),
        keepers=keepers,
        modes=modes,
        answers=store,
        link=link,
        put=inbox.put,
        record=ledger.record,
    )
    admission, pins = _ways_in(
        config,
        clock=clock,
        keepers=keepers,
        roster=roster,
        credentials=credentials,
        words=eyes.words(),
        inbox=inbox,
        ledger=ledger,
    )
    ledger.join(room=room, orders=orders, admission=admission, visited=copying.visited)
    visits = Visits(
        rules=config.face,
        accepted=lambda: eyes.acceptance,
        witnessing=eyes.witnessing,
        doors=keepers,
        admission=admission,
        clock=clock,
    )
    watchdog = _watchdog(parts, clock)
    loop = ControlLoop(
        inbox=inbox,
        clock=clock,
        keepers=keepers,
        modes=modes,
        orders=orders,
        visits=visits,
        admission=admission,
        pins=pins,
        room=room,
        alive=watchdog.feed,
        tick=Timekeeper(clock=clock, anchors=store, record=ledger.record).tick,
        changed=link.changed,
    )

    kiosk = join_kiosk(
        parts,
        config,
        clock=clock,
        inbox=inbox,
        loop=loop,
        admission=admission,
        link=link,
        store=store,
        enrolment=join_enrolment(
            parts,
            config,
            eyes=eyes,
            eraser=eraser,
            signer=signer,
            credentials=credentials,
            roster=roster,
            clock=clock,
            inbox=inbox,
            ledger=ledger,
            on_disk=store.barrier,
        ),
    )
    if stand:
        stand.serve(
            control,
            inbox=inbox,
            rack=rack,
            store=store,
            link=link,
            people=eyes,
            status=lambda: _shown(loop, admission, kiosk),
        )
    rack.start()
    link.start()
    parts.callback(link.stop)
    copying.start()
    eyes.start()
    ledger.record(
        EventKind.STATION_STARTED,
        {"version": AGENT_VERSION, "simulated": bool(stand), "set_aside": len(store.set_aside)},
    )
    watchdog.ready()
    log.info("station_started", extra={"station": config.station, "simulated": bool(stand)})
    try:
        loop.run()
    finally:
        watchdog.stopping()
        rack.release()
        ledger.record(EventKind.STATION_STOPPED, {})
        store.barrier(STOP_S)


def _credentials(
    data_dir: Path, station: str, clock: SystemClock, parts: ExitStack, ledger: Ledger
) -> Credentials:
    """PINs and counts, closed at the end; the hub hears when they were lost."""
    at = clock.stamp()
    credentials = Credentials(data_dir / "credentials.db", data_dir / "pin.key", station=station, at=at)
    parts.callback(credentials.close)
    credentials.settle_loss(at)
    if credentials.set_aside:
        ledger.record(EventKind.STORAGE_DAMAGED, {"file": credentials.set_aside.name})
    if credentials.key_lost:
        ledger.record(EventKind.STORAGE_DAMAGED, {"file": "pin.key"})
    return credentials


def _ways_in(
    config: StationConfig,
    *,
    clock: Clock,
    keepers: Mapping[str, Doorkeeper],
    roster: RosterStore,
    credentials: Credentials,
    words: Mapping[str, Word],
    inbox: queue.SimpleQueue[Fact],
    ledger: Ledger,
) -> tuple[Admission, PinEntry]:
    """Who may come in, whatever way, and what failed attempts cost."""
    remembered = credentials.remembered()
    attempts = Attempts(remembered.tallies, clock=clock, keep=credentials.keep_tallies, record=ledger.record)
    admission = Admission(
        config,
        clock=clock,
        keepers=keepers,
        roster=roster.current,
        counts=credentials,
        entries=Entries(group_entered_ms=remembered.group_entered_ms, guests=remembered.guests),
        attempts=attempts,
        consents=Consents(words),
        put=inbox.put,
        record=ledger.record,
    )
    return admission, PinEntry(admission=admission, attempts=attempts, judge=credentials, put=inbox.put)


def _copying(
    station: Station,
    *,
    eyes: Eyes,
    eraser: Eraser,
    install_id: str,
    roster: RosterStore,
    send: Callable[[Replica], bool],
    clock: SystemClock,
    ledger: Ledger,
) -> Copying | NoCopies:
    """Copies of templates, and their end; nothing of it without face entry."""
    if not station.config.face.enabled:
        return NoCopies()
    return Copying(
        station=station.config.station,
        install_id=install_id,
        key=sealing_key(station.beside(station.config.data_dir) / "sealing.key"),
        faces=eyes,
        destroyer=eraser,
        expire_days=station.config.face.expire_days,
        roster=lambda: roster.current,
        send=send,
        clock=clock,
        record=ledger.record,
    )


def _watchdog(parts: ExitStack, clock: Clock) -> Watchdog:
    """Fed by the control loop; systemd's, where it started us."""
    watchdog = open_watchdog(
        os.environ.get("NOTIFY_SOCKET"),
        timeout_s=int(os.environ["WATCHDOG_USEC"]) / 1e6 if "WATCHDOG_USEC" in os.environ else None,
        clock=clock,
    )
    parts.callback(watchdog.close)
    return watchdog


def _status(loop: ControlLoop, eyes: Eyes, clock: Clock) -> Status:
    seen = loop.snapshot
    doors = seen.doors_at(clock.stamp().mono_ms)
    return Status(doors=doors, occupancy=seen.occupancy, cameras=seen.cameras, engine=eyes.engine_name)


def _shown(loop: ControlLoop, admission: Admission, kiosk: OpenKiosk | None) -> dict[str, Any]:
    seen = loop.snapshot
    return {
        "doors": {door.id: door.state.value for door in seen.doors},
        "modes": {door.id: door.mode.value for door in seen.doors},
        "people": seen.occupancy.estimate,
        "prompts": admission.prompts,
        "kiosk": kiosk.url if kiosk else None,
    }


def _signer(station: Station) -> Signer:
    path = station.beside(station.config.signing_key_file)
    try:
        return Signer(load_private_key(path))
    except FileNotFoundError as error:
        fault = f"signing_key_file: {path} is missing; run `station-agent provision --config {station.path}`"
        raise ConfigError(station.path, [fault]) from error
    except (OSError, ValueError) as error:
        raise ConfigError(station.path, [f"signing_key_file: {path}: {error}"]) from error
