"""The configuration of deploy/mosquitto, in a real broker: who may say what, and that nothing is retained."""

import datetime as dt
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
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
from tests.support.demo import until
from tests.support.parts import free_port, program

pytestmark = pytest.mark.mosquitto

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "mosquitto"
NOT_AUTHORISED = 0x87
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
