"""The fault proxy against an echo server: each fault is what it says, and a good network is a good network."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.mqtt5 import Publish, connect
from tests.faults.proxy import HOST, FaultProxy, Snag
from tests.support.station import wait_for

LIMIT_S = 10.0
SHORT_S = 0.2
"""Long enough to see that nothing comes."""


class Echo:
    """Sends back what it hears; keeps it too."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.ended = threading.Event()
        self._server = socket.create_server((HOST, 0))
        self.port = int(self._server.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(line,), daemon=True).start()

    def _talk(self, line: socket.socket) -> None:
        with line:
            try:
                while piece := line.recv(65_536):
                    self.heard += piece
                    line.sendall(piece)
            except OSError:
                pass
            self.ended.set()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[FaultProxy]:
    with FaultProxy(echo.port) as made:
        yield made


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with dial(proxy) as line:
        yield line


def dial(proxy: FaultProxy) -> socket.socket:
    line = socket.create_connection((HOST, proxy.port), timeout=LIMIT_S)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def hear(line: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = line.recv(count - len(found))
        if not piece:
            break
        found += piece
    return found


def silent(line: socket.socket) -> bool:
    line.settimeout(SHORT_S)
    try:
        line.recv(1)
    except TimeoutError:
        return True
    finally:
        line.settimeout(LIMIT_S)
    return False


def test_a_good_network_changes_nothing_however_much_passes(client: socket.socket) -> None:
    whole = bytes(range(256)) * 4_000
    threading.Thread(target=client.sendall, args=(whole,), daemon=True).start()
    assert hear(client, len(whole)) == whole


def test_latency_is_at_least_what_was_asked_on_each_way_and_keeps_the_order(
    proxy: FaultProxy, client: socket.socket
) -> None:
    proxy.up.latency_s, proxy.up.jitter_s, proxy.down.latency_s = 0.1, 0.05, 0.1
    began_s = time.monotonic()
    for number in range(20):
        client.sendall(bytes([number]))
    assert hear(client, 20) == bytes(range(20))
    assert time.monotonic() - began_s >= 0.15


def test_lost_packets_are_stalls(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.up.loss, proxy.up.stall_s = 1.0, 0.2
    began_s = time.monotonic()
    client.sendall(b"x")
    assert hear(client, 1) == b"x"
    assert time.monotonic() - began_s >= 0.2


def test_bandwidth_is_shared_by_all_connections(proxy: FaultProxy) -> None:
    proxy.up.bytes_s, proxy.up.slice_bytes = 20_000, 500
    with dial(proxy) as one, dial(proxy) as two:
        began_s = time.monotonic()
        one.sendall(b"a" * 5_000)
        two.sendall(b"b" * 5_000)
        assert hear(one, 5_000) == b"a" * 5_000
        assert hear(two, 5_000) == b"b" * 5_000
        assert time.monotonic() - began_s >= 0.45


def test_a_stalled_way_delivers_late_what_was_sent_meanwhile(
    proxy: FaultProxy, client: socket.socket, echo: Echo
) -> None:
    proxy.up.stalled = True
    client.sendall(b"late")
    assert silent(client)
    assert bytes(echo.heard) == b""
    proxy.mend()
    assert hear(client, 4) == b"late"


def test_one_way_may_be_dead_while_the_other_lives(
    proxy: FaultProxy, client: socket.socket, echo: Echo
) -> None:
    proxy.down.stalled = True
    client.sendall(b"heard")
    wait_for(lambda: bytes(echo.heard) == b"heard")
    assert silent(client)


def test_half_open_says_nothing_even_when_one_side_leaves(
    proxy: FaultProxy, client: socket.socket, echo: Echo
) -> None:
    client.sendall(b"x")
    assert hear(client, 1) == b"x"
    proxy.stall()
    client.close()
    assert not echo.ended.wait(SHORT_S)
    proxy.mend()
    assert echo.ended.wait(LIMIT_S)


def test_cut_resets_and_refuses_until_mended(proxy: FaultProxy, client: socket.socket, echo: Echo) -> None:
    client.sendall(b"x")
    assert hear(client, 1) == b"x"
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert echo.ended.wait(LIMIT_S)
    with pytest.raises(ConnectionResetError), dial(proxy) as refused:
        refused.recv(1)
    proxy.mend()
    with dial(proxy) as welcome:
        welcome.sendall(b"y")
        assert hear(welcome, 1) == b"y"


def test_kicked_connections_may_come_back(proxy: FaultProxy, client: socket.socket) -> None:
    client.sendall(b"x")
    assert hear(client, 1) == b"x"
    proxy.kick()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with dial(proxy) as again:
        again.sendall(b"y")
        assert hear(again, 1) == b"y"


def test_reset_and_limit_end_at_their_byte(proxy: FaultProxy, echo: Echo) -> None:
    proxy.up.reset_at = 3
    with dial(proxy) as line:
        line.sendall(b"abcdef")
        with pytest.raises(ConnectionResetError):
            hear(line, 99)
    proxy.mend()
    proxy.down.limit_at = 4
    with dial(proxy) as line:
        line.sendall(b"ghijkl")
        assert hear(line, 6) == b"ghij"
    wait_for(lambda: bytes(echo.heard).endswith(b"ghijkl"))
    assert b"d" not in echo.heard


def test_one_bit_of_one_byte_is_flipped(proxy: FaultProxy, client: socket.socket) -> None:
    proxy.up.flip_at = 2
    client.sendall(b"aaaaaa")
    assert hear(client, 6) == b"aa`aaa"


def test_slices_and_doubles(proxy: FaultProxy, client: socket.socket, echo: Echo) -> None:
    proxy.up.slice_bytes = 1
    client.sendall(b"sliced")
    assert hear(client, 6) == b"sliced"
    proxy.mend()
    proxy.down.double = 1.0
    client.sendall(b"x")
    assert hear(client, 2) == b"xx"
    assert bytes(echo.heard) == b"slicedx"


@pytest.mark.parametrize(
    ("act", "arrives"),
    [("drop", b"13"), ("double", b"1223"), ("flip", b"133"), ("cut_before", b"1"), ("cut_after", b"12")],
)
def test_a_snag_catches_the_publish_it_waits_for(echo: Echo, act: str, arrives: bytes) -> None:
    with FaultProxy(echo.port, mqtt=True) as proxy, dial(proxy) as line:
        snag = Snag("/b", act, nth=2)  # type: ignore[arg-type]  # a row of the table
        proxy.up.snags.append(snag)
        messages = [Publish("x/b", b"1"), Publish("x/a", b""), Publish("x/b", b"2"), Publish("x/b", b"3")]
        line.sendall(connect("me"))
        for message in messages:
            line.sendall(message.packet().encode())
        assert snag.caught.wait(LIMIT_S)
        if act.startswith("cut"):
            with pytest.raises(ConnectionResetError):
                hear(line, 9_999)
        else:
            wait_for(lambda: bytes(echo.heard).endswith(b"3"))
        bodies = bytes(byte for byte in echo.heard[len(connect("me")) :] if 0x31 <= byte <= 0x33)
        assert bodies == arrives
