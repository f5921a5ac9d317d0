"""Two MQTT 5 clients that nobody here wrote do their worst to a running agent: no relay moves, and every refusal is told."""

import base64
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_config.signing import Envelope, Signer
from firmware_config.topics import Topic
from firmware_config.units import MAX_PAYLOAD_BYTES
from firmware_config.wire import Ack, Go, Order, encode
from tests.faults.site import DOORS, PASSWORDS, STATION, STRANGER, Mosquitto, Site
from tests.faults.truth import violations
from tests.support.parts import program, require
from tests.support.station import wait_for
from tests.support.strangers import STRANGERS, Stranger, await_heard, eavesdrop

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(300)]

REQ, GO, ACK = (topic.of(STATION) for topic in (Topic.REQUEST, Topic.GO, Topic.ACK))
FORGET = Ack(station=STATION, install_id="0" * 32, events=[1, 2, 3])
OTHER = "st-test0002"
TEN_MB = 10 * 1024 * 1024
FRESH_S = 10.0
"""An order older than this is stale by a synchronised clock."""


@dataclass(frozen=True)
class Shot:
    """One message, and the reason that it must be refused for; None: it must not count, and move nothing."""

    reason: str | None
    topic: str
    payload: bytes
    options: dict[str, object] = field(default_factory=dict)


@dataclass
class Range:
    """A running site, its clock synchronised, and what was overheard of one genuine order."""

    site: Site
    port: int
    req: bytes = b""
    go: bytes = b""
    heard_s: float = 0.0

    def order(self, *, age_ms: int = 0, station: str = STATION, door: str = DOORS[0]) -> Order:
        return Order(
            station=station,
            cmd_id=os.urandom(16).hex(),
            door=door,
            verb="unlock",
            pulse_ms=500,
            issued_ms=time.time_ns() // 1_000_000 - age_ms,
        )

    def signed(self, order: Order) -> bytes:
        return self.site.signer.seal("order.req", order)

    def unlock(self) -> str:
        """A genuine unlock, and it works."""
        command_id = self.site.order()
        assert self.site.await_final(command_id).state == "OPENED"
        return command_id

    def edges(self) -> int:
        return len(self.site.edges("relay:"))


@pytest.fixture(scope="module")
def shooting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    require(program("mosquitto_pub"), "no mosquitto_pub; on Debian: apt-get install mosquitto-clients")
    folder = tmp_path_factory.mktemp("second")
    broker = Mosquitto(folder / "broker")
    broker.start()
    try:
        with Site(folder / "site", broker.port) as site:
            made = Range(site, broker.port)
            site.agent.do(op="clock", synced=True)
            stranger = STRANGERS["mosquitto_pub"](broker.port, STRANGER, PASSWORDS[STRANGER])
            heard = eavesdrop(stranger, f"yz/v1/{STATION}/down/#")
            made.unlock()
            made.req, made.go = await_heard(heard, "/req"), await_heard(heard, "/go")
            made.heard_s = time.monotonic()
            stranger.close()
            yield made
            site.await_quiet()
            assert violations(site) == []
    finally:
        broker.kill()


@pytest.fixture(params=sorted(STRANGERS))
def stranger(request: pytest.FixtureRequest, shooting: Range) -> Iterator[Stranger]:
    made = STRANGERS[request.param](shooting.port, STRANGER, PASSWORDS[STRANGER])
    yield made
    made.close()


def forged(at: Range, key: Signer, *, kid: str | None = None, sig: str | None = None) -> bytes:
    """An envelope in which something is not the hub's."""
    sealed = msgspec.json.decode(key.seal("order.req", at.order()), type=Envelope)
    return msgspec.json.encode(msgspec.structs.replace(sealed, kid=kid or sealed.kid, sig=sig or sealed.sig))


def unsigned(at: Range) -> list[Shot]:
    empty = base64.b64encode(bytes(64)).decode()
    return [
        Shot("malformed", REQ, encode(at.order())),
        Shot("malformed", GO, encode(go_of(at))),
        Shot("malformed", REQ, encode(at.order()), {"qos": 0}),
        Shot("malformed", REQ, encode(at.order()), {"qos": 2}),
        Shot("bad_signature", REQ, forged(at, at.site.signer, sig=empty)),
        Shot("malformed", REQ, b"\0"),
        Shot("malformed", GO, b"[" * 60_000),
        Shot("malformed", ACK, encode(FORGET)),
    ]


def wrongly_signed(at: Range) -> list[Shot]:
    mine = Signer(Ed25519PrivateKey.generate())
    other = at.signed(at.order()).replace(b'\\"d1\\"', b'\\"d2\\"')
    go = bytearray(at.go)
    go[go.index(b"nonce") + 12] ^= 1
    return [
        Shot("unknown_key", REQ, forged(at, mine)),
        Shot("bad_signature", REQ, forged(at, mine, kid=at.site.signer.kid)),
        Shot("bad_signature", REQ, other),
        Shot("bad_signature", GO, bytes(go)),
        Shot("unknown_key", GO, mine.seal("order.go", go_of(at))),
        Shot("unknown_key", ACK, mine.seal("ack", FORGET)),
    ]


def oversized(at: Range) -> list[Shot]:
    order = at.signed(at.order())
    return [
        Shot("too_large", REQ, order + b" " * (MAX_PAYLOAD_BYTES + 1 - len(order))),
        Shot("too_large", GO, at.go + b" " * (MAX_PAYLOAD_BYTES + 1 - len(at.go))),
        # the station told the broker how large a packet may be, so this never comes as far
        Shot(None, REQ, order + b" " * (TEN_MB - len(order))),
    ]


def retained(at: Range) -> list[Shot]:
    keep: dict[str, object] = {"retain": True}
    return [
        Shot("retained", REQ, at.signed(at.order()), keep),
        Shot("retained", REQ, at.req, keep),
        Shot("retained", GO, at.go, keep),
    ]


def stale_and_replayed(at: Range) -> list[Shot]:
    wait_for(lambda: time.monotonic() - at.heard_s > FRESH_S, what="the overheard order to be old")
    repeated = at.signed(at.order())
    return [
        Shot("stale", REQ, at.signed(at.order(age_ms=11_000))),
        Shot("stale", REQ, at.signed(at.order(age_ms=-5_000))),
        Shot("stale", REQ, at.req),
        Shot("stale", REQ, at.req),
        # its order has its result, and its nonce is gone
        Shot(None, GO, at.go),
        Shot(None, GO, at.go),
        # the hub's own signature, as after a theft of what was under way: a challenge, and nobody to answer it
        *[Shot(None, REQ, repeated)] * 5,
        Shot("unknown_order", GO, at.site.signer.seal("order.go", go_of(at))),
    ]


def misdirected(at: Range) -> list[Shot]:
    fresh = at.signed
    return [
        Shot("wrong_kind", GO, fresh(at.order())),
        Shot("wrong_kind", REQ, at.go),
        Shot("unsupported", Topic.CONFIG.of(STATION), fresh(at.order())),
        Shot("wrong_kind", ACK, fresh(at.order())),
        Shot("wrong_kind", Topic.ROSTER.of(STATION), fresh(at.order())),
        Shot("wrong_kind", Topic.ERASE.of(STATION), fresh(at.order())),
        Shot("wrong_station", REQ, fresh(at.order(station=OTHER))),
        Shot(None, Topic.REQUEST.of(OTHER), fresh(at.order())),
        Shot(None, f"yz/v1/{STATION}/down/req/", fresh(at.order())),
        Shot(None, f"yz/v1/{STATION}/down", fresh(at.order())),
        Shot(None, f"/yz/v1/{STATION}/down/req", fresh(at.order())),
        Shot(None, REQ.upper(), fresh(at.order())),
        Shot(None, f"$share/all/{REQ}", fresh(at.order())),
        Shot("response_topic", REQ, fresh(at.order()), {"response_topic": "stranger/answers"}),
        Shot("response_topic", GO, at.go, {"response_topic": Topic.CHALLENGE.of(STATION)}),
        Shot("correlation", REQ, fresh(at.order()), {"correlation": "0" * 32}),
    ]


CASES: dict[str, Callable[[Range], list[Shot]]] = {
    case.__name__: case
    for case in (unsigned, wrongly_signed, oversized, retained, stale_and_replayed, misdirected)
}
SENTINELS = (REQ, GO)


def go_of(at: Range) -> Go:
    """A go with a nonce that nobody gave out."""
    order = at.order()
    return Go(
        station=order.station,
        cmd_id=order.cmd_id,
        door=order.door,
        verb="unlock",
        pulse_ms=order.pulse_ms,
        issued_ms=order.issued_ms,
        boot_id="b" * 32,
        nonce=os.urandom(16).hex(),
    )


@pytest.mark.parametrize("name", sorted(CASES))
def test_nothing_a_stranger_publishes_moves_a_relay_and_each_refusal_is_counted_and_told(
    shooting: Range, stranger: Stranger, name: str
) -> None:
    shots = CASES[name](shooting)
    before, edges = Counter(shooting.site.rejected()), shooting.edges()
    for shot in shots:
        took = stranger.publish(shot.topic, shot.payload, **shot.options)  # type: ignore[arg-type]
        assert took or shot.reason is None, shot
    for topic in SENTINELS:  # what is behind them has been judged when they are
        assert stranger.publish(topic, b"the end")
    expected = Counter(shot.reason for shot in shots if shot.reason is not None)
    expected["malformed"] += len(SENTINELS)
    wait_for(lambda: sum(shooting.site.rejected().values()) >= (before + expected).total(), what="the counts")
    assert Counter(shooting.site.rejected()) == before + expected
    assert shooting.edges() == edges
    told = {shot.reason for shot in shots if shot.reason and shot.topic in SENTINELS}
    wait_for(
        lambda: told <= {event.data["reason"] for event in shooting.site.events("order.refused")},
        what=f"events of {told}",
    )
    wait_for(lambda: shooting.site.alerts("order.refused"), what="the alert")
    shooting.unlock()
    assert shooting.edges() == edges + 2


def test_a_stranger_who_repeats_whatever_it_hears_at_once_gets_one_pulse_for_one_order(
    shooting: Range, stranger: Stranger
) -> None:
    seen: set[bytes] = set()

    def repeat(topic: str, payload: bytes) -> None:
        if payload not in seen:
            seen.add(payload)
            for _ in range(3):
                threading.Thread(target=stranger.publish, args=(topic, payload), daemon=True).start()

    for topic in SENTINELS:
        stranger.listen(topic, repeat)
    before = shooting.edges()
    command_id = shooting.unlock()
    wait_for(lambda: len(seen) >= 2, what="request and go, repeated")
    assert [step.state for step in shooting.site.steps(command_id)].count("AUTHORISED") == 1
    assert shooting.edges() == before + 2


def test_a_shared_subscription_takes_no_order_away(shooting: Range, stranger: Stranger) -> None:
    heard = eavesdrop(stranger, f"$share/thieves/yz/v1/{STATION}/down/#")
    shooting.unlock()
    await_heard(heard, "/go")


@pytest.mark.parametrize("wild", [f"yz/v1/{STATION}/down/+", "yz/v1/+/down/req", "#"])
def test_a_topic_with_a_wildcard_is_no_topic(shooting: Range, stranger: Stranger, wild: str) -> None:
    assert not stranger.publish(wild, shooting.signed(shooting.order()))


def test_nothing_retained_meets_a_station_that_comes_back(shooting: Range) -> None:
    edges = shooting.edges()
    shooting.site.agent.kill()
    shooting.site.agent.start()
    shooting.site.await_quiet()
    shooting.unlock()
    assert shooting.edges() == edges + 2
    assert shooting.site.rejected().get("retained", 0) == 0
