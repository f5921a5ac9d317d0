"""The configuration of deploy/mosquitto, in a real broker: who may say what, and that nothing is retained."""

import datetime as dt
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from cloud_hub.demo.ports import answers
from tests.faults.mqtt5 import Cursor, Kind, Packet, Publish, Reader, connect
from tests.support.demo import until
from tests.support.parts import free_port, program

pytestmark = pytest.mark.mosquitto

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
NOT_AUTHORISED = 0x87
NO_SUBSCRIBERS = 0x10
SERVER_KEEPALIVE = 19
"""Number of the property."""

CUT_S = 5.0
"""On a busy machine; what a broker needs is measured by ``make faults``."""
A, B = "st-aaaa", "st-bbbb"


class Authority:
    """Issues certificates for one test broker and its clients."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self._write("ca", self._sign(self._name, self._key, authority=True), self._key)

    def issue(self, name: str, file: str) -> None:
        """A certificate and its key, as ``file.crt`` and ``file.key``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._write(file, self._sign(subject, key, authority=False), key)

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        (self._folder / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (self._folder / f"{file}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


@dataclass
class Broker:
    """A running Mosquitto."""

    port: int
    folder: Path

    def client(self, name: str) -> "Client":
        """Connect with the certificate of ``name``."""
        return Client(self, name)


class Client:
    """One MQTT 5 connection."""

    def __init__(self, broker: Broker, name: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._codes: dict[int, int] = {}
        self._connected = threading.Event()
        self.dropped = threading.Event()
        self._paho = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        own = str(broker.folder / name)
        self._paho.tls_set(str(broker.folder / "ca.crt"), certfile=f"{own}.crt", keyfile=f"{own}.key")
        self._paho.on_connect = lambda *_: self._connected.set()
        self._paho.on_disconnect = lambda *_: self.dropped.set()
        self._paho.on_message = lambda _c, _u, message: self.heard.append(
            (message.topic, bytes(message.payload))
        )
        self._paho.on_publish = lambda _c, _u, mid, code, _p: self._codes.update({mid: code.value})
        self._paho.connect("localhost", broker.port)
        self._paho.loop_start()
        assert self._connected.wait(30)

    def subscribe(self, topic: str) -> None:
        done = threading.Event()
        self._paho.on_subscribe = lambda *_: done.set()
        self._paho.subscribe(topic, qos=1)
        assert done.wait(30)

    def publish(self, topic: str, payload: bytes) -> int:
        """Publish at QoS 1; the broker's reason code."""
        sent = self._paho.publish(topic, payload, qos=1)
        until(lambda: sent.mid in self._codes, f"the broker answered a publish to {topic}")
        return self._codes[sent.mid]

    def close(self) -> None:
        self._paho.disconnect()
        self._paho.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    authority = Authority(tmp_path)
    for name, file in (("localhost", "broker"), ("bridge", "bridge"), (A, A), (B, B)):
        authority.issue(name, file)
    port = free_port()
    shutil.copy(DEPLOY / "yizhan.acl", tmp_path)
    text = (DEPLOY / "mosquitto.conf").read_text()
    text = text.replace("/etc/mosquitto/certs", str(tmp_path)).replace("/etc/mosquitto", str(tmp_path))
    text = re.sub(r"^listener 8883$", f"listener {port} 127.0.0.1\nuser root", text, flags=re.MULTILINE)
    (tmp_path / "mosquitto.conf").write_text(text)
    command = program("mosquitto", "/usr/sbin")
    assert command is not None
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([command, "-c", tmp_path / "mosquitto.conf"], stdout=log, stderr=log)
    try:
        until(lambda: answers(port) or process.poll() is not None, "Mosquitto listens")
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield Broker(port, tmp_path)
    finally:
        process.terminate()
        process.wait(10)


def test_a_station_speaks_and_hears_only_as_itself(broker: Broker) -> None:
    bridge, a, b = broker.client("bridge"), broker.client(A), broker.client(B)
    bridge.subscribe("yz/v1/+/up/#")
    for client in (a, b):
        client.subscribe("yz/v1/#")
        client.subscribe(f"yz/v1/{A}/down/#")
    a.publish(f"yz/v1/{A}/up/event", b"a as a")
    assert b.publish(f"yz/v1/{A}/up/event", b"b as a") == NOT_AUTHORISED
    assert b.publish(f"yz/v1/{A}/down/go", b"b orders a") == NOT_AUTHORISED
    bridge.publish(f"yz/v1/{A}/down/req", b"order")
    bridge.publish(f"yz/v1/{B}/down/req", b"order")
    until(lambda: b.heard and a.heard and bridge.heard, "every message that may pass has passed")
    assert bridge.heard == [(f"yz/v1/{A}/up/event", b"a as a")]
    assert set(a.heard) == {(f"yz/v1/{A}/down/req", b"order")}
    assert set(b.heard) == {(f"yz/v1/{B}/down/req", b"order")}
    for client in (bridge, a, b):
        client.close()


def test_nobody_connects_without_a_certificate(broker: Broker) -> None:
    plain = ssl.create_default_context(cafile=str(broker.folder / "ca.crt"))

    def hear() -> bytes:
        with (
            socket.create_connection(("localhost", broker.port), timeout=5) as raw,
            plain.wrap_socket(raw, server_hostname="localhost") as link,
        ):
            return link.recv(1)

    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake.failure"):
        hear()


def test_a_retained_order_is_refused(broker: Broker) -> None:
    bridge = broker.client("bridge")
    sent = bridge._paho.publish(f"yz/v1/{A}/down/req", b"order", qos=1, retain=True)
    until(lambda: bridge.dropped.is_set() or sent.mid in bridge._codes, "the broker reacted")
    bridge.close()
    late = broker.client(A)
    late.subscribe(f"yz/v1/{A}/down/#")
    late.publish(f"yz/v1/{A}/up/event", b"x")
    assert late.heard == []
    late.close()


LIMITS = {
    "retain_available": "false",
    "max_keepalive": "60",
    "max_packet_size": "69632",
    "message_size_limit": "65536",
    "persistence": "false",
    "allow_anonymous": "false",
    "require_certificate": "true",
    "set_tcp_nodelay": "true",
}


def test_every_limit_of_the_contract_is_in_the_file_once() -> None:
    lines = [line.split() for line in (DEPLOY / "mosquitto.conf").read_text().splitlines()]
    found = {words[0]: words[1:] for words in lines if words and words[0] in LIMITS}
    assert found == {name: [value] for name, value in LIMITS.items()}
    assert [words[0] for words in lines if words and words[0] in LIMITS].count("max_packet_size") == 1
    rules = (DEPLOY / "yizhan.acl").read_text()
    assert "$share" not in rules, "nobody shares what is meant for one station (C15)"


def raw(broker: Broker, hello: bytes) -> ssl.SSLSocket:
    """A connection with the certificate of a station, on which anything can be said."""
    context = ssl.create_default_context(cafile=str(broker.folder / "ca.crt"))
    context.load_cert_chain(broker.folder / f"{A}.crt", broker.folder / f"{A}.key")
    line = socket.create_connection(("localhost", broker.port), timeout=10)
    secured = context.wrap_socket(line, server_hostname="localhost")
    secured.sendall(hello)
    return secured


def ended(line: ssl.SSLSocket) -> list[Packet]:
    """What the broker still says before it ends the connection; fails when it does not."""
    reader, found = Reader(), []
    try:
        while piece := line.recv(4_096):
            found += reader.feed(piece)
    except (ConnectionError, ssl.SSLEOFError):
        pass
    return found


def test_whoever_asks_for_a_longer_silence_is_told_a_minute(broker: Broker) -> None:
    with raw(broker, connect(A, keepalive_s=600)) as line:
        (answer,) = Reader().feed(line.recv(4_096))
    cursor = Cursor(answer.rest)
    assert (cursor.byte(), cursor.byte()) == (0, 0)
    assert cursor.properties()[SERVER_KEEPALIVE] == 60


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(
            Publish(f"yz/v1/{A}/up/event", b" " * 70_000, 1, mid=1).packet().encode(), id="too-large"
        ),
        pytest.param(b"\xff" * 64, id="no-packet"),
        pytest.param(b"\x30\x02\x00\x09", id="cut-short"),
        pytest.param(b"\x20\x03\x00\x00\x00", id="a-servers-packet"),
    ],
)
def test_a_client_that_misbehaves_is_cut_off_at_once_and_nobody_else(broker: Broker, bad: bytes) -> None:
    other = broker.client(B)
    with raw(broker, connect(A)) as line:
        line.recv(4_096)
        with suppress(ConnectionError, ssl.SSLEOFError):  # cut off before it had said it all
            line.sendall(bad)
        line.settimeout(CUT_S)
        ended(line)
    assert other.publish(f"yz/v1/{B}/up/event", b"x") in {0, NO_SUBSCRIBERS}
    assert not other.dropped.is_set()
    other.close()


def test_a_client_that_falls_silent_is_cut_off(broker: Broker) -> None:
    with raw(broker, connect(A, keepalive_s=1)) as line:
        line.settimeout(30)
        answer, *_ = ended(line)
    assert answer.number == Kind.CONNACK
