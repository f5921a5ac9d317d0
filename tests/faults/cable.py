"""Faults 1 and 6 by the kernel itself: the station in a network namespace of its own, and its cable is pulled.

A pulled cable says nothing to either side: no reset, no end, packets just stop. Needs root and network namespaces; the
proxy of the other campaigns does the same above TCP where there are none.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from cloud_hub.errors import TooMany
from cloud_hub.models import Command
from tests.faults.network import HALF_OPEN_S, HEAL_S, OFFLINE_S, SLACK_S, Round
from tests.faults.report import Campaign, Figure
from tests.faults.site import Mosquitto, Site
from tests.faults.truth import violations
from tests.support.agent import AgentProcess
from tests.support.authority import Authority
from tests.support.parts import free_port
from tests.support.station import wait_for

HUB_END: Final = "169.254.77.1"
STATION_END: Final = "169.254.77.2"
"""Link-local: nothing routes them, so what passes stays in this machine."""

_TLS: Final = """
listener {port} {host}
cafile {pki}/ca.crt
certfile {pki}/broker.crt
keyfile {pki}/broker.key
"""


def _ip(*words: str) -> bool:
    return subprocess.run(["ip", *words], check=False, capture_output=True).returncode == 0


class Cable:
    """Two ends: one here, one in a namespace that only the station lives in."""

    def __init__(self) -> None:
        self.space = f"yz{os.getpid()}"
        self._here, self._there = f"yzh{os.getpid()}", f"yzs{os.getpid()}"

    @property
    def wrap(self) -> tuple[str, ...]:
        """Runs a command at the far end."""
        return ("ip", "netns", "exec", self.space)

    def lay(self) -> bool:
        """Make it; False where nobody may."""
        inside = ("-n", self.space)
        return all(
            (
                _ip("netns", "add", self.space),
                _ip("link", "add", self._here, "type", "veth", "peer", "name", self._there),
                _ip("link", "set", self._there, "netns", self.space),
                _ip("addr", "add", f"{HUB_END}/30", "dev", self._here),
                _ip(*inside, "addr", "add", f"{STATION_END}/30", "dev", self._there),
                _ip(*inside, "link", "set", "lo", "up"),
                _ip(*inside, "link", "set", self._there, "up"),
                _ip("link", "set", self._here, "up"),
            )
        )

    def pull(self) -> None:
        """The far end has no carrier any more."""
        assert _ip("link", "set", self._here, "down")

    def plug(self) -> None:
        """And has it again."""
        # an address goes with its link where the kernel says so
        _ip("addr", "add", f"{HUB_END}/30", "dev", self._here)
        assert _ip("link", "set", self._here, "up")

    def remove(self) -> None:
        """Nothing of it stays."""
        _ip("link", "del", self._here)
        _ip("netns", "del", self.space)


@contextmanager
def cable_site(folder: Path) -> Iterator[tuple[Cable, Site] | None]:
    """A hub here and a station at the other end of a cable, over TLS; None where namespaces are not permitted."""
    cable = Cable()
    with ExitStack() as stack:
        stack.callback(cable.remove)
        if not cable.lay():
            yield None
            return
        pki = Authority(folder / "pki")
        pki.issue("broker", "broker", hosts=(HUB_END,))
        port = free_port()
        broker = Mosquitto(folder / "b", more=_TLS.format(port=port, host=HUB_END, pki=pki.folder))
        broker.start()
        stack.callback(broker.kill)
        site = Site(folder / "s", broker.port)
        config = site.agent.config
        text = config.read_text()
        for old, new in (
            ('host = "127.0.0.1"', f'host = "{HUB_END}"'),
            (f"port = {site.station_line.port}", f"port = {port}"),
            ("tls = false", f'tls = true\nca_file = "{pki.folder}/ca.crt"'),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        config.write_text(text)
        site.agent = AgentProcess(config, wrap=cable.wrap)
        yield cable, stack.enter_context(site)


def run(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` times: an order while the hub does not know yet that the cable is out, and one when it does."""
    began_s = time.monotonic()
    figures: dict[str, Figure] = {}
    wrong: list[str] = []
    with cable_site(folder) as laid:
        if laid is None:
            return Campaign("cable", 0, seed, [], {"skipped": "no root or no namespaces"}, 0.0)
        cable, site = laid
        now = Round(site)
        for number in range(n):
            try:
                _pulled(now, cable, wait=bool(number % 2))
            except AssertionError as error:
                now.wrong.append(f"{number}: {error}")
                cable.plug()
        wait_for(lambda: all(row.final for row in site.rows(Command)), within_s=HEAL_S, what="the end of all")
        site.await_quiet()
        figures, wrong = now.figures(), now.wrong + violations(site)
    return Campaign("cable", n, seed, wrong, figures, time.monotonic() - began_s)


def _pulled(now: Round, cable: Cable, *, wait: bool) -> None:
    site = now.site
    before = len(site.edges("relay:"))
    cable.pull()
    if wait:
        now.measure("6 called offline", site.await_presence("offline", within_s=90), limit_s=HALF_OPEN_S)
    command = site.await_final(_order(site))
    now.hold("1", true=command.state in {"DEVICE_OFFLINE", "NO_CHALLENGE"}, says=command.state)
    now.measure("1 verdict", now.verdict_s(command), limit_s=OFFLINE_S + SLACK_S)
    healed, began_s = site.status().heartbeat_at, time.monotonic()
    cable.plug()
    wait_for(lambda: site.status().heartbeat_at != healed, within_s=HEAL_S * 2, what="a heartbeat")
    now.measure("1 back online", time.monotonic() - began_s, limit_s=HEAL_S)
    site.await_quiet()
    now.hold("1", true=len(site.edges("relay:")) == before, says="a relay moved when the line was back")
    after = site.await_final(_order(site))
    # the station counts from an order's arrival, a little later than the hub
    while after.code == "rate_limited":
        after = site.await_final(_order(site))
    moved = len(site.edges("relay:")) > before
    now.hold("1", true=moved, says=f"no order works any more: {after.state} {after.code}")


def _order(site: Site) -> str:
    """At the next door that takes one: rounds are quicker than three orders a minute for each (C14)."""

    def placed() -> str | None:
        try:
            return site.order()
        except TooMany:
            return None

    order = wait_for(placed, within_s=HEAL_S * 2, what="a door that takes an order")
    assert order is not None
    return order
