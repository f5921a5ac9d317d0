"""Faults 9 to 11 of safety.md, section 12: a link that flaps, a broker that is killed and remembers older things, one that stops."""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from cloud_hub.models import Command
from station_agent.link.connection import STABLE_S
from tests.faults.network import HEAL_S, OFFLINE_S, SLACK_S, Round, half_open, mosquitto_site
from tests.faults.report import Campaign
from tests.faults.site import PASSWORDS, STATION, STRANGER, Mosquitto, Site
from tests.faults.truth import violations
from tests.support.station import wait_for
from tests.support.strangers import CommandLine, await_heard, eavesdrop

BACK_S: Final = 10.0
"""Fault 10: both sides are back at the broker."""

STOPPED_S: Final = 60.0
SHORTER_S: Final = 12.0
"""With so few faults that nobody wants to wait."""

FEW: Final = 3
OLDER: Final = "older.db"
FLAP_S: Final = 5.0
FLAPS: Final = 6
"""Down and up, ``FLAP_S`` each."""


def remember_orders(broker: Mosquitto, site: Site) -> None:
    """Have the broker remember orders for the very session of this station, and keep a copy of its file.

    Real ones, overheard while they were carried out: a persistent session under the station's client id holds them,
    and retained copies lie on their topics. The file is put in place of the broker's after its death.
    """
    who = ["-V", "5", "-h", "127.0.0.1", "-p", str(broker.port)]
    who += ["-u", STRANGER, "-P", PASSWORDS[STRANGER]]
    thief = CommandLine(broker.port, STRANGER, PASSWORDS[STRANGER])
    heard = eavesdrop(thief, f"yz/v1/{STATION}/down/#")
    site.await_final(site.order())
    orders = {tail: await_heard(heard, tail) for tail in ("/req", "/go")}
    thief.close()
    site.agent.stop()
    session = ["-c", "-x", "3600", "-i", f"{STATION}-cmd", "-q", "1", "-E", "-t", f"yz/v1/{STATION}/down/#"]
    subprocess.run(["mosquitto_sub", *who, *session], check=True, timeout=30)
    for tail, payload in orders.items():
        for more in ([], ["-r"]):
            words = ["mosquitto_pub", *who, "-q", "1", "-t", f"yz/v1/{STATION}/down{tail}", "-s", *more]
            subprocess.run(words, input=payload, check=True, timeout=30)
    broker.signal(signal.SIGUSR1)
    wait_for(lambda: broker.memory.exists() and orders["/go"] in broker.memory.read_bytes(), what="the file")
    shutil.copy(broker.memory, broker.folder / OLDER)
    site.agent.start()
    _new_heartbeat(site)


def broker_killed(now: Round, broker: Mosquitto) -> None:
    """10: kill -9, and back with an older memory that holds orders for this very session (E4): nothing moves."""
    site = now.site
    before, orders = len(site.edges("relay:")), len(site.rows(Command))
    broker.kill()
    shutil.copy(broker.folder / OLDER, broker.memory)
    broker.start()
    began_s = time.monotonic()
    _new_heartbeat(site)
    now.measure("10 back online", time.monotonic() - began_s, limit_s=BACK_S + SLACK_S)
    site.await_quiet()
    now.hold("10", true=len(site.edges("relay:")) == before, says="a relay moved")
    now.hold("10", true=len(site.rows(Command)) == orders, says="an order came from nowhere")


def broker_killed_under_way(now: Round, broker: Mosquitto) -> None:
    """10: kill -9 while an order is on its way: its last word is the truth."""
    site = now.site
    command_id = site.order()
    site.await_command(command_id, lambda row: row.state != "REQUESTED", within_s=10)
    broker.kill()
    broker.start()
    began_s = time.monotonic()
    site.await_final(command_id, within_s=HEAL_S * 2)
    now.measure("10 truth", time.monotonic() - began_s, limit_s=HEAL_S)
    site.await_quiet()


def broker_stopped(now: Round, broker: Mosquitto, stopped_s: float) -> None:
    """11: SIGSTOP: an order meanwhile ends without a pulse, and nothing of it happens after SIGCONT."""
    site = now.site
    before = len(site.edges("relay:"))
    broker.signal(signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        command = site.await_final(site.order())
        now.measure("11 verdict", now.verdict_s(command), limit_s=OFFLINE_S + SLACK_S)
        now.hold("11", true=command.state in {"NO_CHALLENGE", "DEVICE_OFFLINE"}, says=command.state)
        wait_for(lambda: time.monotonic() - began_s > stopped_s, within_s=stopped_s + 10)
        now.hold("11", true=site.status().presence != "online", says="the hub calls the station online")
    finally:
        broker.signal(signal.SIGCONT)
    began_s = time.monotonic()
    _new_heartbeat(site)
    now.measure("11 back online", time.monotonic() - began_s, limit_s=HEAL_S)
    site.await_quiet()
    now.hold("11", true=len(site.edges("relay:")) == before, says="a relay moved")


def link_flaps(now: Round) -> None:
    """9: down and up every 5 s: at most one alert that the station is silent."""
    site, line = now.site, now.site.station_line
    before = len(site.alerts("station.silent"))
    for _ in range(FLAPS):
        for down in (True, False):
            (line.cut if down else line.mend)()
            next_s = time.monotonic() + FLAP_S
            wait_for(lambda at_s=next_s: time.monotonic() > at_s)  # type: ignore[misc]
    site.await_quiet(within_s=HEAL_S * 2)
    raised = len(site.alerts("station.silent")) - before
    now.samples["9 alerts"].append(raised)
    now.hold("9", true=raised <= 1, says=f"{raised} alerts in {2 * FLAPS * FLAP_S:.0f} s")


def _stable() -> None:
    """A broker that dies sooner than this after it came back is one that kicks, and is left alone for longer."""
    settled_s = time.monotonic() + STABLE_S
    wait_for(lambda: time.monotonic() > settled_s, within_s=2 * STABLE_S)


def _new_heartbeat(site: Site) -> None:
    """What the hub says of the station may be older than the fault: it must hear it anew."""
    known = site.status().heartbeat_at
    wait_for(
        lambda: site.status().heartbeat_at != known and site.status().presence == "online",
        within_s=HEAL_S * 2,
        what="a new heartbeat",
    )


def run_brokers(n: int, seed: int, folder: Path) -> Campaign:
    """10 and 11, ``n`` faults in turn."""
    began_s = time.monotonic()
    with mosquitto_site(folder, seed=seed) as (broker, site):
        now = Round(site, random.Random(seed))  # noqa: S311 (a campaign, to be repeated)
        remember_orders(broker, site)
        for number in range(n):
            match number % 3:
                case 0:
                    if number:
                        _stable()
                    broker_killed(now, broker)
                case 1:
                    broker_killed_under_way(now, broker)
                case _:
                    broker_stopped(now, broker, STOPPED_S if n > FEW else SHORTER_S)
        now.wrong += violations(site)
    return Campaign("brokers", n, seed, now.wrong, now.figures(), time.monotonic() - began_s)


def run_flapping(n: int, seed: int, folder: Path) -> Campaign:
    """9, ``n`` minutes of it, and once 6, with the settings that hub and station have by themselves."""
    began_s = time.monotonic()
    usual = {
        "keepalive_s": 15,
        "heartbeat_s": 5.0,
        "lease_s": 15.0,
        "silent_alert_s": 15.0,
        "start_grace_s": 20.0,
    }
    with mosquitto_site(folder, seed=seed, **usual) as (_, site):
        now = Round(site, random.Random(seed))  # noqa: S311 (as above)
        half_open(now)
        for _ in range(n):
            link_flaps(now)
        now.wrong += violations(site)
    return Campaign("flapping-link", n, seed, now.wrong, now.figures(), time.monotonic() - began_s)
