"""Fault 24 of safety.md: corrupt frames, wrong schemas, 10 MB and deep JSON, to a broker, to a station and to the hub."""

import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cloud_hub.errors import CallerError
from firmware_config.topics import Topic
from tests.faults import mqtt5
from tests.faults.broker import HostileBroker
from tests.faults.mqtt5 import Kind, Packet, Publish
from tests.faults.network import mosquitto_site
from tests.faults.report import Campaign
from tests.faults.site import PASSWORDS, STATION, STRANGER, Site
from tests.faults.truth import violations
from tests.support.station import wait_for

BIG: Final = 10 * 1024 * 1024
EVERY: Final = 12
"""Shots between two genuine orders."""

GROWTH_MB: Final = 160.0
"""What either process may grow by: a few messages of 10 MB held at once, not a heap of them."""

RECOVERED_S: Final = 120.0
CUT_S: Final = 1.0
"""C15: a client that does not speak MQTT is disconnected sooner."""

TEXTS: Final = (
    b"", b"null", b"[]", b"{}", b'"\xff"', b"\xff\xfe", b"{" * 200, b"[" * 60_000, b'{"a":' * 12_000, b"1e999", b"NaN",
    b"-" * 5_000, b'{"v":1}', b'{"v":2,"kind":"order.go","kid":"0","body":"","sig":""}', b"0" * 60_000,
    b'{"v":1,"kind":"order.req","kid":"0123456789abcdef","body":"' + b"\\u0000" * 9_000 + b'","sig":"' + b"A" * 88 + b'"}',
    b'{"v":1,"station":"st-test0001","install_id":"' + b"0" * 32 + b'","events":[' + b"9" * 4_000 + b"]}",
    b'{"v":1,"station":"st-test0001","install_id":"' + b"0" * 32 + b'","events":[-1,1.5,null]}',
)  # fmt: skip

DOWN: Final = tuple(topic.of(STATION) for topic in Topic if not topic.up)
UP: Final = tuple(topic.of(station) for topic in Topic if topic.up for station in (STATION, "st-nobody01"))
STRANGE: Final = (
    "",
    "#",
    "+",
    "yz/v1",
    "yz/v1//down/req",
    "a\0b",
    "yz/v1/st-test0001/down/req/../go",
    "\ud7ff" * 99,
)


def message(chance: random.Random, topics: Sequence[str], heard: Sequence[Publish]) -> Publish:
    """A message that somebody should refuse."""
    topic = chance.choice((*topics, *topics, *STRANGE))
    if heard and chance.random() < 0.3:
        old = chance.choice(heard)
        raw = bytearray(old.payload)
        if raw:
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        return replace(old, payload=bytes(raw), qos=1, mid=0)
    if chance.random() < 0.1:
        return Publish(topic, b" " * chance.choice((65_537, BIG)), 1)
    payload = chance.choice(TEXTS) if chance.random() < 0.7 else chance.randbytes(chance.randrange(2_000))
    return Publish(topic, payload, 1, retain=chance.random() < 0.2)


def frame(chance: random.Random, topics: Sequence[str]) -> bytes:
    """Bytes that are no packet, or one that nobody asked for."""
    some = chance.randbytes(chance.randrange(1, 200))
    makers: tuple[Callable[[], bytes], ...] = (
        lambda: some,
        lambda: b"\xff" * 9,
        lambda: Packet(Kind.PUBLISH << 4 | 6, some).encode(),
        lambda: Packet(Kind.PUBLISH << 4 | 2, mqtt5.write_blob(b"\xff\xfe") + b"\0\1\0x").encode(),
        lambda: Packet(Kind.PUBLISH << 4 | 2, mqtt5.write_blob(topics[0].encode()) + b"\0\1\x7f").encode(),
        lambda: Publish(topics[0], some, properties={35: 7}).packet().encode(),
        lambda: Publish(topics[0], some, properties={38: [(b"\xff", b"\xff")] * 900}).packet().encode(),
        lambda: mqtt5.connack(chance.randrange(256)),
        lambda: mqtt5.suback(chance.randrange(1, 65_535), chance.randrange(256)),
        lambda: mqtt5.puback(chance.randrange(1, 65_535), chance.randrange(256)),
        lambda: mqtt5.disconnect(chance.randrange(256)),
        lambda: Packet(chance.randrange(256), some).encode(),
        lambda: bytes([Kind.PUBLISH << 4]) + mqtt5.write_variable(268_435_455) + some,
    )
    return chance.choice(makers)()


def memory_mb(pid: int) -> float:
    """The most that a process has held."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def run(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` shots at station and hub through a broker that passes anything on."""
    began_s = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 (a campaign, to be repeated)
    wrong: list[str] = []
    with HostileBroker(seed=seed) as broker, Site(folder / "s", broker.port, seed=seed) as site:
        pids = {"agent": site.agent.pid, "bridge": site.bridge.pid}
        before = {name: memory_mb(pid) for name, pid in pids.items()}
        took_s: list[float] = []
        for number in range(n):
            edges = len(site.edges("relay:"))
            victims = [name for name in broker.clients if name]
            if victims:
                _shoot(broker, chance, chance.choice(victims))
            if (number + 1) % EVERY == 0 or number == n - 1:
                wrong += _works(site, edges, after=number + 1, took_s=took_s)
        wrong += violations(site)
        growth = {name: memory_mb(pid) - before[name] for name, pid in pids.items()}
        wrong += [f"24: {name} grew by {mb:.0f} MB" for name, mb in growth.items() if mb > GROWTH_MB]
        figures: dict[str, float | int | str] = {
            "shots": n,
            "genuine unlocks between": len(took_s),
            "an unlock after max s": round(max(took_s, default=0.0), 1),
            "connections of both sides": len(broker.connects),
            "refused at the station": sum(site.rejected().values()),
            **{f"{name} MB more at its peak": round(mb, 1) for name, mb in growth.items()},
        }
    return Campaign("corrupt-frames", n, seed, wrong, figures, time.monotonic() - began_s)


def _shoot(broker: HostileBroker, chance: random.Random, victim: str) -> None:
    topics = DOWN if victim.startswith(STATION) else UP
    raw = frame(chance, topics)
    if chance.random() < 0.7:
        heard = [logged.message for logged in broker.log[-300:] if logged.message.topic in topics]
        made = message(chance, topics, heard)
        raw = replace(made, mid=chance.randrange(1, 65_536)).packet().encode()
    broker.send(victim, raw)


def _works(site: Site, edges: int, *, after: int, took_s: list[float]) -> list[str]:
    """Nothing moved, and before long a genuine order opens a door: a stream that was broken is given up by its reader.

    Bytes that promise a huge packet make a reader deaf until its keepalive runs out: 40 s for the hub's.
    """
    began_s = time.monotonic()
    deadline_s = began_s + RECOVERED_S
    ended: list[str] = []
    while time.monotonic() < deadline_s:
        try:
            site.await_quiet(within_s=RECOVERED_S)
            if not ended and (moved := len(site.edges("relay:")) - edges) != 0:
                return [f"24: {moved} edges of relays after shot {after}"]
            ended.append(site.await_final(site.order()).state)
        except CallerError as error:
            ended.append(str(error))
        except AssertionError as error:
            return [f"24: after shot {after}: {error}"]
        if ended[-1] == "OPENED":
            took_s.append(time.monotonic() - began_s)
            return []
    return [f"24: {RECOVERED_S:.0f} s after shot {after} genuine orders still end {ended}"]


def run_broker(n: int, seed: int, folder: Path) -> Campaign:
    """``n`` connections that do not speak MQTT, to the system's broker: cut at once, and the others never notice."""
    began_s = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 (as above)
    wrong: list[str] = []
    cut_s: list[float] = []
    with mosquitto_site(folder, seed=seed) as (broker, site):
        for number in range(n):
            hello = mqtt5.connect(f"raw{number}", username=STRANGER, password=PASSWORDS[STRANGER].encode())
            with socket.create_connection(("127.0.0.1", broker.port), timeout=10) as line:
                if chance.random() < 0.5:
                    line.sendall(hello)
                sent_s = time.monotonic()
                # a packet that no client may send, whole, so that the broker has nothing to wait for
                line.sendall(
                    chance.choice(
                        (b"\xf0\x00", b"\x00\x02ab", b"\x20\x02\x00\x00", b"\x10\x04abcd", b"\xff" * 9)
                    )
                )
                _await_end(line)
                cut_s.append(time.monotonic() - sent_s)
        wrong += [f"C15: cut after {late:.1f} s" for late in cut_s if late > CUT_S]
        wrong += _works(site, len(site.edges("relay:")), after=n, took_s=[]) + violations(site)
    cut_s.sort()
    figures: dict[str, float | int | str] = {
        "cut p50 s": round(cut_s[len(cut_s) // 2], 4), "cut max s": round(cut_s[-1], 4),
    }  # fmt: skip
    return Campaign("corrupt-clients", n, seed, wrong, figures, time.monotonic() - began_s)


def _await_end(line: socket.socket) -> None:
    def ended() -> bool:
        try:
            return line.recv(1_024) == b""
        except ConnectionResetError:
            return True

    wait_for(ended, within_s=10, what="the end of a connection that does not speak MQTT")
