"""Fault 25: certificates that are out of date, revoked, of another name or of nobody we know, at a real broker."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from firmware_config.signing import encode_public, new_private_key
from tests.faults.parts import Part
from tests.faults.rig import Station, write_station
from tests.support.authority import Authority
from tests.support.broker import await_port, mosquitto_program
from tests.support.parts import free_port, require
from tests.support.station import wait_for

pytestmark = pytest.mark.mosquitto

STATION = "st-test0001"
FILES = 'ca_file = "{pki}/ca.crt"\ncertificate_file = "{pki}/station.crt"\nkey_file = "{pki}/station.key"'
BROKER = """\
allow_anonymous false
acl_file {folder}/acl
listener {port} 127.0.0.1
cafile {pki}/ca.crt
certfile {pki}/broker.crt
keyfile {pki}/broker.key
crlfile {pki}/ca.crl
require_certificate true
use_identity_as_username true
persistence false
connection_messages true
log_type all
"""
ACCESS = "pattern write yz/v1/%u/up/#\npattern read yz/v1/%u/down/#\n"


class Site:
    """A broker and a station that trust one authority."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.authority = Authority(folder / "pki")
        self.authority.issue("broker", "broker")
        self.authority.issue("station", STATION)
        port = free_port()
        public = encode_public(new_private_key(folder / "hub.pem").public_key())
        tls = FILES.format(pki=self.authority.folder)
        write_station(folder / "s", station=STATION, hub_public=public, port=port, doors=("d1",), tls=tls)
        (folder / "acl").write_text(ACCESS, encoding="utf-8")
        words = BROKER.format(folder=folder, pki=self.authority.folder, port=port)
        words += "user root\n" if os.getuid() == 0 else ""
        (folder / "mosquitto.conf").write_text(words, encoding="utf-8")
        self._log = folder / "mosquitto.log"
        self.broker = Part(
            "broker",
            (mosquitto_program(), "-c", folder / "mosquitto.conf"),
            log=self._log,
            ready=lambda: _listens(port),
            cwd=folder,
        )
        self.station = Station(STATION, folder / "s")

    def start(self) -> None:
        for part in (self.broker, self.station):
            self._stack.callback(part.kill)
            part.start()

    def restart(self) -> None:
        for part in (self.broker, self.station):
            part.kill()
            part.start()

    def connected(self) -> bool:
        return bool(self.station.ask(op="status")["connected"])

    def says(self, word: str) -> bool:
        """The broker's log, or the station's."""
        return word in self._log.read_text(encoding="utf-8") or word in self.station.last_words(10_000)


def _listens(port: int) -> bool:
    try:
        await_port(port, within_s=0.05)
    except TimeoutError:
        return False
    return True


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    require(mosquitto_program(), "no Mosquitto; on Debian: apt-get install mosquitto")
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


def broker_out_of_date(site: Site) -> str:
    site.authority.issue("broker", "broker", expired=True)
    return "certificate has expired"


def broker_of_another_name(site: Site) -> str:
    site.authority.issue("broker", "broker", hosts=("broker.example",))
    return "certificate is not valid for"


def broker_of_a_stranger(site: Site) -> str:
    stranger = Authority(site.authority.folder.parent / "stranger")
    stranger.issue("broker", "broker")
    for file in ("broker.crt", "broker.key"):
        (site.authority.folder / file).write_bytes((stranger.folder / file).read_bytes())
    return "certificate verify failed"


def station_out_of_date(site: Site) -> str:
    site.authority.issue("station", STATION, expired=True)
    return "certificate verify failed"


def station_revoked(site: Site) -> str:
    site.authority.revoke(site.authority.issue("station", STATION))
    return "certificate verify failed"


def station_of_another_name(site: Site) -> str:
    site.authority.issue("station", "st-other")
    return "Denied PUBLISH"


@pytest.mark.parametrize(
    "spoil",
    [
        broker_out_of_date,
        broker_of_another_name,
        broker_of_a_stranger,
        station_out_of_date,
        station_revoked,
        station_of_another_name,
    ],
    ids=lambda spoil: spoil.__name__.replace("_", "-"),
)
def test_a_bad_certificate_is_refused_and_a_good_one_taken_after_a_restart(
    site: Site, spoil: Callable[[Site], str]
) -> None:
    words = spoil(site)
    site.start()
    wait_for(lambda: site.says(words), what=f"somebody says {words!r}")
    if spoil is not station_of_another_name:  # its certificate is good, but opens no topic of this station
        assert not site.connected()

    # the door itself does not mind
    assert site.station.does(op="contact", door="d1", open=True)

    site.authority.revoke()
    site.authority.issue("broker", "broker")
    site.authority.issue("station", STATION)
    site.restart()
    wait_for(site.connected, what="connected with good certificates")
