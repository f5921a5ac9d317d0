"""The embedded broker: iotcore (rumqttd) in a process of its own, MQTT 5, loopback, a password per account.

It has no access control lists: any account may publish anything. No safety rule rests on a broker (safety.md C3, C5).
"""

import argparse
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cloud_hub.demo.files import Table, toml, write_private
from cloud_hub.demo.ports import HOST

PAYLOAD_LIMIT: Final = 262_144
"""Bytes. Above the contract's own limit, so that an oversized payload reaches the checks that must refuse it."""


def write_config(path: Path, *, port: int, accounts: Mapping[str, str]) -> None:
    """Write the broker's configuration, with the password of each account."""
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
