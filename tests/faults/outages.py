"""Faults 9 to 11 of safety.md, section 12: a link that flaps, a broker that is killed and remembers older things, one that stops."""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from cloud_hub.models import Command
from tests.faults.network import HEAL_S, PULSED, Round, mosquitto_site
from tests.faults.report import Campaign
from tests.faults.site import PASSWORDS, STATION, Mosquitto, Site
from tests.faults.truth import violations
from tests.support.station import wait_for

BACK_S: Final = 10.0
"""Fault 10: both sides are back at the broker."""

STOPPED_S: Final = 60.0
FLAP_S: Final = 5.0
FLAPS: Final = 6
"""Down and up, ``FLAP_S`` each."""


def older_memory(broker: Mosquitto, site: Site, line_port: int) -> Path:
    """Have the broker remember orders for the very session of this station, and keep a copy of its file.

    The hub's own order is published while nobody is there: a persistent session under the station's client id holds it,
    and a retained copy lies on the topic. Both are in the file that the broker finds after its death.
    """
    who = ["-V", "5", "-h", "127.0.0.1", "-p", str(line_port), "-u", "stranger", "-P", PASSWORDS["stranger"]]
    heard = subprocess.run(
        ["mosquitto_sub", *who, "-c", "-x", "3600", "-i", f"{STATION}-cmd", "-q", "1", "-E"]
        + ["-t", f"yz/v1/{STATION}/down/#"],
        check=False,
        capture_output=True,
        timeout=30,
    )
    assert heard.returncode == 0, heard.stderr
    for tail in ("req", "go"):
        for more in ([], ["-r"]):
            words = ["mosquitto_pub", *who, "-q", "1", "-t", f"yz/v1/{STATION}/down/{tail}", "-s", *more]
            subprocess.run(words, input=site.folder.joinpath(tail).read_bytes(), check=True, timeout=30)
    written = broker.memory.stat().st_mtime_ns if broker.memory.exists() else 0
    broker.signal(signal.SIGUSR1)
    wait_for(lambda: broker.memory.exists() and broker.memory.stat().st_mtime_ns != written, what="the file")
    kept = broker.folder / "older.db"
    shutil.copy(broker.memory, kept)
    return kept
