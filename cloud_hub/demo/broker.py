"""The demo's broker, on loopback, MQTT 5, with a password per account: embedded, or the machine's own Mosquitto.

The embedded one is iotcore (rumqttd) in a process of its own. It has no access control lists: any account may publish
anything. Mosquitto is given none either, so that the two compare. No safety rule rests on a broker (safety.md C3, C5).
"""

import argparse
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cloud_hub.demo.errors import DemoError
from cloud_hub.demo.files import Table, toml, write_private
from cloud_hub.demo.ports import HOST

PAYLOAD_LIMIT: Final = 262_144
"""Bytes. Above the contract's own limit, so that an oversized payload reaches the checks that must refuse it."""


BrokerKind: TypeAlias = Literal["embedded", "mosquitto"]

_MOSQUITTO: Final = """\
listener {port} {host}
allow_anonymous false
password_file {passwords}
persistence false
retain_available false
max_keepalive 60
message_size_limit {payload_limit}
set_tcp_nodelay true
max_inflight_messages 2000
max_queued_messages 4000
log_dest stderr
{user}"""


def prepare(kind: BrokerKind, folder: Path, *, port: int, accounts: Mapping[str, str]) -> list[str | Path]:
    """Write the broker's configuration, with the password of each account; returns the command that serves it.

    Raises:
        DemoError: Mosquitto is wanted and not installed.
    """
    if kind == "embedded":
        path = folder / "broker.toml"
        _write_embedded(path, port=port, accounts=accounts)
        return [sys.executable, "-m", "cloud_hub.demo.broker", path]
    return _mosquitto(folder, port=port, accounts=accounts)


def _mosquitto(folder: Path, *, port: int, accounts: Mapping[str, str]) -> list[str | Path]:
    program = _program("mosquitto")
    passwords = folder / "passwords"
    write_private(passwords, "".join(f"{name}:{password}\n" for name, password in accounts.items()))
    # -U: turns the clear passwords of the file into hashes, in place
    subprocess.run([_program("mosquitto_passwd"), "-U", passwords], check=True, timeout=30)  # noqa: S603
    config = folder / "mosquitto.conf"
    text = _MOSQUITTO.format(
        port=port,
        host=HOST,
        passwords=passwords,
        payload_limit=PAYLOAD_LIMIT,
        # started by root it would change to a user who may not read this folder
        user="user root\n" if folder.stat().st_uid == 0 else "",
    )
    write_private(config, text)
    return [program, "-c", config]


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise DemoError(f"{name} is not installed; on Debian: apt-get install mosquitto")
    return found


def _write_embedded(path: Path, *, port: int, accounts: Mapping[str, str]) -> None:
    router: Table = {
        "id": 0,
        "max_connections": 1_000,
        "max_outgoing_packet_count": 2_000,
        "max_segment_size": 16_777_216,
        "max_segment_count": 10,
    }
    connections: Table = {
        "connection_timeout_ms": 60_000,
        "max_payload_size": PAYLOAD_LIMIT,
        "max_inflight_count": 2_000,
        "dynamic_filters": True,
        "auth": dict(accounts),
    }
    listener: Table = {
        "name": "v5-1",
        "listen": f"{HOST}:{port}",
        "next_connection_delay_ms": 1,
        "connections": connections,
    }
    write_private(path, toml({"id": 0, "router": router, "v5": {"1": listener}}))


def main() -> None:
    """Serve until killed: the broker keeps nothing that a clean end could save."""
    from iotcore import Broker  # noqa: PLC0415 (a native module that only this process needs)

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("config", type=Path)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    Broker(config_path=str(parser.parse_args().config)).run_forever()


if __name__ == "__main__":
    main()
